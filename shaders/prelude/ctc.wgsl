// What the kernels of connectionist temporal classification have in common: see ctc.wgsl.

struct CtcParams {
    steps: u32,   // T
    batch: u32,   // N
    classes: u32, // C
    room: u32,    // of a target: S
    infinity: f32,
    not_a_number: f32,
}

// Stands for the logarithm of 0: finite, so that differences stay numbers.
const LOG_ZERO: f32 = -3.0e38;

fn log_add(a: f32, b: f32) -> f32 {
    let most = max(a, b);
    if most < -1.0e38 {
        // Of two zeros nothing but a NaN is left.
        return select(LOG_ZERO, a + b, (bitcast<u32>(a + b) & 0x7fffffffu) > 0x7f800000u);
    }
    return most + log(1.0 + exp(-abs(a - b)));
}

fn ctc_steps(n: u32) -> u32 {
    return min(u32(max(length(n), 0)), p.steps);
}

fn ctc_states(n: u32) -> u32 {
    return 2u * min(u32(max(length(p.batch + n), 0)), p.room) + 1u;
}

// The class of state s.
fn ctc_class(n: u32, s: u32) -> u32 {
    if s % 2u == 0u {
        return BLANK;
    }
    return u32(goal(n * p.room + s / 2u));
}

// What log-probabilities of a step are measured from: the blank's, so that sums over many steps stay small.
fn ctc_base(n: u32, t: u32) -> f32 {
    let blank = x((t * p.batch + n) * p.classes + BLANK);
    return select(blank, 0.0, blank < -1.0e30);
}

// Where step t of sequence n begins in lattice d.
fn ctc_place(d: u32, n: u32, t: u32) -> u32 {
    return ((d * p.batch + n) * p.steps + t) * (2u * p.room + 1u);
}

// Minus the logarithm of all ways through, measured from the bases.
fn ctc_loss(n: u32) -> f32 {
    let steps = ctc_steps(n);
    let states = ctc_states(n);
    if steps == 0u {
        return select(p.infinity, 0.0, states == 1u);
    }
    let last = ctc_place(0u, n, steps - 1u) + states - 1u;
    var ways = lattice(last);
    if states > 1u {
        ways = log_add(ways, lattice(last - 1u));
    }
    return select(-ways, p.infinity, ways < -1.0e38);
}
