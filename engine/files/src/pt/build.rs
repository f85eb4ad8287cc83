//! From the tables a pickle filled to a tree of values, and to tensors.

use std::borrow::Cow;
use std::collections::BTreeMap;

use taper::{DType, Device, Result, Tensor};

use super::globals::{Global, TYPES};
use super::pickle::{Arena, Item, wrong};
use super::{FORMAT, Value};
use crate::budget::Budget;
use crate::element::{self, Order};
use crate::entry::{Entry, sizes};

/// Elements in a row that tensors are made of.
#[derive(Debug, Clone)]
pub(super) struct Storage {
    /// The text that names it, the first of equal ones.
    pub key: u32,
    /// `None`: bytes, whose type the tensors know.
    pub dtype: Option<DType>,
    /// Elements, or bytes where there is no type.
    pub numel: usize,
    /// Where this one begins in the whole: old files have storages that are parts of others.
    pub skip: usize,
}

/// How a tensor is made of a storage.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub storage: u32,
    pub dtype: DType,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
    pub requires_grad: bool,
    pub parameter: bool,
}

impl Recipe {
    pub fn entry(&self, name: &str) -> Entry {
        let known = TYPES.iter().find(|(d, ..)| *d == self.dtype);
        let bytes = self.shape.iter().try_fold(self.dtype.size(), |n, &d| n.checked_mul(d)).unwrap_or(usize::MAX);
        Entry::new(name, known.map_or("", |(_, name, _)| name), Some(self.dtype), &self.shape, bytes as u64)
    }

    /// Row-major and without gaps.
    fn is_contiguous(&self) -> bool {
        let mut step = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&d, &s)| {
            let fits = d == 1 || s == step;
            // The shape was found to have a size.
            step *= d;
            fits
        })
    }
}

/// Where a file keeps the bytes of its storages.
pub(super) trait Contents {
    fn order(&self) -> Order;
    /// The bytes of a storage.
    fn bytes(&self, key: &str, budget: &mut Budget) -> Result<Cow<'_, [u8]>>;
}

/// Values nested deeper are of no use, and would be too deep for what walks them.
const MAX_DEPTH: usize = 128;

/// The tree below an item; `tensor` makes what stands for a tensor.
///
/// # Errors
/// It is too deep (or contains itself), too large, or has what is no value.
pub(super) fn tree<T>(
    arena: &Arena,
    budget: &mut Budget,
    root: Item,
    tensor: &mut dyn FnMut(&Recipe, u32, &mut Budget) -> Result<T>,
) -> Result<Value<T>> {
    Tree { arena, budget, tensor }.value(root, 0)
}

struct Tree<'a, 'b, T> {
    arena: &'a Arena<'b>,
    budget: &'a mut Budget,
    tensor: &'a mut dyn FnMut(&Recipe, u32, &mut Budget) -> Result<T>,
}

impl<T> Tree<'_, '_, T> {
    fn value(&mut self, item: Item, depth: usize) -> Result<Value<T>> {
        if depth > MAX_DEPTH {
            return Err(wrong(format!("values are nested more than {MAX_DEPTH} deep, or one contains itself")));
        }
        // What is named twice is there twice: this counts both.
        self.budget.take(size_of::<Value<T>>() as u64)?;
        let arena = self.arena;
        Ok(match item {
            Item::None => Value::None,
            Item::Bool(b) => Value::Bool(b),
            Item::Int(i) => Value::Int(i),
            Item::Float(f) => Value::Float(f),
            Item::Long(_) => return Err(wrong("an integer of more than 64 bits")),
            // Indices in items are those the tables gave out.
            Item::Text(id) => Value::Str(self.text(id)?),
            Item::Device(id) => Value::Device(self.text(id)?),
            Item::Bytes(id) => {
                let bytes = &arena.bytes[id as usize];
                self.budget.take(bytes.len() as u64)?;
                Value::Bytes(bytes.to_vec())
            }
            Item::List(id) => Value::List(self.values(&arena.lists[id as usize], depth)?),
            Item::Tuple(id) => Value::Tuple(self.values(&arena.lists[id as usize], depth)?),
            Item::Size(id) => {
                let size = |i: &Item| match i {
                    Item::Int(v) => usize::try_from(*v).map_err(|_| wrong(format!("a size of {v}"))),
                    _ => Err(wrong("a size that is no integer")),
                };
                let items = &arena.lists[id as usize];
                self.budget.take(items.len() as u64 * 8)?;
                Value::Size(items.iter().map(size).collect::<Result<_>>()?)
            }
            Item::Dict(id) => {
                let dict = &arena.dicts[id as usize];
                let mut entries = Vec::new();
                for (key, value) in &dict.entries {
                    entries.push((self.value(*key, depth + 1)?, self.value(*value, depth + 1)?));
                }
                if dict.ordered { Value::OrderedDict(entries) } else { Value::Dict(entries) }
            }
            Item::Global(Global::DType(dtype)) => Value::DType(dtype),
            Item::Global(other) => return Err(wrong(format!("{other:?} where a value is expected"))),
            Item::Storage(_) => return Err(wrong("a storage without a tensor")),
            Item::Tensor(id) => {
                let recipe = &arena.recipes[id as usize];
                let made = (self.tensor)(recipe, id, self.budget)?;
                if recipe.parameter { Value::Parameter(made) } else { Value::Tensor(made) }
            }
        })
    }

