//! Averages of parameters over training.

use std::collections::BTreeMap;

use super::require;
use super::slab::side_by_side_or_packed;
use crate::autograd::no_grad;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// A running average of parameters, which often evaluates better than the parameters themselves: exponential
/// ([`new`](Ema::new)), or of all steps alike ([`equal`](Ema::equal), stochastic weight averaging). As
/// `torch.optim.swa_utils.AveragedModel`.
///
/// One kernel a step for parameters that an optimizer holds.
///
/// ```
/// use taper::optim::Ema;
/// # use taper::prelude::*;
/// # fn main() -> Result<()> {
/// let weight = Tensor::new([1.0], &Device::cpu())?;
/// let mut ema = Ema::new([&weight], 0.9)?;
/// no_grad(|| weight.fill_(2.0).map(drop))?;
/// ema.update()?;
/// let evaluated = ema.with_average(|| weight.item::<f32>())?;
/// assert!((evaluated - 1.1).abs() < 1e-6);
/// assert_eq!(weight.item::<f32>()?, 2.0);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Ema {
    /// By device and element type.
    groups: Vec<Group>,
    decay: Option<f64>,
    updates: u64,
}

#[derive(Debug)]
struct Group {
    params: Vec<(usize, Tensor)>,
    offsets: Vec<usize>,
    average: Tensor,
}

impl Ema {
    /// `average = decay * average + (1 - decay) * parameter` at each update; the average starts as the parameters.
    ///
    /// # Errors
    /// No parameters; a decay outside 0 to 1.
    pub fn new<P: Into<Tensor>>(params: impl IntoIterator<Item = P>, decay: f64) -> Result<Ema> {
        require("Ema", "decay", decay, (0.0..=1.0).contains(&decay))?;
        Ema::start(params, Some(decay))
    }

    /// The mean of the parameters at all updates.
    ///
    /// # Errors
    /// No parameters.
    pub fn equal<P: Into<Tensor>>(params: impl IntoIterator<Item = P>) -> Result<Ema> {
        Ema::start(params, None)
    }

    fn start<P: Into<Tensor>>(params: impl IntoIterator<Item = P>, decay: Option<f64>) -> Result<Ema> {
        let mut groups: Vec<Vec<(usize, Tensor)>> = Vec::new();
        for (i, p) in params.into_iter().map(Into::into).enumerate() {
            if !p.dtype().is_float() {
                return Err(Error::dtype("Ema", format!("parameter {i} is {}: only floating point has an average", p.dtype())));
            }
            match groups.iter_mut().find(|g| g[0].1.device() == p.device() && g[0].1.dtype() == p.dtype()) {
                Some(group) => group.push((i, p)),
                None => groups.push(vec![(i, p)]),
            }
        }
        if groups.is_empty() {
            return Err(Error::argument("Ema", "there are no parameters"));
        }
        let groups = groups.into_iter().map(|params| {
            let (now, offsets) = values(&params)?;
            // A tensor of its own: the parameters' slab goes on.
            let average = now.add(0.0)?;
            average.realize()?;
            Ok(Group { params, offsets, average })
        });
        Ok(Ema { groups: no_grad(|| groups.collect::<Result<_>>())?, decay, updates: 0 })
    }

    /// Takes the parameters as they are now into the average. Pending like everything else: the optimizer's next step
    /// computes it.
    ///
    /// # Errors
    /// Parameters that carry an error.
    pub fn update(&mut self) -> Result<()> {
        let share = self.decay.map_or(1.0 / (self.updates as f64 + 1.0), |d| 1.0 - d);
        no_grad(|| {
            for group in &mut self.groups {
                let (now, _) = values(&group.params)?;
                group.average = group.average.lerp(&now, share)?;
            }
            Ok(())
        })?;
        self.updates += 1;
        Ok(())
    }

    /// The averages, in the order of the parameters.
    ///
    /// # Errors
    /// Averages that carry an error.
    pub fn averages(&self) -> Result<Vec<Tensor>> {
        let mut out = BTreeMap::new();
        for group in &self.groups {
            for ((i, p), offset) in group.params.iter().zip(&group.offsets) {
                let shape: Vec<isize> = p.shape().iter().map(|&d| d as isize).collect();
                out.insert(*i, group.average.narrow(0, *offset, p.numel())?.reshape(&shape)?.contiguous()?);
            }
        }
        Ok(out.into_values().collect())
    }

    /// Gives the parameters the values of the average.
    ///
    /// # Errors
    /// Averages that carry an error.
    pub fn copy_to(&self) -> Result<()> {
        let averages = self.averages()?;
        no_grad(|| {
            for (i, p) in self.groups.iter().flat_map(|g| &g.params) {
                p.replace(&averages[*i])?;
            }
            Ok(())
        })
    }

    /// Runs `f` with the average in place of the parameters, which come back afterwards, whatever `f` does.
    ///
    /// # Errors
    /// What `f` reports.
    pub fn with_average<T>(&self, f: impl FnOnce() -> Result<T>) -> Result<T> {
        struct Back(Vec<(Tensor, Tensor)>);
        impl Drop for Back {
            fn drop(&mut self) {
                for (param, before) in &self.0 {
                    // The value was there a moment ago: it fits.
                    let _ = no_grad(|| param.replace(before));
                }
            }
        }
        let params = self.groups.iter().flat_map(|g| &g.params);
        let _back = Back(params.map(|(_, p)| Ok((p.clone(), p.detach()?.contiguous()?.add(0.0)?))).collect::<Result<_>>()?);
        self.copy_to()?;
        f()
    }

    /// How many updates there were.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Continues with averages that [`averages`](Self::averages) gave, after so many updates.
    ///
    /// # Errors
    /// Another number of them, or other shapes.
    pub fn restore(&mut self, averages: &[Tensor], updates: u64) -> Result<()> {
        let count: usize = self.groups.iter().map(|g| g.params.len()).sum();
        if averages.len() != count {
            return Err(Error::argument("Ema", format!("{} averages for {count} parameters", averages.len())));
        }
        let mut new = Vec::new();
        for group in &self.groups {
            let mut parts = Vec::new();
            for (i, p) in &group.params {
                if averages[*i].shape() != p.shape() {
                    return Err(Error::argument(
                        "Ema",
                        format!("average {i} is {:?}, the parameter {:?}", averages[*i].shape(), p.shape()),
                    ));
                }
                parts.push((*i, averages[*i].to(p.device())?.to_dtype(p.dtype())?.add(0.0)?));
            }
            new.push(no_grad(|| values(&parts))?.0);
        }
        self.groups.iter_mut().zip(new).for_each(|(g, average)| g.average = average);
        self.updates = updates;
        Ok(())
    }
}

fn values(params: &[(usize, Tensor)]) -> Result<(Tensor, Vec<usize>)> {
    side_by_side_or_packed(&params.iter().map(|(_, p)| p).collect::<Vec<_>>())
}
