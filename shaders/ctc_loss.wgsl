// Connectionist temporal classification: minus the log-likelihood of each sequence, from its lattice (ctc.wgsl).
// One invocation a sequence.
// Prelude: const BLANK; x(i), lattice(i), goal(i), length(i), store(i, v).

@group(1) @binding(0) var<uniform> p: CtcParams;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let n = group.x * 64u + lane;
    if n < p.batch {
        var loss = ctc_loss(n);
        for (var t = 0u; t < ctc_steps(n); t++) {
            loss -= ctc_base(n, t);
        }
        store(n, loss);
    }
}
