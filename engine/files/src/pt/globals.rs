//! The names a pickle may use, and what calling them means here.

use std::borrow::Cow;

use taper::{DType, Error, Result};

use super::build::{Recipe, Storage};
use super::pickle::{Dict, Item, Machine, wrong};

/// A name that is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildTensorV2,
    RebuildTensorV3,
    RebuildParameter,
    RebuildParameterWithState,
    RebuildFromType,
    Size,
    Device,
    Encode,
    Tensor,
    Parameter,
    DType(DType),
    Storage(DType),
    UntypedStorage,
}

/// PyTorch's names of the types, and of their storages where there are.
pub(super) const TYPES: [(DType, &str, Option<&str>); 13] = [
    (DType::Bool, "bool", Some("BoolStorage")),
    (DType::U8, "uint8", Some("ByteStorage")),
    (DType::I8, "int8", Some("CharStorage")),
    (DType::U16, "uint16", None),
    (DType::I16, "int16", Some("ShortStorage")),
    (DType::U32, "uint32", None),
    (DType::I32, "int32", Some("IntStorage")),
    (DType::U64, "uint64", None),
    (DType::I64, "int64", Some("LongStorage")),
    (DType::F16, "float16", Some("HalfStorage")),
    (DType::BF16, "bfloat16", Some("BFloat16Storage")),
    (DType::F32, "float32", Some("FloatStorage")),
    (DType::F64, "float64", Some("DoubleStorage")),
];

impl Global {
    /// # Errors
    /// A name that is not among the known ones: it is refused before anything else happens.
    pub fn named(module: &str, name: &str) -> Result<Global> {
        Ok(match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensorV2,
            ("torch._utils", "_rebuild_tensor_v3") => Global::RebuildTensorV3,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            ("torch._utils", "_rebuild_parameter_with_state") => Global::RebuildParameterWithState,
            ("torch._tensor", "_rebuild_from_type_v2") => Global::RebuildFromType,
            ("torch", "Size") => Global::Size,
            ("torch", "device") => Global::Device,
            ("torch", "Tensor") => Global::Tensor,
            ("torch.nn.parameter", "Parameter") => Global::Parameter,
            ("_codecs", "encode") => Global::Encode,
            ("torch" | "torch.storage", "UntypedStorage") => Global::UntypedStorage,
            ("torch" | "torch.cuda", _) => match TYPES.iter().find(|(_, d, s)| *s == Some(name) || (*d == name && module == "torch")) {
                Some((dtype, _, Some(storage))) if *storage == name => Global::Storage(*dtype),
                Some((dtype, ..)) => Global::DType(*dtype),
                None => return Err(refused(module, name)),
            },
            _ => return Err(refused(module, name)),
        })
    }
}

fn refused(module: &str, name: &str) -> Error {
    let whole = if module.starts_with("torch.nn.modules") { "; a whole model was saved: save its state_dict() instead" } else { "" };
    wrong(format!("refuses '{module}.{name}': only plain values and tensors are read{whole}"))
}

/// More dimensions than any tensor has for a reason.
const MAX_RANK: usize = 64;

impl Machine<'_, '_> {
    /// What calling a name gives.
    pub fn call(&mut self, callee: Item, arguments: Item) -> Result<Item> {
        let Item::Global(global) = callee else { return Err(wrong("a call of what is no name")) };
        let Item::Tuple(_) = arguments else { return Err(wrong(format!("{global:?} is called without a tuple of arguments"))) };
        let given = self.items(arguments).unwrap_or_default();
        let mut a = [Item::None; 8];
        if given.len() > a.len() {
            return Err(wrong(format!("{global:?} is called with {} arguments", given.len())));
        }
        let n = given.len();
        a[..n].copy_from_slice(given);
        let odd = || wrong(format!("{global:?} is called with arguments it does not take"));
        match (global, n) {
            (Global::OrderedDict, 0) => Ok(Item::Dict(self.dict(Dict { ordered: true, entries: Vec::new() })?)),
            (Global::OrderedDict, 1) => {
                let pairs = self.items(a[0]).ok_or_else(odd)?;
                self.budget_for(pairs.len())?;
                let pair = |&p: &Item| self.items(p).and_then(|p| <[Item; 2]>::try_from(p).ok()).map(|[k, v]| (k, v));
                let entries = self.items(a[0]).ok_or_else(odd)?.iter().map(pair).collect::<Option<Vec<_>>>().ok_or_else(odd)?;
                Ok(Item::Dict(self.dict(Dict { ordered: true, entries })?))
            }
            (Global::RebuildTensor, 4) => self.tensor([a[0], a[1], a[2], a[3]], Item::None, None),
            (Global::RebuildTensorV2, 6 | 7) => {
                self.plain(a[6])?;
                self.tensor([a[0], a[1], a[2], a[3]], a[4], None)
            }
            (Global::RebuildTensorV3, 7 | 8) => {
                self.plain(a[7])?;
                let Item::Global(Global::DType(dtype)) = a[6] else { return Err(odd()) };
                self.tensor([a[0], a[1], a[2], a[3]], a[4], Some(dtype))
            }
            (Global::RebuildParameter, 3) | (Global::RebuildParameterWithState, 4) => self.parameter(a[0], a[1]),
            (Global::RebuildFromType, 4) => {
                // One level, as PyTorch writes it: calls of calls could go deep.
                if a[0] == Item::Global(Global::RebuildFromType) {
                    return Err(odd());
                }
                let made = self.call(a[0], a[2])?;
                match (a[1], made) {
                    (Item::Global(Global::Tensor), Item::Tensor(_)) => Ok(made),
                    (Item::Global(Global::Parameter), Item::Tensor(id)) => {
                        let grad = self.arena.recipes[id as usize].requires_grad;
                        self.parameter(made, Item::Bool(grad))
                    }
                    _ => Err(odd()),
                }
            }
            (Global::Size, 1) => match a[0] {
                Item::Tuple(id) | Item::List(id) => self.sizes(a[0]).map(|_| Item::Size(id)),
                _ => Err(odd()),
            },
            (Global::Device, 1 | 2) => {
                let (Some(kind), index) = (self.str(a[0]), a[1]) else { return Err(odd()) };
                let text = match index {
                    Item::None => kind.to_string(),
                    Item::Int(i) => format!("{kind}:{i}"),
                    _ => return Err(odd()),
                };
                self.budget.take(text.len() as u64)?;
                Ok(Item::Device(self.text(Cow::Owned(text))?))
            }
            // How protocol 2 writes bytes: text whose characters are the bytes.
            (Global::Encode, 2) => {
                let (Some(text), Some("latin1" | "latin-1")) = (self.str(a[0]), self.str(a[1])) else { return Err(odd()) };
                let bytes = text.chars().map(|c| u8::try_from(c).ok()).collect::<Option<Vec<u8>>>().ok_or_else(odd)?;
                self.budget.take(bytes.len() as u64)?;
                Ok(Item::Bytes(self.bytes(Cow::Owned(bytes))?))
            }
            _ => Err(odd()),
        }
    }

