//! The two containers: a zip file, and what PyTorch wrote before 1.6, several pickles in a row and then the storages.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use taper::{Device, Result, Tensor};

use super::build::{Contents, Recipe, Tensors, tree};
use super::pickle::{Arena, Item, run, wrong};
use super::{FORMAT, Value};
use crate::archive::Archive;
use crate::budget::Budget;
use crate::element::Order;

/// A file whose pickle was run.
pub(super) struct File<'a> {
    /// Its pickle's bytes may be the file's own.
    pickle: Pickled<'a>,
    contents: Box<dyn Contents + 'a>,
    budget: Budget,
}

/// The tables of a pickle that owns its bytes cannot borrow from them: such a pickle is run again when it is needed.
enum Pickled<'a> {
    Made(Box<Arena<'a>>, Item),
    Bytes(Vec<u8>),
}

impl<'a> File<'a> {
    /// # Errors
    /// None of the containers, or a pickle that is refused.
    pub fn open(bytes: &'a [u8]) -> Result<File<'a>> {
        let mut budget = Budget::new(FORMAT, bytes.len());
        if bytes.starts_with(b"PK") {
            return File::zip(bytes, budget);
        }
        if bytes.get(257..262) == Some(b"ustar") {
            return Err(wrong("a tar file, as PyTorch wrote before 0.2; save it again with a newer one"));
        }
        let mut arena = Arena::default();
        let (root, contents) = legacy(bytes, &mut arena, &mut budget)?;
        Ok(File { pickle: Pickled::Made(Box::new(arena), root), contents: Box::new(contents), budget })
    }

    fn zip(bytes: &'a [u8], mut budget: Budget) -> Result<File<'a>> {
        const PICKLE: &str = "data.pkl";
        let archive = Archive::open(FORMAT, bytes)?;
        let pickles: Vec<&str> = archive.names().filter(|n| n.rsplit('/').next() == Some(PICKLE) && n.matches('/').count() <= 1).collect();
        let [pickle] = pickles[..] else { return Err(wrong(format!("a zip file with {} members {PICKLE}", pickles.len()))) };
        let root = pickle.trim_end_matches(PICKLE).to_string();
        let code = archive.read(pickle, &mut budget)?;
        let order = match archive.read(&format!("{root}byteorder"), &mut budget) {
            Ok(order) if order.trim_ascii() == b"big" => Order::Big,
            Ok(order) if order.trim_ascii() != b"little" => return Err(wrong("the byte order is neither little nor big")),
            // Older versions wrote none, on machines that are little-endian.
            _ => Order::Little,
        };
        let pickle = match code {
            Cow::Borrowed(code) => {
                let mut arena = Arena::default();
                let (root, _) = run(&mut arena, &mut budget, code, 0)?;
                Pickled::Made(Box::new(arena), root)
            }
            Cow::Owned(code) => Pickled::Bytes(code),
        };
        Ok(File { pickle, contents: Box::new(Zip { archive, root, order }), budget })
    }

    /// The values without the tensors.
    ///
    /// # Errors
    /// A pickle that is refused.
    pub fn outline(&mut self) -> Result<Value<Recipe>> {
        self.with(|arena, root, _, budget| {
            tree(arena, budget, root, &mut |recipe, _, budget| {
                budget.take(256)?;
                Ok(recipe.clone())
            })
        })
    }

    /// The values, tensors on a device.
    ///
    /// # Errors
    /// A storage that is not whole, or does not fit the device.
    pub fn tensors(&mut self, device: &Device) -> Result<Value> {
        self.with(|arena, root, contents, budget| {
            let mut tensors = Tensors::new(arena, contents, device);
            tree(arena, budget, root, &mut |recipe, id, budget| tensors.make(recipe, id, budget))
        })
    }

    /// The tensor of a name.
    ///
    /// # Errors
    /// As [`tensors`](Self::tensors).
    pub fn tensor(&mut self, name: &str, device: &Device) -> Result<Option<Tensor>> {
        self.with(|arena, root, contents, budget| {
            let outline = tree(arena, budget, root, &mut |recipe, id, budget| budget.take(256).map(|()| (recipe.clone(), id)))?;
            let found = outline.tensors().into_iter().rfind(|(n, _)| n == name).map(|(_, found)| found);
            found.map(|(recipe, id)| Tensors::new(arena, contents, device).make(recipe, *id, budget)).transpose()
        })
    }

    fn with<R>(&mut self, work: impl FnOnce(&Arena, Item, &dyn Contents, &mut Budget) -> Result<R>) -> Result<R> {
        match &self.pickle {
            Pickled::Made(arena, root) => work(arena, *root, &*self.contents, &mut self.budget),
            Pickled::Bytes(code) => {
                let mut arena = Arena::default();
                let (root, _) = run(&mut arena, &mut self.budget, code, 0)?;
                work(&arena, root, &*self.contents, &mut self.budget)
            }
        }
    }
}

struct Zip<'a> {
    archive: Archive<'a>,
    root: String,
    order: Order,
}

impl Contents for Zip<'_> {
    fn order(&self) -> Order {
        self.order
    }

