//! Mixture of experts: tokens choose which networks they pass.

use crate::Module;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorOptions};

use super::Linear;
use super::module::Layer;

/// Each token passes the `k` experts that a router scores highest, and sees their results weighted by the softmax of those scores.
///
/// Only chosen experts compute. As it is, each computes exactly the tokens that chose it: which they are is read back from the device,
/// in the middle of the step. With a [`capacity`](Self::capacity) nothing is read back.
#[derive(Module, Debug)]
pub struct MixtureOfExperts<E: Layer> {
    pub gate: Linear,
    pub experts: Vec<E>,
    k: usize,
    capacity: Option<f64>,
}

impl<E: Layer> MixtureOfExperts<E> {
    /// Over these experts from `features` to `features`.
    ///
    /// # Errors
    /// No experts, or not as many as `k`; the device lacks the type or the memory.
    pub fn new(features: usize, experts: Vec<E>, k: usize, options: impl Into<TensorOptions>) -> Result<MixtureOfExperts<E>> {
        if k == 0 || experts.len() < k {
            return Err(Error::argument("MixtureOfExperts", format!("cannot choose {k} of {} experts", experts.len())));
        }
        Ok(MixtureOfExperts { gate: Linear::no_bias(features, experts.len(), options)?, experts, k, capacity: None })
    }

    /// Gives each expert room for `factor` times its even share of the tokens. Shapes no longer depend on the routes, and nothing is
    /// read back; a token that finds an expert full goes without it (Fedus et al., "Switch transformers"). With a factor
    /// of experts / `k` there is always room.
    pub fn capacity(mut self, factor: f64) -> Self {
        self.capacity = Some(factor);
        self
    }

    /// The result for `x` `[.., features]`, and the loss that keeps experts evenly busy: `experts * sum(share of tokens * mean score)`,
    /// 1 at its best.
    ///
    /// # Errors
    /// Another number of features; whatever an expert reports; a capacity that is not positive.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let Some((&features, lead)) = x.shape().split_last() else {
            return Err(Error::argument("MixtureOfExperts", "the input needs features"));
        };
        let (tokens, count): (usize, usize) = (lead.iter().product(), self.experts.len());
        let rows = x.reshape([tokens, features])?;
        let scores = self.gate.forward(&rows)?;
        // The best, then the best of the others, and so on: k is small.
        let (mut left, mut chosen) = (scores.detach()?, Vec::new());
        let numbers = Tensor::arange(0, count, 1, (DType::I64, x.device()))?;
        for _ in 0..self.k {
            let best = left.argmax(Some(1), true)?;
            left = left.masked_fill(&best.eq(&numbers)?, f64::NEG_INFINITY)?;
            chosen.push(best);
        }
        let chosen = Tensor::cat(&chosen, 1)?;
        let share = scores.gather(1, &chosen)?.softmax(1)?.reshape([tokens * self.k])?;
        let choice = chosen.reshape([tokens * self.k])?;
        let y = match self.capacity {
            None => self.by_routes(&rows, &choice, &share)?,
            Some(factor) if factor > 0.0 => {
                let room = (factor * (tokens * self.k) as f64 / count as f64).ceil().clamp(1.0, tokens.max(1) as f64);
                self.by_room(&rows, &choice, &share, room as usize)?
            }
            Some(factor) => return Err(Error::argument("MixtureOfExperts", format!("a capacity of {factor} is no room at all"))),
        };
        let busy = choice.unsqueeze(1)?.eq(&numbers)?.to_dtype(DType::F32)?.mean(0)?;
        let balance = scores.softmax(1)?.mean(0)?.mul(&busy.to_dtype(x.dtype())?)?.sum_all()?.mul(count as f64)?;
        Ok((y.reshape(x.shape())?, balance))
    }

    /// Each expert's own tokens, which are looked up on the host.
    fn by_routes(&self, rows: &Tensor, choice: &Tensor, share: &Tensor) -> Result<Tensor> {
        let routes: Vec<i64> = choice.to_vec()?;
        let mut y = rows.zeros_like()?;
        for (e, expert) in self.experts.iter().enumerate() {
            let places: Vec<i64> = (0..routes.len() as i64).filter(|&i| routes[i as usize] == e as i64).collect();
            if places.is_empty() {
                continue;
            }
            let n = places.len();
            let own: Vec<i64> = places.iter().map(|p| p / self.k as i64).collect();
            let (places, own) = (Tensor::from_vec(places, [n], rows.device())?, Tensor::from_vec(own, [n], rows.device())?);
            let weight = share.index_select(0, &places)?.unsqueeze(1)?;
            let part = expert.forward(&rows.index_select(0, &own)?)?.mul(&weight)?;
            y = y.index_add(0, &own, &part)?;
        }
        Ok(y)
    }

    /// Tokens in the order of their choices take the places of an expert until it is full. The last row takes what found no room, and
    /// gives zeros.
    fn by_room(&self, rows: &Tensor, choice: &Tensor, share: &Tensor, room: usize) -> Result<Tensor> {
        let (tokens, features) = (rows.shape()[0], rows.shape()[1]);
        let (count, device) = (self.experts.len(), rows.device());
        let numbers = Tensor::arange(0, count, 1, (DType::I64, device))?;
        let hit = choice.unsqueeze(1)?.eq(&numbers)?.to_dtype(DType::I32)?;
        let place = hit.cumsum(0)?.mul(&hit)?.sum(1)?.sub(1)?.to_dtype(DType::I64)?;
        let full = place.ge(room as i64)?;
        let place = choice.mul(room as i64)?.add(&place)?.masked_fill(&full, (count * room) as i64)?;
        let own = Tensor::arange(0, tokens, 1, (DType::I64, device))?.unsqueeze(1)?.expand([tokens, self.k])?.reshape([tokens * self.k])?;
        let line = |n: usize| Tensor::zeros([n, features], (rows.dtype(), device));
        let places = line(count * room + 1)?.index_add(0, &place, &rows.index_select(0, &own)?)?;
        let mut results = Vec::with_capacity(count + 1);
        for (e, expert) in self.experts.iter().enumerate() {
            results.push(expert.forward(&places.narrow(0, e * room, room)?)?);
        }
        results.push(line(1)?.to_dtype(results[0].dtype())?);
        let results = Tensor::cat(&results, 0)?.index_select(0, &place)?.mul(&share.unsqueeze(1)?)?;
        results.reshape([tokens, self.k, features])?.sum(1)
    }
}