    fn values(&mut self, items: &[Item], depth: usize) -> Result<Vec<Value<T>>> {
        let mut out = Vec::new();
        for &item in items {
            out.push(self.value(item, depth + 1)?);
        }
        Ok(out)
    }

    fn text(&mut self, id: u32) -> Result<String> {
        let text = &self.arena.texts[id as usize];
        self.budget.take(text.len() as u64)?;
        Ok(text.to_string())
    }
}

/// Makes tensors on a device; those of one storage share it.
pub(super) struct Tensors<'a> {
    arena: &'a Arena<'a>,
    contents: &'a dyn Contents,
    device: Device,
    /// How many recipes a storage is part of, by key and type.
    uses: BTreeMap<(u32, DType), usize>,
    bases: BTreeMap<(u32, DType), Tensor>,
    made: BTreeMap<u32, Tensor>,
}

impl<'a> Tensors<'a> {
    pub fn new(arena: &'a Arena<'a>, contents: &'a dyn Contents, device: &Device) -> Tensors<'a> {
        let mut uses = BTreeMap::new();
        for recipe in &arena.recipes {
            *uses.entry((arena.storages[recipe.storage as usize].key, recipe.dtype)).or_insert(0) += 1;
        }
        Tensors { arena, contents, device: device.clone(), uses, bases: BTreeMap::new(), made: BTreeMap::new() }
    }

    pub fn make(&mut self, recipe: &Recipe, id: u32, budget: &mut Budget) -> Result<Tensor> {
        if let Some(made) = self.made.get(&id) {
            return Ok(made.clone());
        }
        let tensor = self.fresh(recipe, budget)?;
        if recipe.requires_grad && recipe.dtype.is_float() {
            tensor.requires_grad_(true)?;
        }
        self.made.insert(id, tensor.clone());
        Ok(tensor)
    }

    fn fresh(&mut self, recipe: &Recipe, budget: &mut Budget) -> Result<Tensor> {
        let storage = &self.arena.storages[recipe.storage as usize];
        let key = &*self.arena.texts[storage.key as usize];
        let name = format!("storage {key}");
        let (numel, bytes) = sizes(FORMAT, &name, &recipe.shape, recipe.dtype)?;
        if numel == 0 {
            return Tensor::zeros(&recipe.shape[..], (recipe.dtype, &self.device));
        }
        let whole = match storage.dtype {
            Some(dtype) => storage.numel.checked_mul(dtype.size()),
            None => Some(storage.numel),
        }
        .ok_or_else(|| wrong(format!("{name}: more bytes than there can be")))?;
        // More elements than the storage has: expanded, which whoever reads the elements pays for.
        if bytes > whole {
            budget.take(bytes as u64)?;
        }
        let base = (storage.key, recipe.dtype);
        let alone = self.uses.get(&base) == Some(&1) && recipe.offset == 0 && bytes == whole && recipe.is_contiguous();
        let strides = recipe.strides.iter().map(|&s| isize::try_from(s)).collect::<Result<Vec<isize>, _>>();
        let strides = strides.map_err(|_| wrong(format!("{name}: a stride out of range")))?;
        if !alone && let Some(base) = self.bases.get(&base) {
            return view(base, recipe, &strides, &name);
        }
        let contents = self.contents.bytes(key, budget)?;
        if contents.len() != whole {
            return Err(wrong(format!("{name}: {} bytes instead of {whole}", contents.len())));
        }
        let elements = whole / recipe.dtype.size();
        budget.take(whole as u64)?;
        let order = self.contents.order();
        let out = if alone {
            element::tensor(FORMAT, &name, &contents, order, recipe.dtype, &recipe.shape, &self.device)?
        } else {
            let data = &contents[..elements * recipe.dtype.size()];
            let made = element::tensor(FORMAT, &name, data, order, recipe.dtype, &[elements], &self.device)?;
            let out = view(&made, recipe, &strides, &name)?;
            self.bases.insert(base, made);
            out
        };
        if matches!(contents, Cow::Owned(_)) {
            budget.give(whole as u64);
        }
        Ok(out)
    }
}

fn view(base: &Tensor, recipe: &Recipe, strides: &[isize], name: &str) -> Result<Tensor> {
    let out = base.as_strided(&recipe.shape, strides, recipe.offset);
    out.map_err(|e| wrong(format!("{name}: {e}")))
}
