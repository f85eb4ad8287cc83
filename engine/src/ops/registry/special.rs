//! Special functions, functions of numbers as they are stored, samplers, windows.

use super::convert::{On, Over};
use super::{Operator, Value, row};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::ops::{self, Function};
use crate::signal::Window;
use crate::tensor::{Operand, Spacing, Tensor, TensorOptions};

macro_rules! table {
    (of_one: $($name:literal $method:ident)*; of_two: $($pair:literal $row:ident)*; $($rest:literal $params:tt $body:expr;)*) => {
        pub(super) static ROWS: &[Operator] = &[
            $(row!($name, (input: Tensor), input.$method()),)*
            $(row!($pair, (input: Operand, other: Operand), of_two(&ops::$row, input, other)),)*
            $(row!($rest, $params, $body),)*
        ];
    };
}

table! {
    of_one:
        "i0" i0 "special.i0" i0 "special.i0e" i0e "special.i1" i1 "special.i1e" i1e
        "special.modified_bessel_i0" i0 "special.modified_bessel_i1" i1
        "special.modified_bessel_k0" modified_bessel_k0 "special.modified_bessel_k1" modified_bessel_k1
        "special.scaled_modified_bessel_k0" scaled_modified_bessel_k0 "special.scaled_modified_bessel_k1" scaled_modified_bessel_k1
        "special.bessel_j0" bessel_j0 "special.bessel_j1" bessel_j1 "special.bessel_y0" bessel_y0 "special.bessel_y1" bessel_y1
        "special.spherical_bessel_j0" spherical_bessel_j0 "special.airy_ai" airy_ai
        "special.erfcx" erfcx "special.ndtr" ndtr "special.ndtri" ndtri "special.log_ndtr" log_ndtr "special.entr" entr
        "special.erf" erf "special.erfc" erfc "special.erfinv" erfinv "special.exp2" exp2 "special.expm1" expm1 "special.expit" sigmoid
        "special.gammaln" lgamma "special.digamma" digamma "special.psi" digamma "special.log1p" log1p "special.sinc" sinc
        "isreal" isreal "frexp" frexp;
    of_two:
        "special.xlog1py" XLOG1PY "special.zeta" ZETA
        "special.chebyshev_polynomial_t" CHEBYSHEV_T "special.chebyshev_polynomial_u" CHEBYSHEV_U
        "special.chebyshev_polynomial_v" CHEBYSHEV_V "special.chebyshev_polynomial_w" CHEBYSHEV_W
        "special.shifted_chebyshev_polynomial_t" SHIFTED_CHEBYSHEV_T "special.shifted_chebyshev_polynomial_u" SHIFTED_CHEBYSHEV_U
        "special.shifted_chebyshev_polynomial_v" SHIFTED_CHEBYSHEV_V "special.shifted_chebyshev_polynomial_w" SHIFTED_CHEBYSHEV_W
        "special.hermite_polynomial_h" HERMITE_H "special.hermite_polynomial_he" HERMITE_HE
        "special.laguerre_polynomial_l" LAGUERRE "special.legendre_polynomial_p" LEGENDRE;
    "igamma"(input: Tensor, other: Tensor) input.igamma(other);
    "igammac"(input: Tensor, other: Tensor) input.igammac(other);
    "special.gammainc"(input: Tensor, other: Tensor) input.igamma(other);
    "special.gammaincc"(input: Tensor, other: Tensor) input.igammac(other);
    "polygamma"(n: usize, input: Tensor) input.polygamma(n);
    "polygamma_"(input: Tensor, n: usize) input.overwrite("polygamma_", input.polygamma(n)).cloned();
    "special.polygamma"(n: usize, input: Tensor) input.polygamma(n);
    "mvlgamma"(input: Tensor, p: usize) input.mvlgamma(p);
    "special.multigammaln"(input: Tensor, p: usize) input.mvlgamma(p);
    "special.xlogy"(input: Tensor, other: Operand) input.xlogy(other);

    "float_power"(input: Tensor, exponent: Operand) input.float_power(exponent);
    "float_power"(input: Scalar, exponent: Tensor) Tensor::full([], input.as_f64(), (DType::F64, exponent.device()))?.float_power(&exponent);
    "ldexp"(input: Tensor, other: Tensor) input.ldexp(&other);
    "logaddexp2"(input: Tensor, other: Tensor) input.logaddexp2(&other);
    "gcd"(input: Tensor, other: Tensor) input.gcd(&other);
    "lcm"(input: Tensor, other: Tensor) input.lcm(&other);
    "nextafter"(input: Tensor, other: Tensor) input.nextafter(&other);
    "gradient"(input: Tensor, spacing: Value = Value::None, dim: Over, edge_order: usize = 1)
        input.gradient(&self::spacing(spacing)?, dim, edge_order);

    "normal"(mean: Tensor, std: Operand = Operand::Scalar(Scalar::Float(1.0))) Tensor::normal_of(mean, std);
    "normal"(mean: f64, std: Tensor) Tensor::normal_of(mean, std);
    "normal"(mean: f64, std: f64, size: Vec<usize>, dtype: Option<DType>, device: On) Tensor::normal(mean, std, size, TensorOptions { dtype, device: device.0 });
    "cauchy_"(input: Tensor, median: f64 = 0.0, sigma: f64 = 1.0) input.cauchy_(median, sigma).cloned();
    "log_normal_"(input: Tensor, mean: f64 = 1.0, std: f64 = 2.0) input.log_normal_(mean, std).cloned();
    "geometric_"(input: Tensor, p: f64) input.geometric_(p).cloned();

    "fft.fftshift"(input: Tensor, dim: Over) input.fftshift(dim);
    "fft.ifftshift"(input: Tensor, dim: Over) input.ifftshift(dim);
    "fft.fftfreq"(n: usize, d: f64 = 1.0, dtype: Option<DType>, device: On) Tensor::fftfreq(n, d, TensorOptions { dtype, device: device.0 });
    "fft.rfftfreq"(n: usize, d: f64 = 1.0, dtype: Option<DType>, device: On) Tensor::rfftfreq(n, d, TensorOptions { dtype, device: device.0 });

    "signal.windows.bartlett"(m: usize, sym: bool = true, dtype: Option<DType>, device: On) window(Window::Bartlett, m, sym, dtype, device);
    "signal.windows.blackman"(m: usize, sym: bool = true, dtype: Option<DType>, device: On) window(Window::Blackman, m, sym, dtype, device);
    "signal.windows.cosine"(m: usize, sym: bool = true, dtype: Option<DType>, device: On) window(Window::Cosine, m, sym, dtype, device);
    "signal.windows.exponential"(m: usize, center: Option<f64>, tau: f64 = 1.0, sym: bool = true, dtype: Option<DType>, device: On)
        window(Window::Exponential { center, tau }, m, sym, dtype, device);
    "signal.windows.gaussian"(m: usize, std: f64 = 1.0, sym: bool = true, dtype: Option<DType>, device: On)
        window(Window::Gaussian { std }, m, sym, dtype, device);
    "signal.windows.general_cosine"(m: usize, a: Vec<f64>, sym: bool = true, dtype: Option<DType>, device: On)
        window(Window::GeneralCosine { a }, m, sym, dtype, device);
    "signal.windows.general_hamming"(m: usize, alpha: f64 = 0.54, sym: bool = true, dtype: Option<DType>, device: On)
        window(Window::GeneralHamming { alpha }, m, sym, dtype, device);
    "signal.windows.hamming"(m: usize, sym: bool = true, dtype: Option<DType>, device: On) window(Window::Hamming, m, sym, dtype, device);
    "signal.windows.hann"(m: usize, sym: bool = true, dtype: Option<DType>, device: On) window(Window::Hann, m, sym, dtype, device);
    "signal.windows.kaiser"(m: usize, beta: f64 = 12.0, sym: bool = true, dtype: Option<DType>, device: On)
        window(Window::Kaiser { beta }, m, sym, dtype, device);
    "signal.windows.nuttall"(m: usize, sym: bool = true, dtype: Option<DType>, device: On) window(Window::Nuttall, m, sym, dtype, device);
}

