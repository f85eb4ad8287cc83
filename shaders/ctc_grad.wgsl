// The gradient of connectionist temporal classification, from both lattices (ctc.wgsl):
// dx[n, t, c] = exp(x) - exp(log of the sum over the states of class c of both ways + loss - x), for normalised x.
//
// One workgroup a step of a sequence. All classes get the first term; then the first state of each class that occurs
// adds up the states of its class: quadratic in the states, which are few, and without atomics.
// Prelude: const BLANK; x(i) [T, N, C], lattice(i) [2, N, T, S], goal(i), length(i), store(i, v).

@group(1) @binding(0) var<uniform> p: CtcParams;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let n = group.y;
    let t = group.x;
    let own = (t * p.batch + n) * p.classes;
    let row = (n * p.steps + t) * p.classes;
    let counts = t < ctc_steps(n);
    let loss = ctc_loss(n);
    // No way through: the slope is not defined.
    let lost = counts && loss >= p.infinity;
    for (var c = lane; c < p.classes; c += 64u) {
        store(row + c, select(0.0, select(exp(x(own + c)), p.not_a_number, lost), counts));
    }
    storageBarrier();
    if !counts || lost {
        return;
    }
    let states = ctc_states(n);
    let ahead = ctc_place(0u, n, t);
    let back = ctc_place(1u, n, t);
    for (var s = lane; s < states; s += 64u) {
        let label = ctc_class(n, s);
        var first = true;
        for (var j = 0u; j < s; j++) {
            first = first && ctc_class(n, j) != label;
        }
        if first {
            var ways = LOG_ZERO;
            for (var j = s; j < states; j++) {
                if ctc_class(n, j) == label {
                    ways = log_add(ways, lattice(ahead + j) + lattice(back + j));
                }
            }
            let at = min(label, p.classes - 1u);
            let log_p = x(own + at);
            store(row + at, exp(log_p) - exp(ways + loss - (log_p - ctc_base(n, t))));
        }
    }
}
