//! Creation, elementwise work and random numbers.

use taper::{DType, Result, Tensor, nn};

use super::{Run, Var, broadcast};
use crate::Rng;
use crate::program::meta::{Meta, eps};

impl Run<'_> {
    pub(super) fn create(&mut self, rng: &mut Rng) {
        let (shape, dtype) = (self.shape(rng), self.dtype(rng));
        let device = self.mode.device.clone();
        let (call, result, meta) = match rng.below(8) {
            0 => (format!("zeros({shape:?}, {dtype})"), Tensor::zeros(&shape, (dtype, &device)), Meta::exact(0.0, 0)),
            1 => (format!("ones({shape:?}, {dtype})"), Tensor::ones(&shape, (dtype, &device)), Meta::exact(1.0, 0)),
            2 => {
                let value = rng.below(5) as f64;
                (format!("full({shape:?}, {value}, {dtype})"), Tensor::full(&shape, value, (dtype, &device)), Meta::exact(4.0, 0))
            }
            3 if dtype != DType::Bool => {
                let n = rng.below(20) as i64;
                (format!("arange(0, {n}, 1, {dtype})"), Tensor::arange(0, n, 1, (dtype, &device)), Meta::exact(20.0, 0))
            }
            4 => {
                let n = rng.below(6);
                (format!("eye({n}, {dtype})"), Tensor::eye(n, (dtype, &device)), Meta::exact(1.0, 0))
            }
            _ => self.fresh(rng, &shape, dtype),
        };
        self.put(call, result, meta);
    }

    pub(super) fn leaf(&mut self, rng: &mut Rng) {
        let shape = self.shape(rng);
        let dtype = if rng.one_in(10) { self.dtype(rng) } else { self.traits.types[0] };
        let (call, result, meta) = self.fresh(rng, &shape, dtype);
        let result = result.and_then(|t| t.requires_grad_(true).cloned());
        if let Some(v) = self.put(call + ".requires_grad_()", result, meta) {
            self.leaves.push(v);
        }
    }

    pub(super) fn unary(&mut self, rng: &mut Rng) {
        if rng.one_in(12) {
            let Some(v) = self.any(rng, |v| !v.float()) else { return };
            let (t, n, m) = (&v.t, &v.name, v.meta());
            match (t.dtype(), rng.below(3)) {
                (DType::Bool, _) => self.put(format!("{n}.logical_not()"), t.logical_not(), m),
                (_, 0) => self.put(format!("{n}.neg()"), t.neg(), m),
                (_, 1) => self.put(format!("{n}.abs()"), t.abs(), m),
                _ => self.put(format!("{n}.square()"), t.square(), Meta::exact(m.mag * m.mag, 0)),
            };
            return;
        }
        let Some(v) = self.any(rng, Var::float) else { return };
        let (t, n, m, d) = (&v.t, &v.name, v.meta(), v.t.dtype());
        let positive = |t: &Tensor| t.abs()?.add(0.5);
        let round = |f: fn(&Tensor) -> Result<Tensor>| f(t);
        let (call, result, meta) = match rng.below(29) {
            0 => ("neg()", t.neg(), m),
            1 => ("abs()", t.abs(), m),
            2 | 3 => ("relu()", t.relu(), m),
            4 => ("tanh()", t.tanh(), m.smooth(1.0, 1.0, d)),
            5 => ("sigmoid()", t.sigmoid(), m.smooth(0.3, 1.0, d)),
            6 => ("sin()", t.sin(), m.smooth(1.0, 1.0, d)),
            7 => ("cos()", t.cos(), m.smooth(1.0, 1.0, d)),
            8 if m.mag <= 4.0 => ("exp()", t.exp(), m.smooth(m.mag.exp(), m.mag.exp(), d)),
            9 => ("gelu(none)", t.gelu("none"), m.smooth(1.2, m.mag, d)),
            10 => ("gelu(tanh)", t.gelu("tanh"), m.smooth(1.2, m.mag, d)),
            11 => ("silu()", t.silu(), m.smooth(1.2, m.mag, d)),
            12 => ("softplus()", t.softplus(1.0, 20.0), m.smooth(1.0, m.mag + 1.0, d)),
            13 => ("erf()", t.erf(), m.smooth(1.2, 1.0, d)),
            14 => {
                let q = m.quantum.map(|q| 2 * q);
                ("square()", t.square(), Meta { mag: m.mag * m.mag, err: 2.0 * m.mag * m.err + eps(d) * m.mag * m.mag, quantum: q })
            }
            15 => ("abs().add(0.5).sqrt()", positive(t).and_then(|t| t.sqrt()), m.smooth(0.8, m.mag.sqrt() + 1.0, d)),
            16 => ("abs().add(0.5).log()", positive(t).and_then(|t| t.log()), m.smooth(2.0, m.mag.ln_1p() + 1.0, d)),
            17 => ("abs().add(0.5).rsqrt()", positive(t).and_then(|t| t.rsqrt()), m.smooth(1.5, 2.0, d)),
            18 => ("abs().add(0.5).reciprocal()", positive(t).and_then(|t| t.reciprocal()), m.smooth(4.0, 2.0, d)),
            19 => ("clamp(-1, 1)", t.clamp(Some(-1.0), Some(1.0)), Meta { mag: m.mag.max(1.0), ..m }),
            20 if m.is_exact() => ("floor()", round(Tensor::floor), Meta { mag: m.mag + 1.0, ..m }),
            21 if m.is_exact() => ("round()", round(Tensor::round), Meta { mag: m.mag + 1.0, ..m }),
            22 if m.is_exact() => ("trunc()", round(Tensor::trunc), m),
            23 if m.is_exact() => ("sign()", round(Tensor::sign), Meta::exact(1.0, 0)),
            24 => ("abs().log1p()", t.abs().and_then(|t| t.log1p()), m.smooth(1.0, m.mag.ln_1p() + 1.0, d)),
            25 => ("atan()", t.atan(), m.smooth(1.0, 1.6, d)),
            26 => ("elu()", t.elu(1.0), m.smooth(1.0, m.mag + 1.0, d)),
            27 => ("leaky_relu(0.5)", t.leaky_relu(0.5), Meta { quantum: m.quantum.map(|q| q + 1), err: m.err + eps(d) * m.mag, ..m }),
            _ => ("tanh()", t.tanh(), m.smooth(1.0, 1.0, d)),
        };
        self.put(format!("{n}.{call}"), result, meta);
    }

    pub(super) fn binary(&mut self, rng: &mut Rng) {
        let Some(a) = self.any(rng, |_| true) else { return };
        let m = a.meta();
        if rng.one_in(4) {
            let int = !a.float();
            let c = if int { (1 + rng.below(5)) as f64 } else { *rng.pick(&[0.5, 2.0, -1.5, 0.25, 3.0]) };
            let scaled = Meta { mag: m.mag * 3.0, err: m.err * 3.0 + eps(a.t.dtype()) * m.mag, quantum: m.quantum.map(|q| q + 2) };
            let moved = Meta { mag: m.mag + 3.0, err: m.err + eps(a.t.dtype()) * m.mag, quantum: m.quantum.map(|q| q.max(2)) };
            let grown = |m: Meta| if int { Meta::exact(m.mag * 2.0, 0) } else { m };
            let n = &a.name;
            let op = |f: &dyn Fn(&Tensor) -> Result<Tensor>| f(&a.t);
            match rng.below(5) {
                0 if int => self.put(format!("{n}.add({})", c as i64), op(&|t| t.add(c as i64)), grown(moved)),
                1 if int => self.put(format!("{n}.mul({})", c as i64), op(&|t| t.mul(c as i64)), grown(scaled)),
                0 => self.put(format!("{n}.add({c})"), op(&|t| t.add(c)), moved),
                1 => self.put(format!("{n}.mul({c})"), op(&|t| t.mul(c)), scaled),
                2 if !int => self.put(format!("{n}.sub({c})"), op(&|t| t.sub(c)), moved),
                3 if !int => self.put(format!("{n}.div(4.0)"), op(&|t| t.div(4.0)), Meta { quantum: m.quantum.map(|q| q + 2), ..m }),
                4 if !int => self.put(
                    format!("{n}.maximum({c})"),
                    op(&|t| t.maximum(c)),
                    Meta { mag: m.mag.max(3.0), quantum: m.quantum.map(|q| q.max(2)), ..m },
                ),
                _ => self.put(format!("{n}.mul(1)"), op(&|t| t.mul(1)), m),
            };
            return;
        }
        let Some(b) = self.partner(rng, &a, false) else { return };
        let d = a.t.dtype().promote(b.t.dtype()).unwrap_or(DType::F32);
        let (x, y) = (m, b.meta());
        let e = eps(d);
        let both = x.join(y);
        let sum = Meta { mag: x.mag + y.mag, err: x.err + y.err + e * (x.mag + y.mag), ..both };
        let call = |op: &str| format!("{}.{op}({})", a.name, b.name);
        let (p, q) = (&a.t, &b.t);
        let bools = d == DType::Bool;
        match rng.below(9) {
            0 | 1 => self.put(call("add"), p.add(q), sum),
            2 if !bools => self.put(call("sub"), p.sub(q), sum),
            3 | 4 => {
                let quantum = x.quantum.zip(y.quantum).map(|(a, b)| a + b);
                self.put(
                    call("mul"),
                    p.mul(q),
                    Meta { mag: x.mag * y.mag, err: x.err * y.mag + y.err * x.mag + e * x.mag * y.mag, quantum },
                )
            }
            5 if d.is_float() && b.float() => {
                let r = q.abs().and_then(|q| q.add(0.5)).and_then(|q| p.div(&q));
                let meta = Meta { mag: 2.0 * x.mag, err: 2.0 * x.err + 4.0 * x.mag * y.err + e * x.mag * 4.0, quantum: None };
                self.put(format!("{}.div({}.abs().add(0.5))", a.name, b.name), r, meta)
            }
            6 => self.put(call("maximum"), p.maximum(q), both),
            7 => self.put(call("minimum"), p.minimum(q), both),
            8 if d.is_float() => {
                // A product and its sum with something there already: what fused multiply-add likes to change.
                let r = p.mul(q).and_then(|t| t.add(p));
                let quantum = x.quantum.zip(y.quantum).map(|(a, b)| a + b);
                let mag = x.mag * y.mag + x.mag;
                self.put(
                    format!("{0}.mul({1}).add({0})", a.name, b.name),
                    r,
                    Meta { mag, err: x.err * (y.mag + 1.0) + y.err * x.mag + 2.0 * e * mag, quantum },
                )
            }
            _ => self.put(call("add"), p.add(q), sum),
        };
    }

    pub(super) fn compare(&mut self, rng: &mut Rng) {
        let Some(a) = self.any(rng, |v| v.meta().is_exact()) else { return };
        if rng.one_in(3) {
            self.put(format!("{}.gt(0)", a.name), a.t.gt(0), Meta::exact(1.0, 0));
            return;
        }
        let Some(b) = self.partner(rng, &a, true).filter(|b| b.meta().is_exact()) else { return };
        let (p, q) = (&a.t, &b.t);
        let (name, result) = match rng.below(8) {
            0 => ("eq", p.eq(q)),
            1 => ("ne", p.ne(q)),
            2 => ("lt", p.lt(q)),
            3 => ("le", p.le(q)),
            4 => ("gt", p.gt(q)),
            5 => ("ge", p.ge(q)),
            6 => ("logical_and", p.logical_and(q)),
            _ => ("logical_xor", p.logical_xor(q)),
        };
        self.put(format!("{}.{name}({})", a.name, b.name), result, Meta::exact(1.0, 0));
    }

    pub(super) fn choose(&mut self, rng: &mut Rng) {
        let Some(a) = self.any(rng, |_| true) else { return };
        let cond =
            match self.any(rng, |v| v.t.dtype() == DType::Bool && broadcast(v.t.shape(), a.t.shape()).is_some_and(|s| s == a.t.shape())) {
                Some(c) => c,
                None => {
                    let (call, result, meta) = self.fresh(rng, a.t.shape(), DType::Bool);
                    let Some(c) = self.put(call, result, meta) else { return };
                    c
                }
            };
        if rng.one_in(3) {
            let meta = a.meta().join(Meta::exact(1.0, 0));
            self.put(format!("{}.masked_fill({}, 1)", a.name, cond.name), a.t.masked_fill(&cond.t, 1), meta);
            return;
        }
        let Some(b) = self.partner(rng, &a, true) else { return };
        let meta = a.meta().join(b.meta());
        self.put(format!("where({}, {}, {})", cond.name, a.name, b.name), a.t.where_(&cond.t, &b.t), meta);
    }

    pub(super) fn cast(&mut self, rng: &mut Rng) {
        let to = *rng.pick(self.traits.types);
        let Some(v) = self.any(rng, |v| to.is_float() || v.meta().is_exact()) else { return };
        let m = v.meta();
        let meta = match to {
            DType::Bool => Meta::exact(1.0, 0),
            d if d.is_float() => Meta { err: m.err + if m.is_exact() { 0.0 } else { eps(d) * m.mag }, ..m },
            // A negative float to an unsigned integer is nobody's business.
            DType::U8 if v.float() => return,
            _ => Meta::exact(m.mag, 0),
        };
        self.put(format!("{}.to_dtype({to})", v.name), v.t.to_dtype(to), meta);
    }

    pub(super) fn random(&mut self, rng: &mut Rng) {
        let shape = self.shape(rng);
        let device = self.mode.device.clone();
        let uniform = Meta { mag: 1.0, err: 0.0, quantum: None };
        match rng.below(5) {
            0 => self.put(format!("rand({shape:?})"), Tensor::rand(&shape, &device), uniform),
            1 => self.put(format!("randn({shape:?})"), Tensor::randn(&shape, &device), Meta { mag: 8.0, err: 4e-6, quantum: None }),
            2 => self.put(format!("randint(-4, 5, {shape:?})"), Tensor::randint(-4, 5, &shape, &device), Meta::exact(5.0, 0)),
            _ => {
                let Some(v) = self.any(rng, |v| v.float() && v.t.dtype() == DType::F32) else { return };
                let m = v.meta();
                let meta = Meta { mag: m.mag * 2.0, err: m.err * 2.0, quantum: m.quantum };
                self.put(format!("dropout({}, 0.5)", v.name), nn::dropout(&v.t, 0.5, true), meta)
            }
        };
    }
}