/// A function of two operands, of which one may be a number.
fn of_two(f: &'static Function, a: Operand, b: Operand) -> Result<Tensor> {
    Tensor::special_of(f, &a, &b)
}

fn window(window: Window, n: usize, symmetric: bool, dtype: Option<DType>, device: On) -> Result<Tensor> {
    window.tensor(n, symmetric, TensorOptions { dtype, device: device.0 })
}

/// How `gradient`'s spacing may be written.
fn spacing(v: Value) -> Result<Spacing> {
    let number = |v: &Value| match v {
        Value::Int(i) => Some(*i as f64),
        Value::Float(f) => Some(*f),
        _ => None,
    };
    let tensor = |v: &Value| if let Value::Tensor(t) = v { Some(t.clone()) } else { None };
    let known = match &v {
        Value::None => Some(Spacing::Even(1.0)),
        Value::Tensor(t) => Some(Spacing::Coordinates(vec![t.clone()])),
        Value::List(list) => {
            let each = list.iter().map(number).collect::<Option<Vec<f64>>>().map(Spacing::Each);
            each.or_else(|| list.iter().map(tensor).collect::<Option<Vec<Tensor>>>().map(Spacing::Coordinates))
        }
        v => number(v).map(Spacing::Even),
    };
    known.ok_or_else(|| Error::argument("gradient", "spacing must be a number, or numbers or coordinates for each dimension"))
}
