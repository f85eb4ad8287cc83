//! Random programs over the public API.
//!
//! A program is a list of step seeds. Each step looks at the tensors that are alive (their shapes and types, never
//! their values), chooses an operation that mostly fits, and logs what it did. So any sub-list of the steps is a
//! program too, which makes shrinking a matter of leaving steps out.
//!
//! Every tensor carries an estimate of how large it and its rounding error can be. Values that are multiples of a power
//! of two and small enough are *exact*: whatever the order of evaluation, every bit of them is known to agree. Only exact
//! values are compared, rounded, or turned into indices: a difference in the last bit must not change what a program does.

use std::cell::RefCell;
use std::fmt::Write;
use std::rc::Rc;
use std::sync::Mutex;

use taper::optim::{Adam, Optimizer, Sgd};
use taper::{DType, Device, Result, Tensor, autograd, loss, nn};

use crate::{Rng, difference, kind, read};

#[derive(Debug, Clone)]
pub struct Program {
    pub seed: u64,
    pub steps: Vec<u64>,
    pub traits: Traits,
}

/// What a family of programs may do.
#[derive(Debug, Clone, Copy)]
pub struct Traits {
    /// Types that programs draw from; the first is the usual one.
    pub types: &'static [DType],
    /// Random numbers: they come from one generator, so such programs run one at a time.
    pub random: bool,
    /// NaN, infinities and negative zero among the data.
    pub odd: bool,
}

/// What every device has.
pub const PORTABLE: &[DType] = &[DType::F32, DType::I64, DType::Bool, DType::F16, DType::BF16, DType::I32, DType::U8];
/// What the CPU has.
pub const ALL: &[DType] = &[DType::F64, DType::F32, DType::I64, DType::Bool, DType::F16, DType::I8, DType::I16, DType::I32, DType::U8];

/// How a program is run.
#[derive(Debug, Clone)]
pub struct Mode {
    pub device: Device,
    pub eager: bool,
    /// Which values the program's data has; its structure does not depend on this.
    pub salt: u64,
    /// Handles the program drops are kept nevertheless: the same work, with other values wanted afterwards.
    pub keep: bool,
}

/// What a run let be seen.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub records: Vec<Record>,
    /// The program as somebody would write it.
    pub text: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct Record {
    pub what: String,
    pub seen: std::result::Result<Seen, &'static str>,
    pub message: String,
}

#[derive(Debug, Clone)]
pub struct Seen {
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub values: Vec<f64>,
    /// How far off rounding may be; infinite when nothing is known but that it should be small beside the values.
    pub err: f64,
}

impl Program {
    pub fn new(seed: u64, length: usize, traits: Traits) -> Program {
        let mut rng = Rng(seed);
        let length = 3 + rng.below(length);
        Program { seed, steps: (0..length).map(|_| rng.next()).collect(), traits }
    }

    pub fn run(&self, mode: &Mode) -> Outcome {
        static GENERATOR: Mutex<()> = Mutex::new(());
        let _alone = self.traits.random.then(|| GENERATOR.lock().unwrap_or_else(|e| e.into_inner()));
        if self.traits.random {
            taper::manual_seed(self.seed ^ mode.salt);
        }
        taper::with_eager(mode.eager, || {
            // Now and then sizes that take more than one tile, workgroup or chunk.
            let mut run = Run::new(self.traits, mode, self.seed % 8 == 0);
            for (i, &seed) in self.steps.iter().enumerate() {
                run.step(i, Rng(seed));
            }
            run.finish(Rng(self.seed ^ 0xf1));
            Outcome { records: run.records, text: run.text }
        })
    }

    /// The smallest sub-program found for which `fails` holds.
    pub fn shrink(&self, fails: impl Fn(&Program) -> bool) -> Program {
        let mut best = self.clone();
        let mut size = best.steps.len() / 2;
        while size > 0 {
            let mut at = 0;
            while at < best.steps.len() {
                let mut smaller = best.clone();
                smaller.steps.drain(at..(at + size).min(smaller.steps.len()));
                if fails(&smaller) { best = smaller } else { at += size }
            }
            size /= 2;
        }
        best
    }
}

