//! Optimizers by name: what configuration files and test suites have.

use super::optimizer::{Optim, Optimizer};
use super::rule::Rule;
use super::settings::Options;
use super::{
    ASGD, Adadelta, Adafactor, Adagrad, Adam, AdamW, Adamax, Lamb, Lars, Lbfgs, Lion, Muon, NAdam, RAdam, RMSprop, Rprop, Sgd, SparseAdam,
};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// A boxed optimizer that can be given to another thread.
pub type BoxedOptimizer = Box<dyn Optimizer + Send>;

/// An optimizer by PyTorch's name of it, with groups of parameters and their options; what a group does not mention has
/// PyTorch's default.
///
/// ```
/// use taper::optim::{self, Options, Optimizer};
/// # use taper::prelude::*;
/// # fn main() -> Result<()> {
/// let weight = Tensor::ones([2, 2], &Device::cpu())?;
/// weight.requires_grad_(true)?;
/// let options = Options::from([("lr".to_string(), 0.1.into()), ("momentum".to_string(), 0.9.into())]);
/// let optimizer = optim::build("SGD", [(vec![weight], options)])?;
/// assert_eq!(optimizer.lr(), 0.1);
/// # Ok(()) }
/// ```
///
/// # Errors
/// No such optimizer, or one of its own errors; an option it does not have.
pub fn build(name: &str, groups: impl IntoIterator<Item = (Vec<Tensor>, Options)>) -> Result<BoxedOptimizer> {
    let groups: Vec<_> = groups.into_iter().collect();
    if name == "LBFGS" {
        let [(params, options)] =
            <[_; 1]>::try_from(groups).map_err(|g| Error::argument("LBFGS", format!("{} groups, expected 1", g.len())))?;
        return Ok(Box::new(Lbfgs::builder().with_options(&options)?.build(params)?));
    }
    match TABLE.iter().find(|(n, _)| *n == name) {
        Some((_, make)) => make(groups),
        None => Err(Error::argument("optimizer", format!("there is no '{name}', only {}", OPTIMIZERS.join(", ")))),
    }
}

type Make = fn(Vec<(Vec<Tensor>, Options)>) -> Result<BoxedOptimizer>;

fn make<R: Rule + 'static>(default: R, groups: Vec<(Vec<Tensor>, Options)>) -> Result<BoxedOptimizer> {
    let known = default.options();
    let mut out = Vec::new();
    for (params, options) in groups {
        if let Some(name) = options.keys().find(|name| !known.contains_key(*name)) {
            return Err(Error::argument(R::NAME, format!("there is no option '{name}'")));
        }
        out.push((params, default.with_options(&options)?));
    }
    Ok(Box::new(Optim::with_groups(out)?))
}

/// Names, and PyTorch's learning rates.
macro_rules! table {
    ($($name:literal $optimizer:ident $lr:literal)*) => {
        /// The names [`build`] knows.
        pub const OPTIMIZERS: &[&str] = &[$($name,)* "LBFGS"];
        const TABLE: &[(&str, Make)] = &[$(($name, |groups| make($optimizer::builder($lr), groups))),*];
    };
}
table! {
    "SGD" Sgd 1e-3
    "Adam" Adam 1e-3
    "AdamW" AdamW 1e-3
    "Adamax" Adamax 2e-3
    "NAdam" NAdam 2e-3
    "RAdam" RAdam 1e-3
    "SparseAdam" SparseAdam 1e-3
    "Adagrad" Adagrad 1e-2
    "Adadelta" Adadelta 1.0
    "Adafactor" Adafactor 1e-2
    "RMSprop" RMSprop 1e-2
    "Rprop" Rprop 1e-2
    "ASGD" ASGD 1e-2
    "Muon" Muon 1e-3
    "Lion" Lion 1e-4
    "Lamb" Lamb 1e-3
    "Lars" Lars 1e-1
}
