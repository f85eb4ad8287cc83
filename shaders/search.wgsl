// Binary search: how many elements of a sorted row lie below each value (with RIGHT, or are equal to it).
//
// One invocation a value; the first steps of neighbours read the same elements, from cache. A NaN as a value lies above
// everything; a NaN in a row is stepped over.
// Prelude: const RIGHT, ORDER; row(i), value(i), store(i, v).

struct Params {
    count: u32, // values
    m: u32,     // values a row
    n: u32,     // elements of a row
    apart: u32, // from one row to the next: 0 for one row that serves all
}
@group(1) @binding(0) var<uniform> p: Params;

fn missing(bits: u32) -> bool {
    return ORDER == 2u && (bits & 0x7fffffffu) > 0x7f800000u;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * grid.x + group.x) * 64u + lane;
    if i >= p.count {
        return;
    }
    let first = i / p.m * p.apart;
    let bits = bitcast<u32>(value(i));
    let own = ordered(bits, ORDER);
    var low = 0u;
    var high = p.n;
    while low < high {
        let at = (low + high) / 2u;
        let other = bitcast<u32>(row(first + at));
        let its = ordered(other, ORDER);
        if missing(bits) || missing(other) || its < own || (its == own && RIGHT == 1u) {
            low = at + 1u;
        } else {
            high = at;
        }
    }
    store(i, T(low));
}
