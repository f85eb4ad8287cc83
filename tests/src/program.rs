//! Random programs over the public API.
//!
//! A program is a list of step seeds. Each step looks at the tensors that are alive (their shapes and types, never
//! their values), chooses an operation that mostly fits, and logs what it did. So any sub-list of the steps is a
//! program too, which makes shrinking a matter of leaving steps out.
//!
//! Every tensor carries an estimate of how large it and its rounding error can be. Values that are multiples of a power
//! of two and small enough are *exact*: whatever the order of evaluation, every bit of them is known to agree. Only exact
//! values are compared, rounded, or turned into indices: a difference in the last bit must not change what a program does.

mod meta;
mod run;

use std::sync::Mutex;

use taper::{DType, Device};

use crate::{Rng, difference};
use run::Run;

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
