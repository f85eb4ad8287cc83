// Looks at values that an operator requires to be what they should, and reports the first that is not; y is 0.
// WHAT: 0 probabilities, 1 no negative numbers, 2 weights other than 0, 3 divisors. One invocation an element: bound by memory.
// Prelude: const WHAT; x(i), store(i, v), fault(value, position, size).

struct Params {
    count: u32,
}
@group(1) @binding(0) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * grid.x + group.x) * 64u + lane;
    if i == 0u {
        store(0u, T(0));
    }
    if i >= p.count {
        return;
    }
    let v = f32(x(i));
    let number = (bitcast<u32>(v) & 0x7fffffffu) <= 0x7f800000u;
    var right = true;
    if WHAT == 0u {
        right = number && v >= 0.0 && v <= 1.0;
    } else if WHAT == 1u {
        right = !number || v >= 0.0;
    } else if WHAT == 2u {
        right = number && abs(v) > 1e-11;
    } else {
        right = v != 0.0;
    }
    if !right {
        fault(bitcast<i32>(v), i, p.count);
    }
}
