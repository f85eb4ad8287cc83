// Numbers as u32 words that compare as the numbers do. `kind` is what the bits are: 0 u32, 1 i32, 2 f32, where -0 is 0
// and a NaN lies above everything.

fn ordered(bits: u32, kind: u32) -> u32 {
    if kind == 0u {
        return bits;
    }
    if kind == 1u {
        return bits ^ 0x80000000u;
    }
    if (bits & 0x7fffffffu) > 0x7f800000u {
        return 0xffffffffu;
    }
    let b = select(bits, 0u, bits == 0x80000000u);
    return select(b | 0x80000000u, ~b, (b & 0x80000000u) != 0u);
}

// The same from above: the smallest number has the largest word, but a NaN stays above everything.
fn ordered_down(bits: u32, kind: u32) -> u32 {
    let up = ordered(bits, kind);
    return select(~up, up, kind == 2u && up == 0xffffffffu);
}

// What scattering leaves of an old and a new element. how: 0 the new one, 1 the sum, 2 the product, 3 the larger, 4 the
// smaller; a NaN is larger and smaller than everything.
fn written(old: T, new_one: T, how: u32, kind: u32) -> T {
    if how == 0u {
        return new_one;
    }
    if how == 1u {
        return old + new_one;
    }
    if how == 2u {
        return old * new_one;
    }
    let a = bitcast<u32>(old);
    let b = bitcast<u32>(new_one);
    let takes = select(ordered_down(b, kind) > ordered_down(a, kind), ordered(b, kind) > ordered(a, kind), how == 3u);
    return select(old, new_one, takes);
}
