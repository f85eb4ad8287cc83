// Connectionist temporal classification: the lattice of one sequence, from one end.
//
// States are the target's classes with blanks between and around them. lattice[d, n, t, s] is the logarithm of the
// probability of all ways through state s at step t: from the beginning to it (d = 0), from it to the end (d = 1); both count
// step t itself, and measure from the steps' bases (prelude/ctc.wgsl). The second is the first on the reversed sequence. One workgroup a sequence and direction: lanes stride
// over the states, and a step waits for the one before it. Bound by the latency of those T steps.
// Prelude: const BLANK; x(i) [T, N, C], goal(i) [N, S], length(i) [2, N], load_s(i), store_s(i, v), fault(value, position, size).

@group(1) @binding(0) var<uniform> p: CtcParams;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let n = group.x;
    let backward = group.y == 1u;
    let steps = ctc_steps(n);
    let states = ctc_states(n);
    for (var round = 0u; round < p.steps; round++) {
        let t = select(round, steps - 1u - round, backward);
        for (var j = lane; j < states && round < steps; j += 64u) {
            let s = select(j, states - 1u - j, backward);
            let label = ctc_class(n, s);
            var ways = select(LOG_ZERO, 0.0, j < 2u);
            if round > 0u {
                // The step before, seen from this end, and in it this state, the one before and the one before that.
                let last = ctc_place(group.y, n, select(t - 1u, t + 1u, backward));
                ways = load_s(last + s);
                if j > 0u {
                    ways = log_add(ways, load_s(last + select(s - 1u, s + 1u, backward)));
                }
                // A blank between different classes may be left out.
                let two = select(s - 2u, s + 2u, backward);
                if j > 1u && j % 2u == 1u && label != ctc_class(n, two) {
                    ways = log_add(ways, load_s(last + two));
                }
            } else if label >= p.classes {
                fault(i32(label), n, p.classes);
            }
            store_s(ctc_place(group.y, n, t) + s, ways + (x((t * p.batch + n) * p.classes + min(label, p.classes - 1u)) - ctc_base(n, t)));
        }
        storageBarrier();
    }
}
