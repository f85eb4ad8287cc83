//! A program as it runs: what is alive, what is chosen, what is seen.

mod arrange;
mod effects;
mod elementwise;
mod rows;

use std::cell::RefCell;
use std::fmt::Write;
use std::rc::Rc;

use taper::optim::Optimizer;
use taper::{DType, Result, Tensor};

use super::meta::Meta;
use super::{Mode, Record, Seen, Traits};
use crate::{Rng, kind, read};

const SIZES: &[usize] = &[1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 16, 33, 0];
const LARGE: &[usize] = &[1, 2, 3, 4, 5, 64, 65, 257, 1030, 4100, 5003];
const MAX_RANK: usize = 5;

#[derive(Clone)]
struct Var {
    name: String,
    t: Tensor,
    /// Shared by all views of one tensor.
    meta: Rc<RefCell<Meta>>,
}

impl Var {
    fn meta(&self) -> Meta {
        *self.meta.borrow()
    }
    fn float(&self) -> bool {
        self.t.dtype().is_float()
    }
}

pub struct Run<'a> {
    traits: Traits,
    mode: &'a Mode,
    sizes: &'static [usize],
    /// No tensor has more elements.
    limit: usize,
    step: usize,
    vars: Vec<Var>,
    leaves: Vec<Var>,
    optimizers: Vec<(Box<dyn Optimizer>, Vec<Var>)>,
    kept: Vec<Var>,
    pub records: Vec<Record>,
    pub text: Vec<String>,
    names: usize,
    data: u64,
}

