//! Initialisers that give an existing parameter its values, under PyTorch's names; and initialisers by name.

use super::{Fan, Nonlinearity, fans, kaiming_normal, kaiming_uniform, normal, trunc_normal, uniform, xavier_normal, xavier_uniform};
use crate::autograd::no_grad;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Puts values into a tensor, outside the autograd graph.
fn put(tensor: &Tensor, values: &Tensor) -> Result<()> {
    no_grad(|| tensor.replace(&values.to(tensor.device())?.to_dtype(tensor.dtype())?))
}

macro_rules! in_place {
    ($($(#[$doc:meta])* $name:ident($t:ident $(, $param:ident: $type:ty)*) $values:expr;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// A shape or numbers that do not fit; out of memory.
        pub fn $name($t: &Tensor $(, $param: $type)*) -> Result<()> {
            put($t, &$values?)
        }
    )*};
}

in_place! {
    /// Uniformly distributed values between `low` and `high`.
    uniform_(t, low: f64, high: f64) uniform(t.shape(), low, high, &Device::cpu());
    /// Normally distributed values.
    normal_(t, mean: f64, std: f64) normal(t.shape(), mean, std, &Device::cpu());
    /// Normally distributed values, those outside `low..=high` drawn again.
    trunc_normal_(t, mean: f64, std: f64, low: f64, high: f64) trunc_normal(t.shape(), mean, std, low, high, &Device::cpu());
    /// One value everywhere.
    constant_(t, value: f64) Tensor::full(t.shape(), value, &Device::cpu());
    /// 1 everywhere.
    ones_(t) Tensor::ones(t.shape(), &Device::cpu());
    /// 0 everywhere.
    zeros_(t) Tensor::zeros(t.shape(), &Device::cpu());
    /// Glorot's uniform distribution.
    xavier_uniform_(t, gain: f64) xavier_uniform(t.shape(), gain, &Device::cpu());
    /// Glorot's normal distribution.
    xavier_normal_(t, gain: f64) xavier_normal(t.shape(), gain, &Device::cpu());
    /// He's uniform distribution.
    kaiming_uniform_(t, fan: Fan, f: Nonlinearity) kaiming_uniform(t.shape(), fan, f, &Device::cpu());
    /// He's normal distribution.
    kaiming_normal_(t, fan: Fan, f: Nonlinearity) kaiming_normal(t.shape(), fan, f, &Device::cpu());
    /// The identity: what a linear layer starts with that passes its input on.
    eye_(t) match *t.shape() {
        [rows, columns] => Tensor::eye_rect(rows, columns, &Device::cpu()),
        ref shape => Err(Error::argument("eye_", format!("needs a matrix, not {shape:?}"))),
    };
    /// The identity of a convolution `[out, in, ..kernel]`, in each of `groups` groups: channels pass through the kernel's middle.
    dirac_(t, groups: usize) dirac(t.shape(), groups);
    /// Rows (or columns, if there are fewer of them) at right angles and of length `gain`, the dimensions behind the first as one.
    orthogonal_(t, gain: f64) orthogonal(t.shape(), gain);
    /// Normally distributed values, a share `sparsity` of each column 0.
    sparse_(t, sparsity: f64, std: f64) sparse(t.shape(), sparsity, std);
}

fn dirac(shape: &[usize], groups: usize) -> Result<Tensor> {
    let &[out, inputs, ref kernel @ ..] = shape else {
        return Err(Error::argument("dirac_", format!("needs the weight of a convolution, not {shape:?}")));
    };
    if kernel.is_empty() || kernel.len() > 3 || groups == 0 || out % groups != 0 {
        return Err(Error::argument("dirac_", format!("needs [out, in, ..kernel] with an out that {groups} groups divide, not {shape:?}")));
    }
    let inside: usize = kernel.iter().product();
    let middle = kernel.iter().fold(0, |at, &k| at * k + k / 2);
    let (each, mut values) = (out / groups, vec![0f32; out * inputs * inside]);
    for o in 0..out {
        if o % each < inputs && inside > 0 {
            values[(o * inputs + o % each) * inside + middle] = 1.0;
        }
    }
    Tensor::from_vec(values, shape, &Device::cpu())
}

/// Gram and Schmidt's method, twice, in 64 bits: the second pass takes away what rounding left.
fn orthogonal(shape: &[usize], gain: f64) -> Result<Tensor> {
    let &[rows, ref rest @ ..] = shape else {
        return Err(Error::argument("orthogonal_", "needs at least two dimensions"));
    };
    if rest.is_empty() {
        return Err(Error::argument("orthogonal_", format!("needs at least two dimensions, not {shape:?}")));
    }
    let columns: usize = rest.iter().product();
    let (count, length) = (rows.min(columns), rows.max(columns));
    let drawn: Vec<f32> = Tensor::randn([count, length], &Device::cpu())?.to_vec()?;
    let mut v: Vec<Vec<f64>> = drawn.chunks(length.max(1)).map(|row| row.iter().map(|&x| x as f64).collect()).collect();
    for i in 0..v.len() {
        let (done, rest) = v.split_at_mut(i);
        let own = &mut rest[0];
        for _ in 0..2 {
            for other in done.iter() {
                let share: f64 = own.iter().zip(other).map(|(a, b)| a * b).sum();
                own.iter_mut().zip(other).for_each(|(a, b)| *a -= share * b);
            }
        }
        let norm = own.iter().map(|a| a * a).sum::<f64>().sqrt();
        own.iter_mut().for_each(|a| *a /= norm);
    }
    let at = |r: usize, c: usize| if rows <= columns { v[r][c] } else { v[c][r] };
    let values: Vec<f32> = (0..rows * columns).map(|i| (gain * at(i / columns, i % columns)) as f32).collect();
    Tensor::from_vec(values, shape, &Device::cpu())
}

fn sparse(shape: &[usize], sparsity: f64, std: f64) -> Result<Tensor> {
    let &[rows, columns] = shape else { return Err(Error::argument("sparse_", format!("needs a matrix, not {shape:?}"))) };
    if !(0.0..=1.0).contains(&sparsity) {
        return Err(Error::argument("sparse_", format!("sparsity should be a share, not {sparsity}")));
    }
    let mut values: Vec<f32> = normal(shape, 0.0, std, &Device::cpu())?.to_vec()?;
    let zeros = (sparsity * rows as f64).ceil() as usize;
    for c in 0..columns {
        let order: Vec<i64> = Tensor::randperm(rows, &Device::cpu())?.to_vec()?;
        order.iter().take(zeros).for_each(|&r| values[r as usize * columns + c] = 0.0);
    }
    Tensor::from_vec(values, shape, &Device::cpu())
}

/// Initialises a weight by a method's name: `xavier_uniform`, `xavier_normal`, `kaiming_uniform`, `kaiming_normal`, `orthogonal`,
/// `variance_scaling` (normal with variance `2 / fan_in`), `zeros`, `ones`. A name nobody knows is an error, never a weight left as it was.
///
/// # Errors
/// An unknown name; a shape the method does not take.
///
/// ```
/// # use taper::prelude::*; use taper::nn::init; fn main() -> taper::Result<()> {
/// let w = Tensor::zeros([4, 4], &Device::cpu())?;
/// init::by_name(&w, "xavier_uniform")?;
/// assert!(init::by_name(&w, "xavier").is_err());
/// # Ok(()) }
/// ```
pub fn by_name(t: &Tensor, name: &str) -> Result<()> {
    match name {
        "xavier_uniform" => xavier_uniform_(t, 1.0),
        "xavier_normal" => xavier_normal_(t, 1.0),
        "kaiming_uniform" => kaiming_uniform_(t, Fan::In, Nonlinearity::Relu),
        "kaiming_normal" => kaiming_normal_(t, Fan::In, Nonlinearity::Relu),
        "orthogonal" => orthogonal_(t, 1.0),
        "variance_scaling" => normal_(t, 0.0, (2.0 / fans(t.shape())?.0.max(1) as f64).sqrt()),
        "zeros" => zeros_(t),
        "ones" => ones_(t),
        other => Err(Error::argument("init", format!("there is no initialiser '{other}'"))),
    }
}