/// Where two runs of one program disagree. `slack` multiplies the tolerance: two devices differ by more than two plans.
pub fn disagreement(a: &Outcome, b: &Outcome, slack: f64) -> Option<String> {
    for (a, b) in a.records.iter().zip(&b.records) {
        let why = match (&a.seen, &b.seen) {
            (Err(x), Err(y)) if x == y => continue,
            (Ok(x), Ok(y)) if x.dtype != y.dtype || x.shape != y.shape => {
                Some(format!("{} {:?} against {} {:?}", x.dtype, x.shape, y.dtype, y.shape))
            }
            (Ok(x), Ok(y)) => {
                let low = matches!(x.dtype, DType::F16 | DType::BF16);
                let largest = y.values.iter().filter(|v| v.is_finite()).fold(1.0f64, |m, v| m.max(v.abs()));
                let atol = match x.err {
                    0.0 => 0.0,
                    e if e.is_finite() => e * slack + if slack > 1.0 { 1e-5 } else { 0.0 },
                    _ => largest * slack.min(4.0) * if low { 5e-2 } else { 1e-3 },
                };
                difference(&x.values, &y.values, 0.0, atol)
            }
            _ => Some("one run reports an error, the other does not, or not the same kind".into()),
        };
        if let Some(why) = why {
            let show = |r: &Record| match &r.seen {
                Ok(s) => format!("{} {:?} {:?} (err {:e})", s.dtype, s.shape, &s.values[..s.values.len().min(40)], s.err),
                Err(k) => format!("{k} error: {}", r.message),
            };
            return Some(format!("{}: {why}\n  first:  {}\n  second: {}", a.what, show(a), show(b)));
        }
    }
    (a.records.len() != b.records.len()).then(|| format!("{} results against {}", a.records.len(), b.records.len()))
}

/// What is known of a tensor's values without looking at them.
#[derive(Debug, Clone, Copy)]
struct Meta {
    /// No larger than this.
    mag: f64,
    /// Rounding errors no larger than about this.
    err: f64,
    /// Multiples of `2^-quantum`, exactly.
    quantum: Option<i32>,
}

const SIZES: &[usize] = &[1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 16, 33, 0];
const LARGE: &[usize] = &[1, 2, 3, 4, 5, 64, 65, 257, 1030, 4100, 5003];
const MAX_RANK: usize = 5;

impl Meta {
    fn exact(mag: f64, quantum: i32) -> Meta {
        Meta { mag, err: 0.0, quantum: Some(quantum) }
    }
    fn unknown() -> Meta {
        Meta { mag: 1000.0, err: f64::INFINITY, quantum: None }
    }
    /// Whether values of this type hold such numbers exactly, sums and products included.
    fn fits(self, dtype: DType) -> Meta {
        let bits = match dtype {
            DType::F64 => 48.0,
            DType::F32 | DType::I64 | DType::I32 => 21.0,
            DType::F16 => 10.0,
            DType::BF16 => 7.0,
            // Small integers wrap, which is exact.
            _ => return Meta::exact(256.0, 0),
        };
        match self.quantum {
            Some(q) if self.mag.max(1e-9).log2() + q as f64 <= bits => self,
            Some(q) => Meta { quantum: None, err: self.err.max(eps(dtype) * self.mag), ..self }.keep_int(dtype, q),
            None => self,
        }
    }
    fn keep_int(self, dtype: DType, q: i32) -> Meta {
        if dtype.is_int() { Meta { quantum: Some(q), err: 0.0, ..self } } else { self }
    }
    fn is_exact(&self) -> bool {
        self.quantum.is_some()
    }
    fn join(self, o: Meta) -> Meta {
        let quantum = match (self.quantum, o.quantum) {
            (Some(a), Some(b)) => Some(a.max(b)),
            _ => None,
        };
        Meta { mag: self.mag.max(o.mag), err: self.err.max(o.err), quantum }
    }
    /// The image under a function with slope `slope` and values up to `mag`.
    fn smooth(self, slope: f64, mag: f64, dtype: DType) -> Meta {
        Meta { mag, err: self.err * slope + eps(dtype) * mag.max(1.0) * 4.0, quantum: None }
    }
}

/// A few units in the last place.
fn eps(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => 1e-13,
        DType::F16 => 1e-3,
        DType::BF16 => 8e-3,
        _ => 1e-6,
    }
}

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

struct Run<'a> {
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
    records: Vec<Record>,
    text: Vec<String>,
    names: usize,
    data: u64,
}

