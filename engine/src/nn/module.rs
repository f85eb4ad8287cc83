//! The trait every model implements: it shows its members, and everything else follows from them.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::copy::{Copies, CopyLayer, Pointee};
use super::param::{Buffer, Param, Training};
use crate::autograd::{Edge, no_grad};
use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Parameters and buffers by PyTorch's dotted names (`encoder.layers.0.weight`).
pub type StateDict = BTreeMap<String, Tensor>;

/// A member of a module.
pub enum Member<'a> {
    Param(&'a Param),
    Buffer(&'a Buffer),
    Training(&'a Training),
    Module(&'a dyn Module),
}

/// A member of a module that may be exchanged.
pub enum MemberMut<'a> {
    Param(&'a mut Param),
    Buffer(&'a mut Buffer),
    Module(&'a mut dyn Module),
}

/// A model or a part of one. Implemented by `#[derive(Module)]`.
pub trait Module: Send + Sync {
    /// Shows every direct member with its name, in order of declaration.
    fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Member<'a>));

    /// Shows the members that [`to`](Self::to) exchanges.
    fn members_mut(&mut self, visit: &mut dyn FnMut(&str, MemberMut<'_>));

    /// The name of the type, without its path.
    fn type_name(&self) -> &'static str {
        short_name(std::any::type_name::<Self>())
    }

    /// The direct parts with their names.
    fn named_children(&self) -> Vec<(String, &dyn Module)> {
        let mut out = Vec::new();
        self.members(&mut |name, member| {
            if let Member::Module(m) = member {
                out.push((name.to_string(), m));
            }
        });
        out
    }

    /// All parts, parts of parts included, with their full names, in order.
    fn named_modules(&self) -> Vec<(String, &dyn Module)> {
        let mut out: Vec<(String, &dyn Module)> = Vec::new();
        let mut stack: Vec<(String, &dyn Module)> = self.named_children();
        stack.reverse();
        while let Some((path, module)) = stack.pop() {
            let children = module.named_children().into_iter().rev();
            stack.extend(children.map(|(name, child)| (format!("{path}.{name}"), child)));
            out.push((path, module));
        }
        out
    }

    /// Calls `f` with every part and its full name, as `torch.nn.Module.apply`: to initialise, to freeze, to count.
    ///
    /// # Errors
    /// What `f` reports.
    fn apply(&self, f: &mut dyn FnMut(&str, &dyn Module) -> Result<()>) -> Result<()> {
        self.named_modules().into_iter().try_for_each(|(name, module)| f(&name, module))
    }

    /// The parameter of this full name.
    ///
    /// # Errors
    /// There is none.
    fn get_parameter(&self, name: &str) -> Result<Param> {
        let found = slots(self).into_iter().find_map(|(n, slot)| match slot {
            Stateful::Param(p) if n == name => Some(p),
            _ => None,
        });
        found.ok_or_else(|| Error::argument("get_parameter", format!("there is no parameter {name}")))
    }

    /// A model of its own with the same values, without gradients; what is shared inside stays shared. As `copy.deepcopy`.
    ///
    /// ```
    /// use taper::nn::{Linear, Module};
    /// # use taper::prelude::*;
    /// # fn main() -> Result<()> {
    /// let model = Linear::new(2, 2, &Device::cpu())?;
    /// let copy = model.deep_copy()?;
    /// model.weight.set(&Tensor::zeros([2, 2], &Device::cpu())?)?;
    /// assert_ne!(copy.weight.to_vec::<f32>()?, [0.0; 4]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// A part that cannot be copied: a field that is no member and not `Clone`, a module written by hand without
    /// [`copied`](Self::copied).
    fn deep_copy(&self) -> Result<Self>
    where
        Self: Sized,
    {
        self.copied(&mut Copies::default())
    }

    /// What [`deep_copy`](Self::deep_copy) makes of this module as a part of another. Derived modules have it: members are copied
    /// deeply, other fields cloned.
    ///
    /// # Errors
    /// As [`deep_copy`](Self::deep_copy).
    fn copied(&self, copies: &mut Copies) -> Result<Self>
    where
        Self: Sized,
    {
        let _ = copies;
        Err(Error::unsupported("deep_copy", format!("{} does not say how it is copied", self.type_name())))
    }

    /// The parameters with their names, in order; a shared one once, under its first name.
    fn named_parameters(&self) -> Vec<(String, Param)> {
        let (mut seen, mut out) = (HashSet::new(), Vec::new());
        self.members(&mut |name, member| {
            walk("", name, member, &mut |path, leaf| {
                if let Member::Param(p) = leaf
                    && seen.insert(id(p))
                {
                    out.push((path.to_string(), p.clone()));
                }
            });
        });
        out
    }

    /// The parameters, a shared one once: what an optimizer takes.
    fn parameters(&self) -> Vec<Param> {
        self.named_parameters().into_iter().map(|(_, p)| p).collect()
    }

    /// The buffers with their names, in order, transient ones included; a shared one once.
    fn named_buffers(&self) -> Vec<(String, Buffer)> {
        let (mut seen, mut out) = (HashSet::new(), Vec::new());
        self.members(&mut |name, member| {
            walk("", name, member, &mut |path, leaf| {
                if let Member::Buffer(b) = leaf
                    && seen.insert(id(b))
                {
                    out.push((path.to_string(), b.clone()));
                }
            });
        });
        out
    }

    fn buffers(&self) -> Vec<Buffer> {
        self.named_buffers().into_iter().map(|(_, b)| b).collect()
    }

    /// Parameters and persistent buffers by name, as they are now: later steps do not change what was returned.
    /// A shared tensor appears under each of its names.
    fn state_dict(&self) -> StateDict {
        slots(self).into_iter().map(|(name, slot)| (name, snapshot(slot.tensor()))).collect()
    }

    /// Gives parameters and buffers the values of `state`, converted to their types and devices.
    ///
    /// With `strict` the names must be exactly the module's; without it, what is missing or unexpected is left
    /// alone and reported.
    ///
    /// # Errors
    /// Shapes that differ, and with `strict` missing or unexpected names: all of them in one message. Nothing is
    /// changed then.
    fn load_state_dict(&self, state: &StateDict, strict: bool) -> Result<LoadReport> {
        self.expect_state("", state)?;
        let slots = slots(self);
        let names: HashSet<&str> = slots.iter().map(|(name, _)| name.as_str()).collect();
        let report = LoadReport {
            missing: slots.iter().filter(|(name, _)| !state.contains_key(name)).map(|(name, _)| name.clone()).collect(),
            unexpected: state.keys().filter(|name| !names.contains(name.as_str())).cloned().collect(),
        };
        let mut wrong: Vec<String> = Vec::new();
        if strict {
            wrong.extend(report.missing.iter().map(|name| format!("{name} is missing")));
            wrong.extend(report.unexpected.iter().map(|name| format!("{name} is unexpected")));
        }
        for (name, slot) in &slots {
            if let Some(value) = state.get(name).filter(|v| v.shape() != slot.tensor().shape()) {
                wrong.push(format!("{name} is {:?} but the value is {:?}", slot.tensor().shape(), value.shape()));
            }
        }
        if !wrong.is_empty() {
            return Err(Error::argument("load_state_dict", wrong.join("; ")));
        }
        for (name, slot) in &slots {
            if let Some(value) = state.get(name) {
                slot.set(value)?;
            }
        }
        Ok(report)
    }

    /// Called on every module before a state dict is loaded, with its path in it: one whose parameters have no shape yet
    /// (see [`Lazy`](super::Lazy)) takes it from the state's.
    ///
    /// # Errors
    /// The state's shapes are none it can have.
    fn expect_state(&self, path: &str, state: &StateDict) -> Result<()> {
        let mut result = Ok(());
        self.members(&mut |name, member| {
            if let (Ok(()), Member::Module(child)) = (&result, member) {
                result = child.expect_state(&if path.is_empty() { name.to_string() } else { format!("{path}.{name}") }, state);
            }
        });
        result
    }

    /// Switches the module and its children to training (`true`) or evaluation.
    fn train(&self, training: bool) {
        self.members(&mut |name, member| {
            walk("", name, member, &mut |_, leaf| {
                if let Member::Training(flag) = leaf {
                    flag.set(training);
                }
            });
        });
    }

    /// Switches to evaluation: no dropout, running statistics in batch norm.
    fn eval(&self) {
        self.train(false);
    }

    /// Whether the module is training: what its first member that knows says, `true` if none does.
    fn is_training(&self) -> bool {
        let mut first = None;
        self.members(&mut |name, member| {
            walk("", name, member, &mut |_, leaf| {
                if let Member::Training(flag) = leaf {
                    first.get_or_insert(flag.get());
                }
            });
        });
        first.unwrap_or(true)
    }

    /// Moves parameters and buffers, and the gradients, to a device.
    ///
    /// A tensor's device never changes, so the module gets other tensors (unless it is there already): build
    /// optimizers afterwards. Shared parameters stay shared.
    ///
    /// # Errors
    /// A type the device does not have; out of memory.
    fn to(&mut self, device: &Device) -> Result<()> {
        exchange(self, &|t| t.to(device))
    }

    /// Converts floating point parameters and buffers. As with [`to`](Self::to), build optimizers afterwards.
    ///
    /// # Errors
    /// `dtype` is not floating point, or the device does not have it.
    fn to_dtype(&mut self, dtype: DType) -> Result<()> {
        if !dtype.is_float() {
            return Err(Error::dtype("to_dtype", format!("a module's parameters are floating point, not {dtype}")));
        }
        exchange(self, &|t| if t.dtype().is_float() { t.to_dtype(dtype) } else { Ok(t.clone()) })
    }

    /// Removes all gradients.
    fn zero_grad(&self) {
        self.parameters().iter().for_each(|p| p.zero_grad());
    }

    /// Freezes the parameters (`false`), or lets them learn again.
    ///
    /// # Errors
    /// Never for parameters as modules make them.
    fn requires_grad_(&self, on: bool) -> Result<()> {
        self.parameters().iter().try_for_each(|p| p.requires_grad_(on).map(|_| ()))
    }

    /// How many numbers are learned; a shared parameter counts once.
    fn num_parameters(&self) -> usize {
        self.parameters().iter().map(|p| p.numel()).sum()
    }
}

impl std::fmt::Debug for Member<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Member::Param(p) => p.fmt(f),
            Member::Buffer(b) => b.fmt(f),
            Member::Training(t) => t.fmt(f),
            Member::Module(_) => f.write_str("Module"),
        }
    }
}

impl std::fmt::Debug for MemberMut<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MemberMut::Param(p) => p.fmt(f),
            MemberMut::Buffer(b) => b.fmt(f),
            MemberMut::Module(_) => f.write_str("Module"),
        }
    }
}

