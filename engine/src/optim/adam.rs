//! Adam and AdamW.

use super::optimizer::Optim;
use super::rule::{Rule, Run, State};
use super::settings::{Options, Setting, Settings, read};
use super::{require, unit};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Adam: steps scaled by running averages of the gradient and of its square
/// ([Kingma and Ba](https://arxiv.org/abs/1412.6980)), or AdamW with [decoupled weight
/// decay](https://arxiv.org/abs/1711.05101).
///
/// ```text
/// m = β1 m + (1 - β1) g          v = β2 v + (1 - β2) g²
/// p = p - lr * (m / (1 - β1ᵗ)) / (sqrt(v / (1 - β2ᵗ)) + eps)
/// ```
///
/// Adam adds `weight_decay * p` to the gradient; AdamW shrinks `p` by `lr * weight_decay` before the step.
pub type Adam = Optim<AdamRule<false>>;

/// [`Adam`] with decoupled weight decay, 0.01 by default.
pub type AdamW = Optim<AdamRule<true>>;

/// Hyperparameters of [`Adam`] and [`AdamW`], and their builder.
#[derive(Debug, Clone, PartialEq)]
pub struct AdamRule<const DECOUPLED: bool> {
    lr: f64,
    betas: (f64, f64),
    eps: f64,
    weight_decay: f64,
    amsgrad: bool,
    maximize: bool,
    decoupled_weight_decay: bool,
}

impl<const DECOUPLED: bool> Optim<AdamRule<DECOUPLED>> {
    /// Betas 0.9 and 0.999, eps 1e-8, PyTorch's default weight decay.
    ///
    /// # Errors
    /// As [`Optim::with_groups`].
    pub fn new<P: Into<Tensor>>(params: impl IntoIterator<Item = P>, lr: f64) -> Result<Self> {
        Self::builder(lr).build(params)
    }

    pub fn builder(lr: f64) -> AdamRule<DECOUPLED> {
        let weight_decay = if DECOUPLED { 1e-2 } else { 0.0 };
        AdamRule { lr, betas: (0.9, 0.999), eps: 1e-8, weight_decay, amsgrad: false, maximize: false, decoupled_weight_decay: DECOUPLED }
    }
}

impl<const DECOUPLED: bool> AdamRule<DECOUPLED> {
    /// The decay rates of the two averages.
    pub fn betas(mut self, first: f64, second: f64) -> Self {
        self.betas = (first, second);
        self
    }

    /// Keeps the division from exploding.
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    pub fn weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// Divides by the largest average so far.
    pub fn amsgrad(mut self, on: bool) -> Self {
        self.amsgrad = on;
        self
    }

    /// Climbs instead of descending.
    pub fn maximize(mut self, on: bool) -> Self {
        self.maximize = on;
        self
    }

    /// Shrinks the parameter by `lr * weight_decay` instead of adding to the gradient: what makes AdamW of Adam.
    pub fn decoupled_weight_decay(mut self, on: bool) -> Self {
        self.decoupled_weight_decay = on;
        self
    }

    /// # Errors
    /// As [`Optim::with_groups`].
    pub fn build<P: Into<Tensor>>(self, params: impl IntoIterator<Item = P>) -> Result<Optim<Self>> {
        Optim::with_groups([(params, self)])
    }
}

impl<const DECOUPLED: bool> Rule for AdamRule<DECOUPLED> {
    const NAME: &'static str = if DECOUPLED { "AdamW" } else { "Adam" };

    fn check(&self) -> Result<()> {
        let (b1, b2) = self.betas;
        require(Self::NAME, "lr", self.lr, self.lr >= 0.0)?;
        require(Self::NAME, "eps", self.eps, self.eps >= 0.0)?;
        unit(Self::NAME, "beta 1", b1)?;
        unit(Self::NAME, "beta 2", b2)?;
        require(Self::NAME, "weight_decay", self.weight_decay, self.weight_decay >= 0.0)
    }

    fn states(&self, _: &[usize]) -> Vec<State> {
        let all = ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"].map(State::zero);
        all[..if self.amsgrad { 3 } else { 2 }].to_vec()
    }

    fn update(&self, run: &mut Run<'_>, p: &Tensor, grad: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        let (b1, b2) = self.betas;
        let (mut p, mut g) = (p.clone(), if self.maximize { grad.neg()? } else { grad.clone() });
        match (self.weight_decay, self.decoupled_weight_decay) {
            (0.0, _) => {}
            (decay, true) => p = p * (1.0 - self.lr * decay),
            (decay, false) => g = g + &p * decay,
        }
        let [m, v, largest @ ..] = states else { return Err(Error::argument(Self::NAME, "the states are missing")) };
        *m = &*m + (&g - &*m) * (1.0 - b1);
        *v = &*v * b2 + g.square()? * (1.0 - b2);
        let v = match largest {
            [largest] => {
                *largest = largest.maximum(&*v)?;
                &*largest
            }
            _ => &*v,
        };
        // The corrections are powers of the step count: numbers of the host, run-time parameters of the plan.
        let correction = |beta: f64| 1.0 - beta.powf(run.step as f64);
        let denominator = v.sqrt()? * (1.0 / correction(b2).sqrt()) + self.eps;
        p.sub(&*m / denominator * (self.lr / correction(b1)))
    }
}

impl<const DECOUPLED: bool> Settings for AdamRule<DECOUPLED> {
    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn options(&self) -> Options {
        let AdamRule { lr, betas, eps, weight_decay, amsgrad, maximize, decoupled_weight_decay } = self;
        let named = [
            ("lr", lr.to_json()),
            ("betas", betas.to_json()),
            ("eps", eps.to_json()),
            ("weight_decay", weight_decay.to_json()),
            ("amsgrad", amsgrad.to_json()),
            ("maximize", maximize.to_json()),
            ("decoupled_weight_decay", decoupled_weight_decay.to_json()),
        ];
        named.into_iter().map(|(k, v)| (k.to_string(), v)).collect()
    }

    fn with_options(&self, o: &Options) -> Result<Self> {
        Ok(AdamRule {
            lr: read(o, "lr", self.lr)?,
            betas: read(o, "betas", self.betas)?,
            eps: read(o, "eps", self.eps)?,
            weight_decay: read(o, "weight_decay", self.weight_decay)?,
            amsgrad: read(o, "amsgrad", self.amsgrad)?,
            maximize: read(o, "maximize", self.maximize)?,
            decoupled_weight_decay: read(o, "decoupled_weight_decay", self.decoupled_weight_decay)?,
        })
    }
}