    fn bytes(&self, key: &str, budget: &mut Budget) -> Result<Cow<'_, [u8]>> {
        self.archive.read(&format!("{}data/{key}", self.root), budget)
    }
}

struct Legacy<'a> {
    bytes: &'a [u8],
    storages: BTreeMap<String, Range<usize>>,
    order: Order,
}

impl Contents for Legacy<'_> {
    fn order(&self) -> Order {
        self.order
    }

    fn bytes(&self, key: &str, _: &mut Budget) -> Result<Cow<'_, [u8]>> {
        let range = self.storages.get(key).ok_or_else(|| wrong(format!("there is no storage {key}")))?;
        // The range was found in these bytes.
        Ok(Cow::Borrowed(&self.bytes[range.clone()]))
    }
}

/// What old files begin with: 0x1950a86a20f9469cfc6c.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Magic number, version, the writer's machine, the values, the storages' keys; then each storage: how many elements, elements.
fn legacy<'a>(bytes: &'a [u8], arena: &mut Arena<'a>, budget: &mut Budget) -> Result<(Item, Legacy<'a>)> {
    let other = || wrong("neither a zip file nor what PyTorch wrote before 1.6");
    let (magic, at) = run(arena, budget, bytes, 0).map_err(|_| other())?;
    match magic {
        Item::Long(id) if *arena.bytes[id as usize] == MAGIC => {}
        _ => return Err(other()),
    }
    let (version, at) = run(arena, budget, bytes, at)?;
    if version != Item::Int(1001) {
        return Err(wrong(format!("version {version:?} instead of 1001")));
    }
    let (machine, at) = run(arena, budget, bytes, at)?;
    let Item::Dict(machine) = machine else { return Err(wrong("nothing about the writer's machine")) };
    let is_order = |item: &Item| matches!(item, Item::Text(id) if arena.texts[*id as usize] == "little_endian");
    let order = match arena.dicts[machine as usize].entries.iter().find(|(k, _)| is_order(k)) {
        Some((_, Item::Bool(false))) => Order::Big,
        _ => Order::Little,
    };
    let (root, at) = run(arena, budget, bytes, at)?;
    let (keys, mut at) = run(arena, budget, bytes, at)?;
    let Item::List(keys) = keys else { return Err(wrong("no list of storages")) };
    let widths: BTreeMap<u32, (usize, usize)> =
        arena.storages.iter().map(|s| (s.key, (s.dtype.map_or(1, |d| d.size()), s.numel))).collect();
    let mut storages = BTreeMap::new();
    for key in &arena.lists[keys as usize] {
        let Item::Text(key) = key else { return Err(wrong("a storage's key that is no text")) };
        let key = &*arena.texts[*key as usize];
        let known = arena.keys.get(key).and_then(|id| widths.get(id));
        let &(width, numel) = known.ok_or_else(|| wrong(format!("storage {key} belongs to nothing")))?;
        let name = |why: &str| wrong(format!("storage {key}: {why}"));
        let count = bytes.get(at..).and_then(|b| b.first_chunk::<8>()).ok_or_else(|| name("the file ends before it"))?;
        let count = match order {
            Order::Little => u64::from_le_bytes(*count),
            Order::Big => u64::from_be_bytes(*count),
        };
        if count != numel as u64 {
            return Err(name(&format!("{count} elements instead of {numel}")));
        }
        at += 8;
        let end = numel.checked_mul(width).and_then(|b| at.checked_add(b)).filter(|&end| end <= bytes.len());
        let end = end.ok_or_else(|| name("the file ends within it"))?;
        budget.take(64 + key.len() as u64)?;
        storages.insert(key.to_string(), at..end);
        at = end;
    }
    Ok((root, Legacy { bytes, storages, order }))
}