/// What [`Module::load_state_dict`] did not load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// The module has them, the state does not.
    pub missing: Vec<String>,
    /// The state has them, the module does not.
    pub unexpected: Vec<String>,
}

/// A module from one tensor to one tensor: what [`Sequential`](super::Sequential) is made of.
pub trait Layer: Module + CopyLayer {
    /// # Errors
    /// The input does not fit the layer.
    fn forward(&self, x: &Tensor) -> Result<Tensor>;
}

impl<M: Pointee + ?Sized> Module for Box<M> {
    fn copied(&self, copies: &mut Copies) -> Result<Box<M>> {
        (**self).boxed_copy(copies)
    }
    fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Member<'a>)) {
        (**self).members(visit);
    }
    fn members_mut(&mut self, visit: &mut dyn FnMut(&str, MemberMut<'_>)) {
        (**self).members_mut(visit);
    }
    fn expect_state(&self, path: &str, state: &StateDict) -> Result<()> {
        (**self).expect_state(path, state)
    }
    fn type_name(&self) -> &'static str {
        (**self).type_name()
    }
}

impl<L: Layer + Pointee + ?Sized + 'static> Layer for Box<L> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        (**self).forward(x)
    }
}

/// Shows `member`, or if it is a module everything below it, with full paths.
pub(super) fn walk<'a>(prefix: &str, name: &str, member: Member<'a>, visit: &mut dyn FnMut(&str, Member<'a>)) {
    let path = if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") };
    match member {
        Member::Module(m) => m.members(&mut |name, member| walk(&path, name, member, visit)),
        leaf => visit(&path, leaf),
    }
}

