// Integers' common divisors, and floats by their bits.

fn ugcd(a: VU, b: VU) -> VU {
    var x = a;
    var y = b;
    // At most 46 steps for numbers of 32 bits.
    for (var k = 0; k < 48; k++) {
        let go = y != VU(0u);
        if !any(go) {
            break;
        }
        let r = umod(x, y);
        x = select(x, y, go);
        y = select(y, r, go);
    }
    return x;
}

fn igcd(a: VI, b: VI) -> VI { return bitcast<VI>(ugcd(bitcast<VU>(abs(a)), bitcast<VU>(abs(b)))); }

fn ulcm(a: VU, b: VU) -> VU { return udiv(a, ugcd(a, b)) * b; }

fn ilcm(a: VI, b: VI) -> VI { return abs(idiv_trunc(a, igcd(a, b)) * b); }

// ---- floats by their bits ----

fn nextafter(x: V, y: V) -> V {
    let bits = bitcast<VI>(x);
    let outward = (y > x) == (x > V(0.0));
    let near_zero = select(bitcast<V>(VI(1) | (bitcast<VI>(y) & bitcast<VI>(VU(0x80000000u)))), y, y == V(0.0));
    let moved = select(bitcast<V>(bits + select(VI(-1), VI(1), outward)), near_zero, x == V(0.0));
    let r = select(moved, y, x == y);
    return select(r, x + y, is_nan(x) | is_nan(y));
}

// x = mantissa * 2^exponent with |mantissa| in [1/2, 1).
struct Frexp { mantissa: V, exponent: V }

fn frexp_parts(x: V) -> Frexp {
    let tiny = abs(x) < V(1.17549435e-38);
    let scaled = select(x, x * V(16777216.0), tiny);
    let bits = bitcast<VU>(scaled);
    let e = V(bitcast<VI>((bits >> VU(23u)) & VU(255u))) - V(126.0) - select(V(0.0), V(24.0), tiny);
    let m = bitcast<V>((bits & VU(0x807fffffu)) | VU(0x3f000000u));
    let whole = (x == V(0.0)) | !is_finite(x);
    return Frexp(select(m, x, whole), select(e, V(0.0), whole));
}

fn logaddexp2(a: V, b: V) -> V {
    let y = max_nan(a, b) + V(1.44269504) * log1p(exp2(-abs(a - b)));
    return select(y, a, (a == b) & is_inf(a));
}