    fn budget_for(&mut self, entries: usize) -> Result<()> {
        self.budget.take(entries as u64 * 2 * size_of::<Item>() as u64)
    }

    /// Nothing is said about a tensor beside its elements: not that it is conjugated or negated.
    fn plain(&self, metadata: Item) -> Result<()> {
        match metadata {
            Item::None => Ok(()),
            Item::Dict(id) if self.arena.dicts[id as usize].entries.is_empty() => Ok(()),
            _ => Err(wrong("a tensor that is conjugated, negated or otherwise more than its elements")),
        }
    }

    fn sizes(&self, tuple: Item) -> Result<Vec<usize>> {
        let items = self.items(tuple).ok_or_else(|| wrong("a shape that is no tuple"))?;
        if items.len() > MAX_RANK {
            return Err(wrong(format!("a shape of {} dimensions", items.len())));
        }
        let size = |i: &Item| match i {
            Item::Int(v) => usize::try_from(*v).map_err(|_| wrong(format!("a size or stride of {v}"))),
            _ => Err(wrong("a size or stride that is no integer")),
        };
        items.iter().map(size).collect()
    }

    fn tensor(&mut self, [storage, offset, shape, strides]: [Item; 4], grad: Item, dtype: Option<DType>) -> Result<Item> {
        let Item::Storage(storage) = storage else { return Err(wrong("a tensor without a storage")) };
        let Item::Int(offset) = offset else { return Err(wrong("a tensor's offset that is no integer")) };
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        if shape.len() != strides.len() {
            return Err(wrong(format!("a tensor of {} sizes and {} strides", shape.len(), strides.len())));
        }
        let from = &self.arena.storages[storage as usize];
        let dtype = dtype.or(from.dtype).ok_or_else(|| wrong("a tensor without a type"))?;
        if from.dtype.is_some_and(|d| d != dtype) {
            return Err(wrong(format!("a tensor of {dtype} over another type's storage")));
        }
        let offset = usize::try_from(offset).ok().and_then(|o| o.checked_add(from.skip)).ok_or_else(|| wrong("an offset out of range"))?;
        let requires_grad = grad == Item::Bool(true);
        self.recipe(Recipe { storage, dtype, offset, shape, strides, requires_grad, parameter: false })
    }

    fn parameter(&mut self, data: Item, grad: Item) -> Result<Item> {
        let Item::Tensor(id) = data else { return Err(wrong("a parameter that is no tensor")) };
        let recipe = self.arena.recipes[id as usize].clone();
        self.recipe(Recipe { requires_grad: grad == Item::Bool(true), parameter: true, ..recipe })
    }

    /// The storage a persistent id names: kind, type, key, location, elements, and a part of it in old files.
    pub fn persistent(&mut self, name: Item) -> Result<Item> {
        let odd = || wrong("a persistent id that names no storage");
        let items = self.items(name).ok_or_else(odd)?;
        let (&[kind, class, key, _, numel], rest) = items.split_first_chunk::<5>().ok_or_else(odd)?;
        let dtype = match class {
            Item::Global(Global::Storage(dtype)) => Some(dtype),
            Item::Global(Global::UntypedStorage) => None,
            _ => return Err(odd()),
        };
        let skip = match rest {
            [] | [Item::None] => 0,
            [view] => match self.items(*view) {
                Some(&[_, Item::Int(offset), Item::Int(_)]) => usize::try_from(offset).map_err(|_| odd())?,
                _ => return Err(odd()),
            },
            _ => return Err(odd()),
        };
        let (Some("storage"), Item::Text(key), Item::Int(numel)) = (self.str(kind), key, numel) else { return Err(odd()) };
        let numel = usize::try_from(numel).map_err(|_| odd())?;
        let key = self.known(key);
        Ok(Item::Storage(self.storage(Storage { key, dtype, numel, skip })?))
    }

    /// The first of equal keys stands for all: storages are compared by it.
    fn known(&mut self, key: u32) -> u32 {
        let text = &*self.arena.texts[key as usize];
        if let Some(&first) = self.arena.keys.get(text) {
            return first;
        }
        self.arena.keys.insert(text.to_string(), key);
        key
    }
}