impl<'a> Run<'a> {
    fn new(traits: Traits, mode: &'a Mode, large: bool) -> Run<'a> {
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

    fn finish(&mut self, mut rng: Rng) {
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

    fn step(&mut self, number: usize, mut rng: Rng) {
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

    fn create(&mut self, rng: &mut Rng) {
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

    fn leaf(&mut self, rng: &mut Rng) {
        let shape = self.shape(rng);
        let dtype = if rng.one_in(10) { self.dtype(rng) } else { self.traits.types[0] };
        let (call, result, meta) = self.fresh(rng, &shape, dtype);
        let result = result.and_then(|t| t.requires_grad_(true).cloned());
        if let Some(v) = self.put(call + ".requires_grad_()", result, meta) {
            self.leaves.push(v);
        }
    }

    fn unary(&mut self, rng: &mut Rng) {
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

    fn binary(&mut self, rng: &mut Rng) {
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

    fn compare(&mut self, rng: &mut Rng) {
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

    fn choose(&mut self, rng: &mut Rng) {
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

    fn cast(&mut self, rng: &mut Rng) {
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

    fn reduce(&mut self, rng: &mut Rng) {
        let Some(v) = self.any(rng, |_| true) else { return };
        let (t, m, d, rank) = (&v.t, v.meta(), v.t.dtype(), v.t.rank());
        let dims = self.dims(rng, rank);
        let keep = rng.one_in(2);
        let size = |d: isize| t.shape()[(if d < 0 { d + rank as isize } else { d }) as usize];
        let count = if rank == 0 { 1 } else { dims.iter().map(|&d| size(d)).product::<usize>() };
        let n = count.max(1) as f64;
        let all = rng.one_in(4);
        let total = t.numel().max(1) as f64;
        let by = |op: &str| {
            if all { format!("{}.{op}_all()", v.name) } else { format!("{}.{op}{}({dims:?})", v.name, if keep { "_keepdim" } else { "" }) }
        };
        let n = if all { total } else { n };
        let sum = Meta { mag: m.mag * n, err: m.err * n + eps(d) * m.mag * n, ..m };
        let mean = Meta { mag: m.mag, err: m.err + eps(d) * m.mag, quantum: None };
        let pow2 = n.log2();
        let mean = if pow2.fract() == 0.0 { Meta { quantum: m.quantum.map(|q| q + pow2 as i32), ..mean } } else { mean };
        match rng.below(13) {
            0..=2 if all => self.put(by("sum"), t.sum_all(), sum),
            0..=2 if keep => self.put(by("sum"), t.sum_keepdim(&dims), sum),
            0..=2 => self.put(by("sum"), t.sum(&dims), sum),
            3 if all => self.put(by("mean"), t.mean_all(), mean),
            3 if keep => self.put(by("mean"), t.mean_keepdim(&dims), mean),
            3 => self.put(by("mean"), t.mean(&dims), mean),
            4 if keep => self.put(format!("{}.amax_keepdim({dims:?})", v.name), t.amax_keepdim(&dims), m),
            4 => self.put(format!("{}.amax({dims:?})", v.name), t.amax(&dims), m),
            5 if keep => self.put(format!("{}.amin_keepdim({dims:?})", v.name), t.amin_keepdim(&dims), m),
            5 => self.put(format!("{}.amin({dims:?})", v.name), t.amin(&dims), m),
            6 if m.is_exact() => self.put(format!("{}.any({dims:?})", v.name), t.any(&dims), Meta::exact(1.0, 0)),
            7 if m.is_exact() => self.put(format!("{}.all({dims:?})", v.name), t.all(&dims), Meta::exact(1.0, 0)),
            8 if m.is_exact() && d != DType::Bool => {
                let dim = self.dim(rng, rank);
                let dim = if all { None } else { Some(dim) };
                let name = if keep { "argmax" } else { "argmin" };
                let result = if keep { t.argmax(dim, !all && rng.one_in(2)) } else { t.argmin(dim, !all && rng.one_in(2)) };
                self.put(format!("{}.{name}({dim:?})", v.name), result, Meta::exact(total, 0))
            }
            9 if m.is_exact() => {
                let dim = self.dim(rng, rank);
                let result = t.max(dim);
                let (values, indices) = match result {
                    Ok((a, b)) => (Ok(a), Ok(b)),
                    Err(e) => (Err(e.clone()), Err(e)),
                };
                self.put(format!("{}.max({dim}).0", v.name), values, m);
                self.put(format!("{}.max({dim}).1", v.name), indices, Meta::exact(total, 0))
            }
            10 if d.is_float() => {
                let meta = Meta { mag: m.mag * m.mag * 2.0, err: 8.0 * m.mag * m.err + 8.0 * eps(d) * m.mag * m.mag, quantum: None };
                if n < 2.0 {
                    return;
                }
                self.put(format!("{}.var({dims:?})", v.name), if all { t.var(.., 1.0) } else { t.var(&dims, 1.0) }, meta)
            }
            11 if d.is_float() => {
                let meta = Meta { mag: m.mag + n.ln(), err: m.err + 8.0 * eps(d) * (m.mag + 1.0), quantum: None };
                self.put(format!("{}.logsumexp({dims:?})", v.name), t.logsumexp(&dims), meta)
            }
            12 if d.is_float() && m.mag <= 2.0 && n <= 8.0 => {
                let mag = m.mag.powf(n).max(m.mag);
                let quantum = m.quantum.map(|q| q * n as i32);
                self.put(format!("{}.prod({dims:?})", v.name), t.prod(&dims), Meta { mag, err: n * mag * (m.err + eps(d)), quantum })
            }
            _ => self.put(
                format!("{}.sum({dims:?})", v.name),
                t.sum(&dims),
                Meta { mag: m.mag * n, err: m.err * n + eps(d) * m.mag * n, ..m },
            ),
        };
    }

    fn rows(&mut self, rng: &mut Rng) {
        let Some(v) = self.any(rng, |v| v.float() && v.t.rank() > 0) else { return };
        let (t, m, d, rank) = (&v.t, v.meta(), v.t.dtype(), v.t.rank());
        let dim = self.dim(rng, rank);
        match rng.below(5) {
            0 | 1 => self.put(format!("{}.softmax({dim})", v.name), t.softmax(dim), m.smooth(2.0, 1.0, d)),
            2 => self.put(format!("{}.log_softmax({dim})", v.name), t.log_softmax(dim), m.smooth(2.0, 2.0 * m.mag + 8.0, d)),
            _ => {
                let last = t.shape()[rank - 1];
                let mag = (last as f64).sqrt() + 1.0;
                if rng.one_in(2) {
                    return drop(self.put(
                        format!("{}.layer_norm([{last}], eps=0.1)", v.name),
                        t.layer_norm(&[last], None, None, 0.1),
                        m.smooth(20.0, mag, d),
                    ));
                }
                let (call, w, _) = self.fresh(rng, &[last], d);
                let (_, b, _) = self.fresh(rng, &[last], d);
                let result = w.and_then(|w| b.and_then(|b| t.layer_norm(&[last], Some(&w), Some(&b), 0.1)));
                self.put(format!("{}.layer_norm([{last}], {call}, {call}, eps=0.1)", v.name), result, m.smooth(40.0, 2.0 * mag + 2.0, d))
            }
        };
    }

    fn matmul(&mut self, rng: &mut Rng) {
        let Some(a) = self.any(rng, |v| v.float() && v.t.rank() > 0) else { return };
        let (shape, d) = (a.t.shape().to_vec(), a.t.dtype());
        let k = shape[shape.len() - 1];
        let (x, e) = (a.meta(), eps(d));
        let product = |y: Meta| {
            let n = k.max(1) as f64;
            let quantum = x.quantum.zip(y.quantum).map(|(a, b)| a + b);
            Meta { mag: x.mag * y.mag * n, err: n * (x.err * y.mag + y.err * x.mag + e * x.mag * y.mag), quantum }
        };
        let b = match rng.below(3) {
            0 if shape.len() >= 2
                && shape[shape.len() - 2] * a.t.numel() <= 4_000_000
                && shape[shape.len() - 2] * a.t.numel() / k.max(1) <= self.limit =>
            {
                let Some(b) = self.put_shared(format!("{}.transpose(-1, -2)", a.name), a.t.transpose(-1, -2), a.meta.clone()) else {
                    return;
                };
                b
            }
            _ => {
                let n = *rng.pick(self.sizes);
                let mut other = vec![k, n];
                if rng.one_in(3) {
                    other = vec![k];
                } else if shape.len() > 2 && rng.one_in(2) {
                    other = [&shape[..shape.len() - 2], &other[..]].concat();
                }
                let rows: usize = shape[..shape.len() - 1].iter().product();
                if rows * n > self.limit || rows * n * k > 4_000_000 {
                    return;
                }
                let (call, result, meta) = self.fresh(rng, &other, d);
                let Some(b) = self.put(call, result, meta) else { return };
                b
            }
        };
        self.put(format!("{}.matmul({})", a.name, b.name), a.t.matmul(&b.t), product(b.meta()));
    }

    /// Hand-written kernels beside the matrix product, on data of a shape that fits them.
    fn layer(&mut self, rng: &mut Rng) {
        let d = self.traits.types[0];
        let (n, c, h, w) = (1 + rng.below(2), 1 + rng.below(3), 3 + rng.below(4), 3 + rng.below(5));
        let shape = [n, c, h, w];
        let volume: usize = shape.iter().product();
        // Something that is there, cut to size, or fresh data.
        let found = self.any(rng, |v| v.t.dtype() == d && v.t.numel() >= volume && v.meta().mag <= 64.0);
        let x = match found {
            Some(v) if rng.below(3) < 2 => {
                let view = v.t.flatten(0, -1).and_then(|t| t.narrow(0, 0, volume)).and_then(|t| t.reshape(shape));
                self.put_shared(format!("{}.flatten(0, -1).narrow(0, 0, {volume}).reshape({shape:?})", v.name), view, v.meta.clone())
            }
            _ => {
                let (call, result, meta) = self.fresh(rng, &shape, d);
                self.put(call, result, meta)
            }
        };
        let Some(x) = x else { return };
        let (t, name, m) = (&x.t, &x.name, x.meta());
        let spread =
            |k: usize, by: f64| Meta { mag: m.mag * by * k as f64, err: k as f64 * (m.err * by + eps(d) * m.mag * by), quantum: None };
        match rng.below(8) {
            0 | 1 => {
                let (o, k) = (1 + rng.below(3), 1 + rng.below(3));
                let (stride, padding) = (1 + rng.below(2), rng.below(2));
                let (call, weight, wm) = self.fresh(rng, &[o, c, k, k], d);
                let leaf = rng.one_in(2);
                let weight = weight.and_then(|w| w.requires_grad_(leaf).cloned());
                let Some(weight) = self.put(call + if leaf { ".requires_grad_()" } else { "" }, weight, wm) else { return };
                if leaf {
                    self.leaves.push(weight.clone());
                }
                let (_, bias, _) = self.fresh(rng, &[o], d);
                let result = bias.and_then(|b| t.conv2d(&weight.t, Some(&b), stride, padding, 1, 1));
                let mut meta = spread(c * k * k + 1, 2.0);
                meta.mag += 2.0;
                self.put(format!("{name}.conv2d({}, data, stride {stride}, padding {padding})", weight.name), result, meta);
            }
            2 if m.is_exact() => drop(self.put(format!("{name}.max_pool2d(2, 2, 0)"), t.max_pool2d(2, 2, 0, 1, false), m)),
            2 | 3 => {
                drop(self.put(format!("{name}.avg_pool2d(3, 2, 1)"), t.avg_pool2d(3, 2, 1, false, true, None), m.smooth(1.0, m.mag, d)))
            }
            4 => {
                let causal = rng.one_in(2);
                let result = t.scaled_dot_product_attention(t, t, None, 0.0, causal, None);
                let meta = Meta { mag: m.mag, err: (m.err + eps(d)) * 16.0 * (m.mag + 1.0).powi(2) * w as f64, quantum: None };
                self.put(format!("attention({name}, {name}, {name}, causal {causal})"), result, meta);
            }
            5 => {
                let meta = m.smooth(20.0, 30.0, d);
                self.put(format!("{name}.batch_norm(training, eps=0.1)"), t.batch_norm(None, None, None, true, 0.1, 0.1), meta);
            }
            6 => {
                let (call, target) = self.index(rng, &[n, h, w], c);
                let result = target.and_then(|y| loss::cross_entropy(t, &y));
                self.put(format!("cross_entropy({name}, {call})"), result, m.smooth(2.0, 2.0 * m.mag + 4.0, d));
            }
            _ => {
                let result = t.pad([1, 0, 2, 1], "constant", 0.5).and_then(|t| t.roll([1], [-1]));
                self.put(format!("{name}.pad([1, 0, 2, 1], 0.5).roll([1], [-1])"), result, Meta { mag: m.mag.max(1.0), ..m });
            }
        }
    }

    fn random(&mut self, rng: &mut Rng) {
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

    /// To the CPU and back.
    fn travel(&mut self, rng: &mut Rng) {
        let Some(v) = self.any(rng, |_| true) else { return };
        let result = v.t.to(&Device::cpu()).and_then(|t| t.clone_data()).and_then(|t| t.to(&self.mode.device));
        self.put(format!("{}.to(cpu).clone_data().to(device)", v.name), result, v.meta());
    }

    /// A step of an optimizer over some of the leaves.
    fn optimize(&mut self, rng: &mut Rng) {
        if self.optimizers.is_empty() || rng.one_in(4) {
            let params: Vec<Var> = self.leaves.iter().filter(|v| v.t.dtype() == self.traits.types[0] && !rng.one_in(3)).cloned().collect();
            let taken = |v: &Var| self.optimizers.iter().any(|(_, p)| p.iter().any(|p| p.t.ptr_eq(&v.t)));
            let params: Vec<Var> = params.into_iter().filter(|v| !taken(v)).collect();
            if params.is_empty() {
                return;
            }
            let tensors: Vec<Tensor> = params.iter().map(|p| p.t.clone()).collect();
            let adam = rng.one_in(2);
            let made: Result<Box<dyn Optimizer>> = if adam {
                // A large eps: a gradient of nothing but rounding errors must not become a step of full length.
                Adam::builder(0.01).eps(0.1).build(tensors).map(|o| Box::new(o) as Box<dyn Optimizer>)
            } else {
                Sgd::builder(0.01).momentum(0.5).build(tensors).map(|o| Box::new(o) as Box<dyn Optimizer>)
            };
            let names: Vec<&str> = params.iter().map(|p| p.name.as_str()).collect();
            let call = format!("{}({names:?})", if adam { "Adam" } else { "Sgd" });
            match made {
                Ok(o) => {
                    self.line(format!("optimizer {} = {call}", self.optimizers.len()));
                    self.optimizers.push((o, params));
                }
                Err(e) => self.done(call, Err(e)),
            }
        }
        let i = rng.below(self.optimizers.len());
        let result = self.optimizers[i].0.step();
        for p in &self.optimizers[i].1 {
            if p.t.grad().is_some() {
                *p.meta.borrow_mut() = Meta { mag: p.meta().mag + 10.0, err: f64::INFINITY, quantum: None };
            }
        }
        self.done(format!("optimizer {i}.step()"), result);
        if rng.one_in(2) {
            let result = self.optimizers[i].0.zero_grad(rng.one_in(2));
            self.done(format!("optimizer {i}.zero_grad()"), result);
        }
    }

    fn view(&mut self, rng: &mut Rng) {
        let Some(v) = self.any(rng, |_| true) else { return };
        let (t, n, shape, rank) = (&v.t, &v.name, v.t.shape().to_vec(), v.t.rank());
        let dim = self.dim(rng, rank);
        let size = shape.get((if dim < 0 { dim + rank as isize } else { dim }) as usize).copied().unwrap_or(1);
        let (call, result) = match rng.below(16) {
            0 | 1 => {
                let to = reshaped(rng, &shape);
                (format!("{n}.reshape({to:?})"), t.reshape(&to))
            }
            2 | 3 => {
                let mut dims: Vec<isize> = (0..rank as isize).collect();
                for i in (1..dims.len()).rev() {
                    dims.swap(i, rng.below(i + 1));
                }
                (format!("{n}.permute({dims:?})"), t.permute(&dims))
            }
            4 => {
                let mut to: Vec<isize> = shape.iter().map(|&d| if d == 1 { 1 + rng.below(4) as isize } else { d as isize }).collect();
                if rng.one_in(2) && rank < MAX_RANK {
                    to.insert(0, 1 + rng.below(3) as isize);
                }
                if to.iter().product::<isize>() > self.limit as isize {
                    return;
                }
                (format!("{n}.expand({to:?})"), t.expand(&to))
            }
            5 | 6 => {
                let (start, end) = (rng.below(size + 1) as isize, rng.below(size + 2) as isize);
                let (start, end) = if start > end { (end, start) } else { (start, end) };
                let end = if rng.one_in(4) { -1 } else { end };
                let step = 1 + rng.below(3) as isize;
                (format!("{n}.slice({dim}, {start}, {end}, {step})"), t.slice(dim, start, end, step))
            }
            7 if size > 0 => {
                let start = rng.below(size);
                let len = 1 + rng.below(size - start);
                (format!("{n}.narrow({dim}, {start}, {len})"), t.narrow(dim, start, len))
            }
            8 if size > 0 => {
                let i = rng.below(size) as isize;
                (format!("{n}.select({dim}, {i})"), t.select(dim, i))
            }
            9 | 10 => {
                let dims = self.dims(rng, rank);
                (format!("{n}.flip({dims:?})"), t.flip(&dims))
            }
            11 => (format!("{n}.squeeze(..)"), t.squeeze(..)),
            12 if rank < MAX_RANK => (format!("{n}.unsqueeze({dim})"), t.unsqueeze(dim)),
            13 if rank >= 2 => {
                let other = self.dim(rng, rank);
                (format!("{n}.transpose({dim}, {other})"), t.transpose(dim, other))
            }
            14 if rank >= 2 && rng.one_in(2) => (format!("{n}.diagonal(0, 0, 1)"), t.diagonal(0, 0, 1)),
            14 if size >= 2 && rank < MAX_RANK => {
                let window = 1 + rng.below(size.min(3));
                (format!("{n}.unfold({dim}, {window}, 1)"), t.unfold(dim, window, 1))
            }
            15 => match rng.below(3) {
                0 => (format!("{n}.contiguous()"), t.contiguous()),
                1 => (format!("{n}.detach()"), t.detach()),
                _ => (n.clone(), Ok(t.clone())),
            },
            _ => (format!("{n}.flatten(0, -1)"), t.flatten(0, -1)),
        };
        self.put_shared(call, result, v.meta.clone());
    }

    fn join(&mut self, rng: &mut Rng) {
        let Some(v) = self.any(rng, |v| v.t.rank() > 0) else { return };
        let (shape, rank) = (v.t.shape().to_vec(), v.t.rank());
        let dim = self.dim(rng, rank);
        let d = (if dim < 0 { dim + rank as isize } else { dim }) as usize;
        match rng.below(6) {
            0..3 => {
                let same =
                    |o: &Var| o.t.dtype() == v.t.dtype() && o.t.rank() == rank && (0..rank).all(|i| i == d || o.t.shape()[i] == shape[i]);
                let mut parts = vec![v.clone()];
                for _ in 0..1 + rng.below(3) {
                    parts.extend(self.any(rng, same));
                }
                if rng.one_in(2) {
                    let (call, result, meta) = self.fresh(rng, &shape, v.t.dtype());
                    parts.extend(self.put(call, result, meta));
                }
                if parts.iter().map(|p| p.t.numel()).sum::<usize>() > self.limit {
                    return;
                }
                let meta = parts.iter().map(Var::meta).fold(v.meta(), Meta::join);
                let names: Vec<&str> = parts.iter().map(|p| p.name.as_str()).collect();
                let tensors: Vec<&Tensor> = parts.iter().map(|p| &p.t).collect();
                self.put(format!("cat({names:?}, {dim})"), Tensor::cat(&tensors, dim), meta);
            }
            3 => {
                let same = |o: &Var| o.t.dtype() == v.t.dtype() && o.t.shape() == shape;
                let Some(o) = self.any(rng, same) else { return };
                if rank >= MAX_RANK || 2 * v.t.numel() > self.limit {
                    return;
                }
                self.put(format!("stack([{}, {}], {dim})", v.name, o.name), Tensor::stack(&[&v.t, &o.t], dim), v.meta().join(o.meta()));
            }
            4 => self.pieces(format!("{}.chunk(3, {dim})", v.name), &v, v.t.chunk(3, dim)),
            _ => self.pieces(format!("{}.split(2, {dim})", v.name), &v, v.t.split(2, dim)),
        }
    }

    fn pieces(&mut self, call: String, of: &Var, result: Result<Vec<Tensor>>) {
        match result {
            Ok(list) => {
                for (i, t) in list.into_iter().enumerate().take(3) {
                    self.put_shared(format!("{call}[{i}]"), Ok(t), of.meta.clone());
                }
            }
            Err(e) => self.done(call, Err(e)),
        }
    }

    fn pick_elements(&mut self, rng: &mut Rng) {
        let Some(v) = self.any(rng, |v| v.t.rank() > 0 && v.t.numel() > 0) else { return };
        let (t, n, shape, rank, m) = (&v.t, &v.name, v.t.shape().to_vec(), v.t.rank(), v.meta());
        let d = rng.below(rank);
        let dim = d as isize;
        let count = 1 + rng.below(4);
        match rng.below(5) {
            0 | 1 => {
                let (call, index) = self.index(rng, &[count], shape[d]);
                if t.numel() / shape[d] * count > self.limit {
                    return;
                }
                self.put(format!("{n}.index_select({dim}, {call})"), index.and_then(|i| t.index_select(dim, &i)), m);
            }
            2 => {
                let mut to = shape.clone();
                to[d] = count;
                if to.iter().product::<usize>() > self.limit {
                    return;
                }
                let (call, index) = self.index(rng, &to, shape[d]);
                self.put(format!("{n}.gather({dim}, {call})"), index.and_then(|i| t.gather(dim, &i)), m);
            }
            3 if v.t.dtype() != DType::Bool => {
                let mut from = shape.clone();
                from[d] = count;
                let (call, index) = self.index(rng, &from, shape[d]);
                let (source_call, source, s) = self.fresh(rng, &from, t.dtype());
                let result = index.and_then(|i| source.and_then(|s| t.scatter_add(dim, &i, &s)));
                let meta = Meta { mag: m.mag + s.mag * count as f64, err: m.err + eps(t.dtype()) * (m.mag + 8.0), ..m.join(s) };
                self.put(format!("{n}.scatter_add({dim}, {call}, {source_call})"), result, meta);
            }
            _ => {
                if !m.is_exact() || !self.leaves.is_empty() && t.requires_grad() {
                    return;
                }
                self.put(format!("{n}.nonzero()"), t.nonzero(), Meta::exact(40.0, 0));
            }
        }
    }

    fn in_place(&mut self, rng: &mut Rng) {
        let Some(v) = self.any(rng, |_| true) else { return };
        let (t, n, m, d) = (&v.t, &v.name, v.meta(), v.t.dtype());
        let no_grad = rng.one_in(3);
        let fits = |o: &Var| o.t.dtype() == d && broadcast(o.t.shape(), t.shape()).is_some_and(|s| s == t.shape());
        let other = self.any(rng, fits);
        let (call, meta, run): (String, Meta, Box<dyn Fn() -> Result<()> + '_>) = match (rng.below(9), &other) {
            (0 | 1, Some(o)) => {
                let y = o.meta();
                let meta = Meta { mag: m.mag + y.mag, err: m.err + y.err + eps(d) * (m.mag + y.mag), ..m.join(y) };
                (format!("{n}.add_({})", o.name), meta, Box::new(|| t.add_(&o.t).map(drop)))
            }
            (2, Some(o)) => {
                let y = o.meta();
                let quantum = m.quantum.zip(y.quantum).map(|(a, b)| a + b);
                let mag = m.mag * y.mag;
                (
                    format!("{n}.mul_({})", o.name),
                    Meta { mag, err: m.err * y.mag + y.err * m.mag + eps(d) * mag, quantum },
                    Box::new(|| t.mul_(&o.t).map(drop)),
                )
            }
            (3 | 4, Some(o)) => (format!("{n}.copy_({})", o.name), o.meta(), Box::new(|| t.copy_(&o.t).map(drop))),
            (5, _) if d != DType::Bool => {
                let meta = if d.is_float() { Meta { quantum: m.quantum.map(|q| q + 1), err: m.err + eps(d) * m.mag, ..m } } else { m };
                if !d.is_float() {
                    (format!("{n}.mul_(1)"), meta, Box::new(|| t.mul_(1).map(drop)))
                } else {
                    (format!("{n}.mul_(0.5)"), meta, Box::new(|| t.mul_(0.5).map(drop)))
                }
            }
            (6, _) => (format!("{n}.fill_(1)"), Meta::exact(1.0, 0), Box::new(|| t.fill_(1).map(drop))),
            (7, _) if d.is_float() => (format!("{n}.tanh_()"), m.smooth(1.0, 1.0, d), Box::new(|| t.tanh_().map(drop))),
            _ => (format!("{n}.zero_()"), Meta::exact(0.0, 0), Box::new(|| t.zero_().map(drop))),
        };
        let result = if no_grad { autograd::no_grad(&run) } else { run() };
        let ok = result.is_ok();
        let call = if no_grad { format!("no_grad {{ {call} }}") } else { call };
        drop(run);
        self.done(call, result);
        if ok {
            let joined = m.join(meta).fits(d);
            *v.meta.borrow_mut() = joined;
        }
    }

    fn forget(&mut self, rng: &mut Rng) {
        for _ in 0..1 + rng.below(3) {
            if self.vars.len() > 1 {
                let gone = self.vars.remove(rng.below(self.vars.len()));
                self.gone(gone);
            }
        }
    }

    fn compute(&mut self, rng: &mut Rng) {
        let Some(v) = self.any(rng, |_| true) else { return };
        match rng.below(3) {
            0 => {
                let r = self.mode.device.flush();
                self.done("flush()".into(), r);
            }
            1 => {
                let r = v.t.realize().map(drop);
                self.done(format!("{}.realize()", v.name), r);
            }
            _ => self.see(v.name.clone(), &v.t, v.meta()),
        }
    }

    fn look(&mut self, rng: &mut Rng) {
        let Some(v) = self.any(rng, |_| true) else { return };
        self.see(v.name.clone(), &v.t, v.meta());
    }

    fn backward(&mut self, rng: &mut Rng) {
        let Some(v) = self.any(rng, |v| v.float() && v.t.requires_grad()) else { return };
        let leaf = self.leaves.get(rng.below(self.leaves.len())).cloned();
        match (rng.below(8), leaf) {
            (0, Some(leaf)) => {
                self.line(format!("{}.zero_grad()", leaf.name));
                leaf.t.zero_grad();
            }
            (1, Some(leaf)) => {
                // A step of gradient descent.
                let Some(g) = leaf.t.grad() else { return };
                let r = autograd::no_grad(|| leaf.t.sub_(&g.mul(0.01)?).map(drop));
                if r.is_ok() {
                    *leaf.meta.borrow_mut() = Meta { mag: leaf.meta().mag + 10.0, err: f64::INFINITY, quantum: None };
                }
                self.done(format!("no_grad {{ {0}.sub_({0}.grad * 0.01) }}", leaf.name), r);
            }
            (2, Some(leaf)) => {
                if let Some(g) = leaf.t.grad() {
                    self.put(format!("{}.grad", leaf.name), Ok(g), Meta::unknown());
                }
            }
            (3, Some(leaf)) => {
                let loss = v.t.mul(0.125).and_then(|t| t.sum_all());
                let result = loss.and_then(|l| autograd::grad(&[&l], &[&leaf.t], &[None], true, rng.one_in(2)));
                let call = format!("grad(({} * 0.125).sum(), {})", v.name, leaf.name);
                match result {
                    Ok(mut list) => {
                        if let Some(Some(g)) = list.pop() {
                            self.put(call, Ok(g), Meta::unknown());
                        }
                    }
                    Err(e) => self.done(call, Err(e)),
                }
            }
            (k, _) => {
                let retain = k < 6;
                let loss = v.t.mul(0.125).and_then(|t| t.sum_all());
                let result = loss.and_then(|l| l.backward_with(None, retain, false));
                self.done(format!("({} * 0.125).sum().backward(retain={retain})", v.name), result);
            }
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

/// Another shape for as many elements: dimensions merged and split.
fn reshaped(rng: &mut Rng, shape: &[usize]) -> Vec<isize> {
    let total: usize = shape.iter().product();
    if total == 0 {
        return shape.iter().rev().map(|&d| d as isize).collect();
    }
    let mut rest = total;
    let mut to: Vec<isize> = Vec::new();
    while rest > 1 && to.len() < 3 {
        let divisors: Vec<usize> = (1..=rest).filter(|d| rest % d == 0).collect();
        let d = *rng.pick(&divisors);
        to.push(d as isize);
        rest /= d;
    }
    if rest > 1 || rng.one_in(3) {
        to.push(rest as isize);
    }
    if !to.is_empty() && rng.one_in(3) {
        let i = rng.below(to.len());
        to[i] = -1;
    }
    to
}
