//! What a model is made of, as a tree and as numbers.

use std::collections::HashSet;
use std::fmt;

use super::module::Module;

/// A model as a tree: parts, shapes, numbers of parameters, bytes. What [`summary`] makes and `{}` prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The name in the part above; empty at the top.
    pub name: String,
    pub kind: String,
    /// Own parameters and buffers, without those of parts: name and shape.
    pub own: Vec<(String, Vec<usize>)>,
    /// Numbers that are learned, parts included; a shared one counts where it is met first.
    pub parameters: usize,
    /// Of those, the ones that are not frozen.
    pub trainable: usize,
    /// Bytes of parameters and buffers.
    pub bytes: usize,
    pub parts: Vec<Summary>,
}

/// Describes a model. Printed, it is a tree like PyTorch's `print(model)`, with shapes and counts.
///
/// ```
/// use taper::nn::{Linear, ReLU, Sequential, summary};
/// # use taper::prelude::*;
/// # fn main() -> Result<()> {
/// # let device = Device::cpu();
/// let model = Sequential::new().add(Linear::new(4, 8, &device)?).add(ReLU).add(Linear::new(8, 2, &device)?);
/// let text = summary(&model).to_string();
/// assert!(text.contains("(0): Linear  weight [8, 4], bias [8]  40 parameters"));
/// assert!(text.ends_with("58 parameters, 58 trainable, 232 bytes\n"));
/// # Ok(()) }
/// ```
pub fn summary(module: &dyn Module) -> Summary {
    describe(String::new(), module, &mut HashSet::new())
}

fn describe(name: String, module: &dyn Module, seen: &mut HashSet<u64>) -> Summary {
    let mut out =
        Summary { name, kind: module.type_name().to_string(), own: Vec::new(), parameters: 0, trainable: 0, bytes: 0, parts: Vec::new() };
    let mut children = Vec::new();
    module.members(&mut |name, member| {
        let (tensor, learned) = match member {
            super::Member::Param(p) => (&**p, true),
            super::Member::Buffer(b) => (&**b, false),
            super::Member::Module(m) => {
                children.push((name.to_string(), m));
                return;
            }
            super::Member::Training(_) => return,
        };
        out.own.push((name.to_string(), tensor.shape().to_vec()));
        if seen.insert(tensor.0.id) {
            out.bytes += tensor.numel() * tensor.dtype().size();
            if learned {
                out.parameters += tensor.numel();
                out.trainable += if tensor.requires_grad() { tensor.numel() } else { 0 };
            }
        }
    });
    for (name, child) in children {
        let part = describe(name, child, seen);
        out.parameters += part.parameters;
        out.trainable += part.trainable;
        out.bytes += part.bytes;
        out.parts.push(part);
    }
    out
}

impl Summary {
    fn lines(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        write!(f, "{:1$}", "", depth * 2)?;
        if !self.name.is_empty() {
            write!(f, "({}): ", self.name)?;
        }
        f.write_str(&self.kind)?;
        for (i, (name, shape)) in self.own.iter().enumerate() {
            write!(f, "{}{name} {shape:?}", if i == 0 { "  " } else { ", " })?;
        }
        if self.parameters > 0 {
            write!(f, "  {} parameters", self.parameters)?;
        }
        writeln!(f)?;
        self.parts.iter().try_for_each(|part| part.lines(f, depth + 1))
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines(f, 0)?;
        writeln!(f, "{} parameters, {} trainable, {} bytes", self.parameters, self.trainable, self.bytes)
    }
}
