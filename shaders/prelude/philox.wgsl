// Philox4x32-10: random words as a function of a seed (k0, k1), an offset (c0, c1) and a position. Word i of a
// stream is lane i % 4 of block i / 4; engine/src/ops/random.rs computes the same bits on the CPU.

struct PhiloxBlock { a: VU, b: VU, c: VU, d: VU }

// The upper half of a product, by halves: WGSL has 32-bit products only.
fn mul_high(a: VU, b: VU) -> VU {
    let low = VU(0xffffu);
    let al = a & low;
    let ah = a >> VU(16u);
    let bl = b & low;
    let bh = b >> VU(16u);
    let m = ah * bl + ((al * bl) >> VU(16u));
    return ah * bh + (m >> VU(16u)) + ((al * bh + (m & low)) >> VU(16u));
}

fn philox_block(block: VU, k0: VU, k1: VU, c0: VU, c1: VU) -> PhiloxBlock {
    var a = c0 + block;
    var b = c1 + select(VU(0u), VU(1u), a < c0);
    var c = VU(0u);
    var d = VU(0u);
    var x = k0;
    var y = k1;
    for (var k = 0; k < 10; k++) {
        let p = mul_high(a, VU(0xD2511F53u));
        let q = mul_high(c, VU(0xCD9E8D57u));
        let pl = a * VU(0xD2511F53u);
        a = q ^ b ^ x;
        b = c * VU(0xCD9E8D57u);
        c = p ^ d ^ y;
        d = pl;
        x = x + VU(0x9E3779B9u);
        y = y + VU(0xBB67AE85u);
    }
    return PhiloxBlock(a, b, c, d);
}

// Word i.
fn philox(i: VU, k0: VU, k1: VU, c0: VU, c1: VU) -> VU {
    let w = philox_block(i >> VU(2u), k0, k1, c0, c1);
    let upper = (i & VU(2u)) != VU(0u);
    return select(select(w.a, w.c, upper), select(w.b, w.d, upper), (i & VU(1u)) != VU(0u));
}

// A normal number (Box and Muller): positions 2k and 2k + 1 share words 2k and 2k + 1.
fn philox_normal(i: VU, k0: VU, k1: VU, c0: VU, c1: VU) -> V {
    let w = philox_block(i >> VU(2u), k0, k1, c0, c1);
    let upper = (i & VU(2u)) != VU(0u);
    let first = (V(select(w.a, w.c, upper) >> VU(8u)) + V(1.0)) * V(5.9604644775390625e-8);
    let quarters = V(select(w.b, w.d, upper) >> VU(8u)) * V(2.384185791015625e-7);
    let n = round(quarters);
    let odd = (i & VU(1u)) != VU(0u);
    return sqrt(V(-2.0) * log_safe(first)) * turn((quarters - n) * V(1.57079633), VI(n) + select(VI(1), VI(0), odd));
}

// word * (more + 1) >> 32
fn philox_below(word: VU, more: VU) -> VU {
    let low = word * more;
    return mul_high(word, more) + select(VU(0u), VU(1u), low + word < word);
}
