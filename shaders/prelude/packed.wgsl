// f16 and bf16 lie two to a 32-bit word and are computed in f32. Rounding is to nearest, ties to even, in
// integer arithmetic: the built-in pack2x16float may round either way and leaves overflow open.

// The 16 bits of the nearest f16.
fn f16_bits(x: V) -> VU {
    let b = bitcast<VU>(x);
    let m = b & VU(0x7fffffffu);
    let normal = (m - VU(0x38000000u) + VU(0xfffu) + ((m >> VU(13u)) & VU(1u))) >> VU(13u);
    // Below 2^-14 the spacing is 2^-24; round() ties to even.
    let small = VU(round(bitcast<V>(min(m, VU(0x38800000u))) * V(16777216.0)));
    var r = select(normal, small, m < VU(0x38800000u));
    r = select(r, VU(0x7c00u), m >= VU(0x477ff000u));
    r = select(r, VU(0x7e00u), m > VU(0x7f800000u));
    return r | ((b >> VU(16u)) & VU(0x8000u));
}

fn f16_value(h: VU) -> V {
    let m = h & VU(0x7fffu);
    let up = select(VU(0x38000000u), VU(0x70000000u), m >= VU(0x7c00u));
    let r = select(bitcast<V>((m << VU(13u)) + up), V(m) * V(5.9604644775390625e-8), m < VU(0x400u));
    return bitcast<V>(bitcast<VU>(r) | ((h & VU(0x8000u)) << VU(16u)));
}

fn round_f16(x: V) -> V { return f16_value(f16_bits(x)); }

fn bf16_bits(x: V) -> VU {
    let b = bitcast<VU>(x);
    let r = (b + VU(0x7fffu) + ((b >> VU(16u)) & VU(1u))) >> VU(16u);
    return select(r, (b >> VU(16u)) | VU(0x40u), (b & VU(0x7fffffffu)) > VU(0x7f800000u));
}

fn round_bf16(x: V) -> V { return bitcast<V>(bf16_bits(x) << VU(16u)); }

// Integers that are held in 32 bits wrap to their own width.
fn wrap_i8(x: VI) -> VI { return (x << VU(24u)) >> VU(24u); }

fn wrap_i16(x: VI) -> VI { return (x << VU(16u)) >> VU(16u); }

fn wrap_u8(x: VU) -> VU { return x & VU(0xffu); }

fn wrap_u16(x: VU) -> VU { return x & VU(0xffffu); }
