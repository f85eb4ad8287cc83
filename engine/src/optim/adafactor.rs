//! Adafactor.

use super::optimizer::Optim;
use super::require;
use super::rule::{Rule, Run, State, expect};
use super::settings::settings;
use crate::dtype::DType;
use crate::error::Result;
use crate::tensor::Tensor;

/// Adafactor: the average of squared gradients of a matrix kept as one number a row and one a column
/// ([Shazeer and Stern](https://arxiv.org/abs/1804.04235)). Takes almost no memory.
///
/// It looks at each parameter as a whole, so that every parameter is updated by kernels of its own.
pub type Adafactor = Optim<AdafactorRule>;

settings! {
    /// Hyperparameters of [`Adafactor`], and their builder. The learning rate is the largest relative step; PyTorch's is
    /// 1e-2.
    AdafactorRule for Adafactor {
        /// The average of step `t` moves by `t` to this power, which is negative.
        beta2_decay: f64 = -0.8;
        /// Keeps the divisions from exploding (`None`: the type's epsilon), and the smallest relative step.
        eps: (Option<f64>, f64) = (None, 1e-3);
        /// The largest root mean square of an update.
        d: f64 = 1.0;
        /// Decoupled.
        weight_decay: f64 = 0.0;
        /// Climbs instead of descending.
        maximize: bool = false;
    }
}

impl Rule for AdafactorRule {
    const NAME: &'static str = "Adafactor";
    const EACH: bool = true;

    fn check(&self) -> Result<()> {
        let (eps1, eps2) = self.eps;
        require(Self::NAME, "lr", self.lr, self.lr >= 0.0)?;
        require(Self::NAME, "beta2_decay", self.beta2_decay, self.beta2_decay <= 0.0)?;
        require(Self::NAME, "the first eps", eps1.unwrap_or(0.0), eps1.is_none_or(|e| e >= 0.0))?;
        require(Self::NAME, "the second eps", eps2, eps2 >= 0.0)?;
        require(Self::NAME, "d", self.d, self.d >= 1.0)?;
        require(Self::NAME, "weight_decay", self.weight_decay, self.weight_decay >= 0.0)
    }

    fn states(&self, shape: &[usize]) -> Vec<State> {
        let Some(r) = shape.len().checked_sub(2) else { return vec![State::zero("variance")] };
        let with = |dim: usize| Some(shape.iter().enumerate().map(|(i, &n)| if i == dim { 1 } else { n }).collect());
        vec![State { shape: with(r + 1), ..State::zero("row_var") }, State { shape: with(r), ..State::zero("col_var") }]
    }

    fn update(&self, run: &mut Run<'_>, p: &Tensor, grad: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        let g = if self.maximize { grad.neg()? } else { grad.clone() };
        let (t, numel) = (run.step as f64, p.numel().max(1) as f64);
        let eps = self.eps.0.unwrap_or_else(|| epsilon(p.dtype()));
        let share = t.powf(self.beta2_decay);
        // Norms are never needed on the host: they stay where the parameters are.
        let rms = |x: &Tensor| x.square()?.sum_all()?.div(numel)?.sqrt();
        let alpha = rms(p)?.clamp(Some(self.eps.1), None)? * self.lr.min(1.0 / t.sqrt());
        let variance = if p.rank() > 1 {
            let [rows, columns] = expect(Self::NAME, states)?;
            let square = g.square()?;
            *rows = rows.lerp(&square.mean_keepdim(-1)?, share)?;
            *columns = columns.lerp(&square.mean_keepdim(-2)?, share)?;
            (&*rows * &*columns).div(rows.mean_keepdim(-2)?.clamp(Some(eps), None)?)?
        } else {
            let [variance] = expect(Self::NAME, states)?;
            *variance = variance.lerp(&g.square()?, share)?;
            variance.clone()
        };
        let update = variance.clamp(Some(eps * eps), None)?.rsqrt()? * g;
        let clip = (rms(&update)? * (1.0 / self.d)).clamp(Some(1.0), None)?;
        (p * (1.0 - self.lr * self.weight_decay)).sub(update * (alpha / clip))
    }
}

/// The distance from 1 to the next number of a type.
fn epsilon(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => f64::EPSILON,
        DType::F16 => f64::from(half::f16::EPSILON),
        DType::BF16 => f64::from(half::bf16::EPSILON),
        _ => f64::from(f32::EPSILON),
    }
}
