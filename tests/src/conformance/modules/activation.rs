//! Activations.

use taper::nn;

use super::Outcome;
use super::classes;

classes! {
    ReLU(inplace) |_a| nn::ReLU;
    SiLU(inplace) |_a| nn::SiLU;
    Tanh() |_a| nn::Tanh;
    Sigmoid() |_a| nn::Sigmoid;
    GELU(approximate) |a| match a.text("approximate", "none")?.as_str() {
        "none" => nn::GELU::new(),
        "tanh" => nn::GELU::tanh(),
        other => return Err(Outcome::by_type(format!("approximate: '{other}'"))),
    };
    LeakyReLU(negative_slope, inplace) |a| nn::LeakyReLU::new(a.float("negative_slope", 0.01)?);
    ELU(alpha, inplace) |a| nn::ELU::new(a.float("alpha", 1.0)?);
    Softmax(dim) |a| match a.given("dim") {
        None => nn::Softmax::default(),
        Some(_) => nn::Softmax::new(a.int("dim", 0)? as isize),
    };
    LogSoftmax(dim) |a| match a.given("dim") {
        None => nn::LogSoftmax::default(),
        Some(_) => nn::LogSoftmax::new(a.int("dim", 0)? as isize),
    };
    Softmin(dim) |a| match a.given("dim") {
        None => nn::Softmin::default(),
        Some(_) => nn::Softmin::new(a.int("dim", 0)? as isize),
    };
    Softmax2d() |_a| nn::Softmax2d;
    CELU(alpha, inplace) |a| nn::CELU::new(a.float("alpha", 1.0)?);
    GLU(dim) |a| nn::GLU::new(a.int("dim", -1)? as isize);
    Hardshrink(lambd) |a| nn::Hardshrink::new(a.float("lambd", 0.5)?);
    Softshrink(lambd) |a| nn::Softshrink::new(a.float("lambd", 0.5)?);
    Hardsigmoid(inplace) |_a| nn::Hardsigmoid;
    Hardswish(inplace) |_a| nn::Hardswish;
    Hardtanh(min_val, max_val, inplace) |a| nn::Hardtanh::new(a.float("min_val", -1.0)?, a.float("max_val", 1.0)?);
    LogSigmoid() |_a| nn::LogSigmoid;
    Mish(inplace) |_a| nn::Mish;
    PReLU(num_parameters, init) |a| nn::PReLU::with(a.int("num_parameters", 1)? as usize, a.float("init", 0.25)?, a.options()?)?;
    RReLU(lower, upper, inplace) |a| nn::RReLU::new(a.float("lower", 1.0 / 8.0)?, a.float("upper", 1.0 / 3.0)?)?;
    ReLU6(inplace) |_a| nn::ReLU6;
    SELU(inplace) |_a| nn::SELU;
    Softplus(beta, threshold) |a| nn::Softplus::new(a.float("beta", 1.0)?, a.float("threshold", 20.0)?);
    Softsign() |_a| nn::Softsign;
    Tanhshrink() |_a| nn::Tanhshrink;
    Threshold(threshold, value, inplace) |a| nn::Threshold::new(a.float("threshold", 0.0)?, a.float("value", 0.0)?);
}
