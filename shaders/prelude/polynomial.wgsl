// Four more terms of a polynomial in u, from the highest power on: Horner's rule.
fn four_terms(p: V, u: V, a: f32, b: f32, c: f32, d: f32) -> V { return (((p * u + V(a)) * u + V(b)) * u + V(c)) * u + V(d); }
