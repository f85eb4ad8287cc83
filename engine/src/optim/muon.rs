//! Muon.

use super::optimizer::Optim;
use super::require;
use super::rule::{Rule, Run, State, blend, expect};
use super::settings::settings;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Muon: momentum whose steps are made orthogonal, for the matrices of a network's hidden layers
/// ([Jordan et al.](https://kellerjordan.github.io/posts/muon/)). Other parameters need another optimizer.
///
/// The step is orthogonalised by Newton and Schulz's iteration in f32, where PyTorch computes in bf16. Each matrix is
/// updated by kernels of its own.
pub type Muon = Optim<MuonRule>;

settings! {
    /// Hyperparameters of [`Muon`], and their builder. PyTorch's learning rate is 1e-3.
    MuonRule for Muon {
        /// Decoupled.
        weight_decay: f64 = 0.1;
        momentum: f64 = 0.95;
        nesterov: bool = true;
        /// The coefficients of the iteration's polynomial.
        ns_coefficients: [f64; 3] = [3.4445, -4.775, 2.0315];
        eps: f64 = 1e-7;
        /// How often the iteration runs.
        ns_steps: usize = 5;
        /// How the rate follows from the matrix's shape: `original` (the default), `match_rms_adamw` or
        /// `spectral_unclamped`.
        adjust_lr_fn: Option<String> = None;
    }
}

impl Rule for MuonRule {
    const NAME: &'static str = "Muon";
    const EACH: bool = true;

    fn check(&self) -> Result<()> {
        require(Self::NAME, "lr", self.lr, self.lr >= 0.0)?;
        require(Self::NAME, "momentum", self.momentum, self.momentum >= 0.0)?;
        require(Self::NAME, "weight_decay", self.weight_decay, self.weight_decay >= 0.0)?;
        require(Self::NAME, "ns_steps", self.ns_steps as f64, self.ns_steps < 100)?;
        self.rate(1, 1).map(drop)
    }

    fn accepts(&self, p: &Tensor) -> Result<()> {
        if p.rank() == 2 {
            return Ok(());
        }
        Err(Error::argument(Self::NAME, format!("only matrices can be made orthogonal, this parameter is {:?}", p.shape())))
    }

    fn states(&self, _: &[usize]) -> Vec<State> {
        vec![State::zero("momentum_buffer")]
    }

    fn counts_steps(&self) -> bool {
        false
    }

    fn update(&self, _: &mut Run<'_>, p: &Tensor, g: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        let [m] = expect(Self::NAME, states)?;
        *m = blend(m, g, self.momentum);
        let step = if self.nesterov { g.lerp(m, self.momentum)? } else { m.clone() };
        let rate = self.rate(p.shape()[0], p.shape()[1])?;
        (p * (1.0 - self.lr * self.weight_decay)).sub(self.orthogonal(&step)? * rate)
    }
}

impl MuonRule {
    /// The rate for a matrix of this size.
    fn rate(&self, rows: usize, columns: usize) -> Result<f64> {
        let (a, b) = (rows as f64, columns as f64);
        Ok(self.lr
            * match self.adjust_lr_fn.as_deref() {
                None | Some("original") => (a / b).max(1.0).sqrt(),
                Some("match_rms_adamw") => 0.2 * a.max(b).sqrt(),
                Some("spectral_unclamped") => (a / b).sqrt(),
                Some(other) => {
                    let known = "original, match_rms_adamw or spectral_unclamped";
                    return Err(Error::argument(Self::NAME, format!("adjust_lr_fn is '{other}', expected {known}")));
                }
            })
    }

    /// About the nearest orthogonal matrix: singular values between 0.7 and 1.2.
    fn orthogonal(&self, x: &Tensor) -> Result<Tensor> {
        let [a, b, c] = self.ns_coefficients;
        let tall = x.shape()[0] > x.shape()[1];
        let mut x = if tall { x.t()? } else { x.clone() };
        x = &x / x.square()?.sum_all()?.sqrt()?.clamp(Some(self.eps), None)?;
        for _ in 0..self.ns_steps {
            let gram = x.matmul(&x.t()?)?;
            let polynomial = &gram * b + gram.matmul(&gram)? * c;
            x = &x * a + polynomial.matmul(&x)?;
        }
        if tall { x.t() } else { Ok(x) }
    }
}
