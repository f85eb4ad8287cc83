// What the attention kernels have in common. `p` are their parameters; see
// attention.wgsl and attention_grad.wgsl for what is computed.

// A score of this or less counts as nothing.
const LOWEST = -3.0e38;

struct AttentionParams {
    tiles: u32, tiles_l: u32, heads: u32, group: u32,
    l: u32, s: u32, d: u32, e: u32,
    q_at: u32, q_b: u32, q_h: u32, q_row: u32, q_col: u32,
    k_at: u32, k_b: u32, k_h: u32, k_row: u32, k_col: u32,
    v_at: u32, v_b: u32, v_h: u32, v_row: u32, v_col: u32,
    m_at: u32, m_b: u32, m_h: u32, m_row: u32, m_col: u32,
    scale: f32,
    // Where the sums begin in the result.
    sums: u32,
}

// Scores of one query with keys col .. col+3 from their products; what is hidden is below LOWEST.
fn masked_scores(dots: vec4<f32>, base: u32, row: u32, col: u32) -> vec4<f32> {
    var s = dots * p.scale;
    let cols = vec4<u32>(col, col + 1u, col + 2u, col + 3u);
    if MASK == 1u {
        let at = base + min(row, p.l - 1u) * p.m_row;
        let c = min(cols, vec4<u32>(p.s - 1u, p.s - 1u, p.s - 1u, p.s - 1u)) * p.m_col;
        s += vec4<f32>(mask(at + c.x), mask(at + c.y), mask(at + c.z), mask(at + c.w));
    }
    var end = p.s;
    if CAUSAL == 1u {
        end = min(end, row + 1u);
    }
    return select(vec4<f32>(-3.4e38, -3.4e38, -3.4e38, -3.4e38), s, cols < vec4<u32>(end, end, end, end));
}

// exp(s - m), and 0 for what is hidden.
fn score_weights(s: vec4<f32>, m: f32) -> vec4<f32> {
    return select(exp(s - m), ZERO, s <= vec4<f32>(LOWEST, LOWEST, LOWEST, LOWEST));
}

fn sum_of_four(v: vec4<f32>) -> f32 {
    return v.x + v.y + v.z + v.w;
}

// Elements 4c .. 4c+3 of a row that starts at `at`; zeros past its end.
fn q_vec(at: u32, c: u32) -> vec4<f32> { return query_vec(at, c, p.q_col, p.d); }
fn k_vec(at: u32, c: u32) -> vec4<f32> { return key_vec(at, c, p.k_col, p.d); }
fn v_vec(at: u32, c: u32) -> vec4<f32> { return value_vec(at, c, p.v_col, p.e); }

// ---- gradients ----

struct AttentionGradParams {
    tiles: u32, tiles_n: u32, heads: u32,
    // Heads of the other side: the first is own * times / group, then repeat of them.
    times: u32, group: u32, repeat: u32,
    // Rows of the own and of the other side; query heads and rows.
    n: u32, others: u32, q_heads: u32, q_rows: u32,
    d: u32, e: u32,
    a_at: u32, a_b: u32, a_h: u32, a_row: u32, a_col: u32,
    a2_at: u32, a2_b: u32, a2_h: u32, a2_row: u32, a2_col: u32,
    b_at: u32, b_b: u32, b_h: u32, b_row: u32, b_col: u32,
    b2_at: u32, b2_b: u32, b2_h: u32, b2_row: u32, b2_col: u32,
    // The mask's rows are queries.
    m_at: u32, m_b: u32, m_h: u32, m_row: u32, m_col: u32,
    scale: f32,
    // Where the second gradient begins in the result.
    second: u32,
}

// Probabilities of own row r with other rows o .. o+3, from their products; 0 where hidden.
fn probabilities(dots: vec4<f32>, r: u32, o: u32, m_base: u32, stats: u32) -> vec4<f32> {
    var s = dots * p.scale;
    let end = p.others;
    let rows = vec4<u32>(o, o + 1u, o + 2u, o + 3u);
    let inside = min(rows, vec4<u32>(end - 1u, end - 1u, end - 1u, end - 1u));
    let own_row = vec4<u32>(r, r, r, r);
    let q = select(own_row, inside, KEYS == 1u);
    let k = select(inside, own_row, KEYS == 1u);
    if MASK == 1u {
        let i = vec4<u32>(m_base, m_base, m_base, m_base) + q * p.m_row + k * p.m_col;
        s += vec4<f32>(mask(i.x), mask(i.y), mask(i.z), mask(i.w));
    }
    var hidden = (rows >= vec4<u32>(end, end, end, end)) | (s <= vec4<f32>(LOWEST, LOWEST, LOWEST, LOWEST));
    if CAUSAL == 1u {
        hidden = hidden | (k > q);
    }
    let l = vec4<f32>(logs(stats + q.x), logs(stats + q.y), logs(stats + q.z), logs(stats + q.w));
    return select(exp(s - l), ZERO, hidden);
}

// The gradient of those scores: p (dp - delta) scale.
fn score_grads(pr: vec4<f32>, dp: vec4<f32>, r: u32, o: u32, stats: u32) -> vec4<f32> {
    if KEYS == 0u {
        return pr * (dp - delta(stats + r)) * p.scale;
    }
    let last = p.others - 1u;
    let d = vec4<f32>(delta(stats + min(o, last)), delta(stats + min(o + 1u, last)), delta(stats + min(o + 2u, last)), delta(stats + min(o + 3u, last)));
    return pr * (dp - d) * p.scale;
}

// Elements 4c .. 4c+3 of a row of one of the four operands; zeros past its end.
fn a_vec(at: u32, c: u32) -> vec4<f32> { return own_vec(at, c, p.a_col, p.d); }
fn a2_vec(at: u32, c: u32) -> vec4<f32> { return own_second_vec(at, c, p.a2_col, p.e); }
fn b_vec(at: u32, c: u32) -> vec4<f32> { return other_vec(at, c, p.b_col, p.d); }
fn b2_vec(at: u32, c: u32) -> vec4<f32> { return other_second_vec(at, c, p.b2_col, p.e); }
