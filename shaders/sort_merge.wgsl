// Sorting long rows, step 2, repeated: neighbouring sorted runs of `run` positions become one of twice the length.
//
// One invocation an element: it finds its place by a binary search in the other run of the pair, so log2(run) reads, no
// barriers and one writer a place. An element of the left run goes before its equals of the right one: stable.
// Prelude: const ORDER, DOWN; x(i), runs(i), store_s(i, v). See sort_tile.wgsl for the scratch buffers.

struct Params {
    rows: u32,
    n: u32, // of a row
    inner: u32,
    run: u32,
}
@group(1) @binding(0) var<uniform> p: Params;

fn key(first: u32, at: u32) -> u32 {
    let up = ordered(bitcast<u32>(x(first + u32(runs(at)) * p.inner)), ORDER);
    return select(up, ~up, DOWN == 1u);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * grid.x + group.x) * 64u + lane;
    if i >= p.rows * p.n {
        return;
    }
    let row = i / p.n;
    let j = i - row * p.n;
    let o = row / p.inner;
    let first = o * p.n * p.inner + row - o * p.inner;
    let base = row * p.n;
    let start = j - j % (2u * p.run);
    let middle = min(start + p.run, p.n);
    let end = min(start + 2u * p.run, p.n);
    let own = key(first, base + j);
    let left = j < middle;
    // How many of the other run come before this element.
    let other = select(start, middle, left);
    var low = other;
    var high = select(middle, end, left);
    while low < high {
        let at = (low + high) / 2u;
        let its = key(first, base + at);
        if its < own || (its == own && !left) {
            low = at + 1u;
        } else {
            high = at;
        }
    }
    // Left: j + those of the right run; right: start + its place in the run + those of the left run.
    store_s(base + j + low - middle, runs(base + j));
}
