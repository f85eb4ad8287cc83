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
        other => return Err(Outcome::failed(format!("approximate: '{other}'"))),
    };
    LeakyReLU(negative_slope, inplace) |a| nn::LeakyReLU::new(a.float("negative_slope", 0.01)?);
    ELU(alpha, inplace) |a| nn::ELU::new(a.float("alpha", 1.0)?);
    Softmax(dim) |a| nn::Softmax::new(a.int("dim", -1)? as isize);
    LogSoftmax(dim) |a| nn::LogSoftmax::new(a.int("dim", -1)? as isize);
}