/// `taper::nn::linear::Linear` is `Linear`; what it is generic over is left out.
fn short_name(path: &'static str) -> &'static str {
    let path = path.split('<').next().unwrap_or(path);
    path.rsplit("::").next().unwrap_or(path)
}

/// The tensors of parameters and persistent buffers under all their names.
pub(super) fn tensors<M: Module + ?Sized>(module: &M) -> Vec<(String, Tensor)> {
    slots(module).into_iter().map(|(name, slot)| (name, slot.tensor().clone())).collect()
}

/// What a state dict is about.
enum Stateful {
    Param(Param),
    Buffer(Buffer),
}

impl Stateful {
    fn tensor(&self) -> &Tensor {
        match self {
            Stateful::Param(p) => p,
            Stateful::Buffer(b) => b,
        }
    }

    fn set(&self, value: &Tensor) -> Result<()> {
        match self {
            Stateful::Param(p) => p.set(value),
            Stateful::Buffer(b) => b.set(value),
        }
    }
}

/// Parameters and persistent buffers under all their names.
fn slots<M: Module + ?Sized>(module: &M) -> Vec<(String, Stateful)> {
    let mut out = Vec::new();
    module.members(&mut |name, member| {
        walk("", name, member, &mut |path, leaf| match leaf {
            Member::Param(p) => out.push((path.to_string(), Stateful::Param(p.clone()))),
            Member::Buffer(b) if b.is_persistent() => out.push((path.to_string(), Stateful::Buffer(b.clone()))),
            _ => {}
        });
    });
    out
}

/// Names a tensor, whatever its value.
pub(super) fn id(tensor: &Tensor) -> u64 {
    tensor.0.id
}

/// A tensor of its own with the value of now.
fn snapshot(tensor: &Tensor) -> Tensor {
    tensor.value().map_or_else(|_| tensor.clone(), |value| Tensor::from_value(value, Edge::None))
}

/// Replaces every tensor by what `convert` makes of it, the same tensor by the same. An error leaves the module as
/// it was.
fn exchange<M: Module + ?Sized>(module: &mut M, convert: &dyn Fn(&Tensor) -> Result<Tensor>) -> Result<()> {
    let mut new = Exchanged::default();
    for (_, p) in module.named_parameters() {
        let value = no_grad(|| convert(&p))?;
        if value.ptr_eq(&p) {
            continue;
        }
        let param = Param::new(&value)?;
        param.requires_grad_(p.requires_grad())?;
        if let Some(g) = p.grad() {
            param.set_grad(Some(&no_grad(|| convert(&g))?))?;
        }
        new.params.insert(id(&p), param);
    }
    for (_, b) in module.named_buffers() {
        new.buffers.insert(id(&b), no_grad(|| convert(&b))?);
    }
    module.members_mut(&mut |_, member| new.install(member));
    Ok(())
}

#[derive(Default)]
struct Exchanged {
    params: HashMap<u64, Param>,
    buffers: HashMap<u64, Tensor>,
}

impl Exchanged {
    fn install(&self, member: MemberMut<'_>) {
        match member {
            MemberMut::Param(p) => {
                if let Some(new) = self.params.get(&id(p)) {
                    *p = new.clone();
                }
            }
            MemberMut::Buffer(b) => {
                if let Some(new) = self.buffers.get(&id(b)) {
                    b.replace_tensor(new.clone());
                }
            }
            MemberMut::Module(m) => m.members_mut(&mut |_, member| self.install(member)),
        }
    }
}