impl<'a> Run<'a> {
    pub fn new(traits: Traits, mode: &'a Mode, large: bool) -> Run<'a> {
        let (sizes, limit) = if large { (LARGE, 24_000) } else { (SIZES, 1600) };
        Run {
            traits,
            mode,
            sizes,
            limit,
            step: 0,
            vars: Vec::new(),
            leaves: Vec::new(),
            optimizers: Vec::new(),
            kept: Vec::new(),
            records: Vec::new(),
            text: Vec::new(),
            names: 0,
            data: 0,
        }
    }

    // ---- results ------------------------------------------------------------------------------

    fn name(&mut self) -> String {
        self.names += 1;
        format!("v{}", self.names)
    }

    /// A new tensor, or the error instead of it.
    fn put(&mut self, call: String, result: Result<Tensor>, meta: Meta) -> Option<Var> {
        self.put_shared(call, result, Rc::new(RefCell::new(meta)))
    }

    fn put_shared(&mut self, call: String, result: Result<Tensor>, meta: Rc<RefCell<Meta>>) -> Option<Var> {
        let name = self.name();
        let mut line = format!("{name} = {call}");
        let var = match result {
            Ok(t) => {
                let fitted = meta.borrow().fits(t.dtype());
                *meta.borrow_mut() = fitted;
                write!(line, "   # {} {:?}", t.dtype(), t.shape()).ok();
                Some(Var { name, t, meta })
            }
            Err(e) => {
                self.record(call, Err(e));
                None
            }
        };
        self.line(line);
        let var = self.bound(var?)?;
        self.vars.push(var.clone());
        // Old tensors go, as variables do at the end of a scope.
        if self.vars.len() > 12 {
            let gone = self.vars.remove((self.data as usize * 7 + self.names) % 6);
            self.gone(gone);
        }
        Some(var)
    }

    /// Keeps values small enough to be compared.
    fn bound(&mut self, v: Var) -> Option<Var> {
        let m = v.meta();
        if m.mag <= 256.0 {
            return Some(v);
        }
        let name = self.name();
        let (call, result, meta) = match v.t.dtype() {
            d if d.is_float() && m.quantum.is_some_and(|q| q < 12) => (
                format!("{}.mul(1/256)", v.name),
                v.t.mul(1.0 / 256.0),
                Meta { mag: m.mag / 256.0, err: m.err / 256.0, quantum: m.quantum.map(|q| q + 8) },
            ),
            d if d.is_float() => (format!("{}.tanh()", v.name), v.t.tanh(), m.smooth(1.0, 1.0, d)),
            DType::I64 | DType::I32 => (format!("{}.remainder(97)", v.name), v.t.remainder(97), Meta::exact(97.0, 0)),
            _ => return Some(v),
        };
        self.line(format!("{name} = {call}"));
        match result {
            Ok(t) => {
                let meta = meta.fits(t.dtype());
                Some(Var { name, t, meta: Rc::new(RefCell::new(meta)) })
            }
            Err(e) => {
                self.record(call, Err(e));
                None
            }
        }
    }

    fn gone(&mut self, var: Var) {
        self.line(format!("drop({})", var.name));
        if self.mode.keep {
            self.kept.push(var);
        }
    }

    fn line(&mut self, line: String) {
        self.text.push(format!("{:3}: {line}", self.step));
    }

    fn record(&mut self, what: String, seen: Result<Seen>) {
        let message = seen.as_ref().err().map(|e| e.to_string()).unwrap_or_default();
        self.records.push(Record { what: format!("step {}: {what}", self.step), seen: seen.map_err(|e| kind(&e)), message });
    }

    fn see(&mut self, what: String, t: &Tensor, meta: Meta) {
        let err = if meta.is_exact() { 0.0 } else { meta.err.max(1e-30) };
        let seen = read(t).map(|values| Seen { dtype: t.dtype(), shape: t.shape().to_vec(), values, err });
        self.line(format!("read {what}"));
        self.record(what, seen);
    }

    fn done(&mut self, call: String, result: Result<()>) {
        self.line(call.clone());
        if let Err(e) = result {
            self.record(call, Err(e));
        }
    }

    pub fn finish(&mut self, mut rng: Rng) {
        self.step += 1;
        let mut vars = std::mem::take(&mut self.vars);
        // Some handles go just before everything pending is computed.
        for _ in 0..rng.below(3) {
            if !vars.is_empty() {
                let gone = vars.remove(rng.below(vars.len()));
                self.gone(gone);
            }
        }
        if rng.one_in(2) {
            let r = self.mode.device.flush();
            self.done("flush()".into(), r);
        }
        while !vars.is_empty() {
            let v = vars.remove(rng.below(vars.len()));
            self.see(v.name.clone(), &v.t, v.meta());
        }
        for leaf in std::mem::take(&mut self.leaves) {
            if let Some(g) = leaf.t.grad() {
                self.see(format!("{}.grad", leaf.name), &g, Meta::unknown());
            }
        }
    }

    // ---- choices ------------------------------------------------------------------------------

    fn any(&self, rng: &mut Rng, want: impl Fn(&Var) -> bool) -> Option<Var> {
        let fitting: Vec<&Var> = self.vars.iter().filter(|v| want(v)).collect();
        // Recent ones more often: chains grow.
        let n = fitting.len();
        if n == 0 {
            return None;
        }
        let i = if rng.one_in(2) { n - 1 - rng.below(n.min(3)) } else { rng.below(n) };
        Some(fitting[i].clone())
    }

    fn shape(&self, rng: &mut Rng) -> Vec<usize> {
        let rank = *rng.pick(&[0, 1, 1, 2, 2, 2, 3, 3, 4]);
        let mut shape: Vec<usize> = (0..rank).map(|_| *rng.pick(self.sizes)).collect();
        // Empty tensors now and then.
        if !rng.one_in(8) {
            shape.iter_mut().filter(|d| **d == 0).for_each(|d| *d = 3);
        }
        while shape.iter().product::<usize>() > self.limit / 4 {
            if let Some(d) = shape.iter_mut().max() {
                *d = (*d / 2).max(1);
            }
        }
        shape
    }

    fn dtype(&self, rng: &mut Rng) -> DType {
        if rng.below(10) < 7 { self.traits.types[0] } else { *rng.pick(self.traits.types) }
    }

    /// Fresh data: multiples of 1/8 in -2..2, small integers, bools.
    fn fresh(&mut self, rng: &mut Rng, shape: &[usize], dtype: DType) -> (String, Result<Tensor>, Meta) {
        self.data += 1;
        let n: usize = shape.iter().product();
        let mut values = Rng(self.mode.salt ^ (self.data << 32) ^ rng.next());
        let odd = self.traits.odd && rng.one_in(4);
        let eighth = |v: &mut Rng| match v.below(40) {
            k if odd && k > 32 => *v.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0]),
            k => (k % 33) as f64 / 8.0 - 2.0,
        };
        let device = &self.mode.device;
        let (result, meta) = match dtype {
            DType::Bool => (Tensor::from_vec((0..n).map(|_| values.one_in(2)).collect::<Vec<bool>>(), shape, device), Meta::exact(1.0, 0)),
            DType::U8 => (Tensor::from_vec((0..n).map(|_| values.below(9) as u8).collect::<Vec<u8>>(), shape, device), Meta::exact(9.0, 0)),
            DType::I64 => {
                (Tensor::from_vec((0..n).map(|_| values.below(9) as i64 - 4).collect::<Vec<i64>>(), shape, device), Meta::exact(4.0, 0))
            }
            d if d.is_int() => {
                let ints = Tensor::from_vec((0..n).map(|_| values.below(9) as i32 - 4).collect::<Vec<i32>>(), shape, device);
                (ints.and_then(|t| t.to_dtype(d)), Meta::exact(4.0, 0))
            }
            DType::F64 => (Tensor::from_vec((0..n).map(|_| eighth(&mut values)).collect::<Vec<f64>>(), shape, device), Meta::exact(2.0, 3)),
            d => {
                let floats = Tensor::from_vec((0..n).map(|_| eighth(&mut values) as f32).collect::<Vec<f32>>(), shape, device);
                (if d == DType::F32 { floats } else { floats.and_then(|t| t.to_dtype(d)) }, Meta::exact(2.0, 3))
            }
        };
        (format!("data({dtype}, {shape:?})"), result, meta)
    }

    /// A tensor that broadcasts with `v`: one that is there, or a fresh one.
    fn partner(&mut self, rng: &mut Rng, v: &Var, same_type: bool) -> Option<Var> {
        let (shape, dtype) = (v.t.shape().to_vec(), v.t.dtype());
        let fits = |o: &Var| {
            broadcast(o.t.shape(), &shape).is_some_and(|s| s.iter().product::<usize>() <= self.limit)
                && (!same_type || o.t.dtype() == dtype)
        };
        if rng.below(4) < 3
            && let Some(o) = self.any(rng, fits)
        {
            return Some(o);
        }
        let mut partial: Vec<usize> = shape.iter().map(|&d| if rng.one_in(3) { 1 } else { d }).collect();
        while !partial.is_empty() && rng.one_in(4) {
            partial.remove(0);
        }
        // Now and then one that does not fit, which has to be an error in both ways.
        if rng.one_in(40) {
            partial.push(6);
        }
        let other = if same_type || rng.below(3) < 2 { dtype } else { self.dtype(rng) };
        let (call, result, meta) = self.fresh(rng, &partial, other);
        self.put(call, result, meta)
    }

    fn dim(&self, rng: &mut Rng, rank: usize) -> isize {
        let d = rng.below(rank) as isize;
        if rng.one_in(3) { d - rank.max(1) as isize } else { d }
    }

    fn dims(&self, rng: &mut Rng, rank: usize) -> Vec<isize> {
        let mut all: Vec<isize> = (0..rank as isize).collect();
        let keep = 1 + rng.below(rank);
        while all.len() > keep {
            all.remove(rng.below(all.len()));
        }
        if rng.one_in(4) {
            all.iter_mut().for_each(|d| *d -= rank as isize);
        }
        all
    }

    fn index(&mut self, rng: &mut Rng, shape: &[usize], below: usize) -> (String, Result<Tensor>) {
        self.data += 1;
        let n: usize = shape.iter().product();
        let mut values = Rng(self.mode.salt ^ (self.data << 32) ^ rng.next());
        let list: Vec<i64> = (0..n).map(|_| values.below(below) as i64).collect();
        (format!("indices(0..{below}, {shape:?})"), Tensor::from_vec(list, shape, &self.mode.device))
    }

    // ---- steps --------------------------------------------------------------------------------

    pub fn step(&mut self, number: usize, mut rng: Rng) {
        self.step = number;
        let rng = &mut rng;
        if self.vars.is_empty() {
            self.create(rng);
            return;
        }
        match rng.below(100) {
            0..7 => self.create(rng),
            7..11 => self.leaf(rng),
            11..25 => self.unary(rng),
            25..39 => self.binary(rng),
            39..42 => self.compare(rng),
            42..45 => self.choose(rng),
            45..48 => self.cast(rng),
            48..56 => self.reduce(rng),
            56..60 => self.rows(rng),
            60..63 => self.matmul(rng),
            63..67 => self.layer(rng),
            67..75 => self.view(rng),
            75..78 => self.join(rng),
            78..82 => self.pick_elements(rng),
            82..89 => self.in_place(rng),
            89..91 => self.forget(rng),
            91..93 => self.compute(rng),
            93..97 => self.backward(rng),
            97 => self.optimize(rng),
            98 if self.traits.random => self.random(rng),
            98 => self.travel(rng),
            _ => self.look(rng),
        }
    }
}

/// The shape two shapes broadcast to.
fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| if i + s.len() >= rank { s[i + s.len() - rank] } else { 1 };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}
