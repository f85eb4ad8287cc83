//! Pickle's instructions, protocols 2 to 5, as far as they build plain values. Values stay in flat tables and name each other
//! by index: nothing here is recursive, whatever the program does.

use std::borrow::Cow;
use std::collections::HashMap;

use taper::{Error, Result};

use super::FORMAT;
use super::build::{Recipe, Storage};
use super::globals::Global;
use crate::budget::Budget;

/// A value, or where it is in its table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Item {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// An integer of more than 64 bits: its bytes.
    Long(u32),
    Text(u32),
    Bytes(u32),
    List(u32),
    Tuple(u32),
    Dict(u32),
    Size(u32),
    Device(u32),
    Global(Global),
    Storage(u32),
    Tensor(u32),
}

/// What the instructions made.
#[derive(Debug, Default)]
pub(super) struct Arena<'a> {
    pub texts: Vec<Cow<'a, str>>,
    /// The first text of those that are storages' keys.
    pub keys: HashMap<String, u32>,
    pub bytes: Vec<Cow<'a, [u8]>>,
    /// Lists and tuples.
    pub lists: Vec<Vec<Item>>,
    pub dicts: Vec<Dict>,
    pub storages: Vec<Storage>,
    pub recipes: Vec<Recipe>,
}

#[derive(Debug, Default)]
pub(super) struct Dict {
    pub ordered: bool,
    pub entries: Vec<(Item, Item)>,
}

/// What an element of a growing table takes, with the table's slack.
const ELEMENT: u64 = 2 * size_of::<Item>() as u64;
/// What a table's new row takes, with the slack.
const ROW: u64 = 64;

pub(super) fn wrong(why: impl Into<String>) -> Error {
    Error::format(FORMAT, why)
}

/// One program: its values, its stack, its memory.
pub(super) struct Machine<'a, 'b> {
    pub arena: &'b mut Arena<'a>,
    pub budget: &'b mut Budget,
    code: &'a [u8],
    at: usize,
    stack: Vec<Item>,
    /// The most items the stack had: what was taken from the budget.
    deepest: usize,
    marks: Vec<usize>,
    memo: HashMap<u32, Item>,
}

/// Runs the program that begins at `at`; where it ends follows its result.
///
/// # Errors
/// A program that is not whole, makes no sense, or asks for anything else than plain values and tensors.
pub(super) fn run<'a>(arena: &mut Arena<'a>, budget: &mut Budget, code: &'a [u8], at: usize) -> Result<(Item, usize)> {
    let (stack, marks) = (Vec::new(), Vec::new());
    let mut machine = Machine { arena, budget, code, at, stack, deepest: 0, marks, memo: HashMap::new() };
    loop {
        if let Some(result) = machine.step()? {
            return Ok((result, machine.at));
        }
    }
}

impl<'a> Machine<'a, '_> {
    /// One instruction; the result when it is the last.
    fn step(&mut self) -> Result<Option<Item>> {
        let op = self.take(1)?[0];
        match op {
            b'.' => return self.pop().map(Some),
            0x80 => match self.take(1)?[0] {
                0..=5 => {}
                other => return Err(wrong(format!("pickle protocol {other} is above 5"))),
            },
            // A frame's length says nothing new.
            0x95 => drop(self.take(8)?),
            b'(' => {
                self.budget.take(16)?;
                self.marks.push(self.stack.len());
            }
            b'0' => drop(self.pop()?),
            b'1' => drop(self.since_mark()?),
            b'2' => {
                let top = *self.stack.last().ok_or_else(empty)?;
                self.push(top)?;
            }
            b'N' => self.push(Item::None)?,
            0x88 => self.push(Item::Bool(true))?,
            0x89 => self.push(Item::Bool(false))?,
            b'J' => {
                let v = i32::from_le_bytes(self.array()?);
                self.push(Item::Int(v.into()))?;
            }
            b'K' => {
                let v = self.take(1)?[0];
                self.push(Item::Int(v.into()))?;
            }
            b'M' => {
                let v = u16::from_le_bytes(self.array()?);
                self.push(Item::Int(v.into()))?;
            }
            0x8a => {
                let n = self.take(1)?[0];
                self.long(n.into())?;
            }
            0x8b => {
                let n = u32::from_le_bytes(self.array()?);
                self.long(n as usize)?;
            }
            b'G' => {
                let v = f64::from_be_bytes(self.array()?);
                self.push(Item::Float(v))?;
            }
            b'X' | b'T' | b'U' | 0x8c | 0x8d => {
                let bytes = self.counted(match op {
                    b'X' | b'T' => 4,
                    0x8d => 8,
                    _ => 1,
                })?;
                // Python 2's strings are bytes in some encoding.
                let text = match std::str::from_utf8(bytes) {
                    Ok(text) => Cow::Borrowed(text),
                    Err(_) if matches!(op, b'T' | b'U') => {
                        self.budget.take(2 * bytes.len() as u64)?;
                        Cow::Owned(bytes.iter().map(|&b| char::from(b)).collect())
                    }
                    Err(_) => return Err(wrong("a text that is no UTF-8")),
                };
                let text = self.text(text)?;
                self.push(Item::Text(text))?;
            }
            b'B' | b'C' | 0x8e | 0x96 => {
                let bytes = self.counted(match op {
                    b'B' => 4,
                    b'C' => 1,
                    _ => 8,
                })?;
                let bytes = self.bytes(Cow::Borrowed(bytes))?;
                self.push(Item::Bytes(bytes))?;
            }
            b']' => {
                let list = self.list(Vec::new())?;
                self.push(Item::List(list))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.append(&items)?;
            }
            b'l' => {
                let items = self.since_mark()?;
                let list = self.list(items)?;
                self.push(Item::List(list))?;
            }
            b')' => self.tuple(Vec::new())?,
            b't' => {
                let items = self.since_mark()?;
                self.tuple(items)?;
            }
            0x85..=0x87 => {
                let n = usize::from(op - 0x84);
                let from = self.above_mark(n)?;
                let items = self.stack.split_off(from);
                self.tuple(items)?;
            }
            b'}' => {
                let dict = self.dict(Dict::default())?;
                self.push(Item::Dict(dict))?;
            }
            b'd' => {
                let items = self.since_mark()?;
                let dict = self.dict(Dict::default())?;
                self.push(Item::Dict(dict))?;
                self.set(&items)?;
            }
            b's' => {
                let from = self.above_mark(2)?;
                let items = self.stack.split_off(from);
                self.set(&items)?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(&items)?;
            }
            b'q' => {
                let key = self.take(1)?[0];
                self.remember(key.into())?;
            }
            b'r' => {
                let key = u32::from_le_bytes(self.array()?);
                self.remember(key)?;
            }
            0x94 => {
                let key = u32::try_from(self.memo.len()).map_err(|_| wrong("too many memos"))?;
                self.remember(key)?;
            }
            b'h' => {
                let key = self.take(1)?[0];
                self.recall(key.into())?;
            }
            b'j' => {
                let key = u32::from_le_bytes(self.array()?);
                self.recall(key)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Item::Global(Global::named(module, name)?))?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let global = match (self.str(module), self.str(name)) {
                    (Some(module), Some(name)) => Global::named(module, name)?,
                    _ => return Err(wrong("a global whose name is no text")),
                };
                self.push(Item::Global(global))?;
            }
            b'R' => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                let made = self.call(callee, arguments)?;
                self.push(made)?;
            }
            b'b' => {
                let (_, onto) = (self.pop()?, self.stack.last().copied().ok_or_else(empty)?);
                // A state dict's `_metadata`, a parameter's attributes.
                if !matches!(onto, Item::Dict(_) | Item::Tensor(_)) {
                    return Err(wrong("attributes of what is neither dictionary nor tensor"));
                }
            }
            b'Q' => {
                let name = self.pop()?;
                let storage = self.persistent(name)?;
                self.push(storage)?;
            }
            other => return Err(wrong(format!("the pickle instruction {} is refused: it is not needed for plain values", shown(other)))),
        }
        Ok(None)
    }

    // ---- code -------------------------------------------------------------------------------------

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(n).filter(|&end| end <= self.code.len()).ok_or_else(|| wrong("the pickle ends in the middle"))?;
        let taken = &self.code[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    /// Bytes behind their number, which takes `width` bytes.
    fn counted(&mut self, width: usize) -> Result<&'a [u8]> {
        let mut n = [0; 8];
        // A width is 1, 4 or 8.
        n[..width].copy_from_slice(self.take(width)?);
        self.take(usize::try_from(u64::from_le_bytes(n)).unwrap_or(usize::MAX))
    }

    fn line(&mut self) -> Result<&'a str> {
        // `at` never passes the end.
        let rest = &self.code[self.at..];
        let end = rest.iter().take(1000).position(|&b| b == b'\n').ok_or_else(|| wrong("a line without an end"))?;
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).map_err(|_| wrong("a name that is no text"))
    }

    fn long(&mut self, n: usize) -> Result<()> {
        let bytes = self.take(n)?;
        let item = if n <= 8 {
            let sign = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
            let mut wide = [sign; 8];
            wide[..n].copy_from_slice(bytes);
            Item::Int(i64::from_le_bytes(wide))
        } else {
            Item::Long(self.bytes(Cow::Borrowed(bytes))?)
        };
        self.push(item)
    }

    // ---- stack and memory -------------------------------------------------------------------------

    fn push(&mut self, item: Item) -> Result<()> {
        self.stack.push(item);
        if self.stack.len() > self.deepest {
            self.deepest = self.stack.len();
            self.budget.take(ELEMENT)?;
        }
        Ok(())
    }

    fn pop(&mut self) -> Result<Item> {
        let from = self.above_mark(1)?;
        let top = self.stack[from];
        self.stack.truncate(from);
        Ok(top)
    }

    /// Where the last `n` items begin, which no mark parts.
    fn above_mark(&self, n: usize) -> Result<usize> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack.len().checked_sub(n).filter(|&from| from >= floor).ok_or_else(empty)
    }

    fn since_mark(&mut self) -> Result<Vec<Item>> {
        let mark = self.marks.pop().ok_or_else(|| wrong("no mark on the stack"))?;
        // Nothing below a mark is ever popped before it.
        Ok(self.stack.split_off(mark))
    }

    fn remember(&mut self, key: u32) -> Result<()> {
        let top = *self.stack.last().ok_or_else(empty)?;
        if self.memo.insert(key, top).is_none() {
            self.budget.take(ROW)?;
        }
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<()> {
        let item = *self.memo.get(&key).ok_or_else(|| wrong(format!("memo {key} is empty")))?;
        self.push(item)
    }

    // ---- tables -----------------------------------------------------------------------------------

    fn row(&mut self, len: usize) -> Result<u32> {
        self.budget.take(ROW)?;
        u32::try_from(len).map_err(|_| wrong("too many values"))
    }

    pub fn text(&mut self, text: Cow<'a, str>) -> Result<u32> {
        let id = self.row(self.arena.texts.len())?;
        self.arena.texts.push(text);
        Ok(id)
    }

    pub fn bytes(&mut self, bytes: Cow<'a, [u8]>) -> Result<u32> {
        let id = self.row(self.arena.bytes.len())?;
        self.arena.bytes.push(bytes);
        Ok(id)
    }

    pub fn list(&mut self, items: Vec<Item>) -> Result<u32> {
        let id = self.row(self.arena.lists.len())?;
        self.budget.take(items.len() as u64 * ELEMENT)?;
        self.arena.lists.push(items);
        Ok(id)
    }

    pub fn dict(&mut self, dict: Dict) -> Result<u32> {
        let id = self.row(self.arena.dicts.len())?;
        self.budget.take(dict.entries.len() as u64 * 2 * ELEMENT)?;
        self.arena.dicts.push(dict);
        Ok(id)
    }

    pub fn recipe(&mut self, recipe: Recipe) -> Result<Item> {
        let id = self.row(self.arena.recipes.len())?;
        self.budget.take(4 * ROW + recipe.shape.len() as u64 * 16)?;
        self.arena.recipes.push(recipe);
        Ok(Item::Tensor(id))
    }

    pub fn storage(&mut self, storage: Storage) -> Result<u32> {
        let id = self.row(self.arena.storages.len())?;
        self.budget.take(2 * ROW)?;
        self.arena.storages.push(storage);
        Ok(id)
    }

    fn tuple(&mut self, items: Vec<Item>) -> Result<()> {
        let id = self.list(items)?;
        self.push(Item::Tuple(id))
    }

    /// The text an item is.
    pub fn str(&self, item: Item) -> Option<&str> {
        match item {
            // Indices in items are those the tables gave out.
            Item::Text(id) => Some(&self.arena.texts[id as usize]),
            _ => None,
        }
    }

    /// The elements of a list or tuple.
    pub fn items(&self, item: Item) -> Option<&[Item]> {
        match item {
            Item::List(id) | Item::Tuple(id) | Item::Size(id) => Some(&self.arena.lists[id as usize]),
            _ => None,
        }
    }

    fn append(&mut self, items: &[Item]) -> Result<()> {
        let Some(&Item::List(list)) = self.stack.last() else { return Err(wrong("an element is added to what is no list")) };
        self.budget.take(items.len() as u64 * ELEMENT)?;
        self.arena.lists[list as usize].extend(items);
        Ok(())
    }

    /// Adds keys and values in turn to the dictionary on the stack.
    fn set(&mut self, items: &[Item]) -> Result<()> {
        let Some(&Item::Dict(dict)) = self.stack.last() else { return Err(wrong("an entry is added to what is no dictionary")) };
        let (pairs, []) = items.as_chunks::<2>() else { return Err(wrong("a key without a value")) };
        self.budget.take(items.len() as u64 * ELEMENT)?;
        self.arena.dicts[dict as usize].entries.extend(pairs.iter().map(|&[k, v]| (k, v)));
        Ok(())
    }
}

fn empty() -> Error {
    wrong("the pickle takes more from its stack than is there")
}

fn shown(op: u8) -> String {
    let name = match op {
        0x81 => "NEWOBJ",
        0x82..=0x84 => "EXT",
        0x8f..=0x91 => "of a set",
        0x92 => "NEWOBJ_EX",
        0x97 | 0x98 => "of a buffer",
        b'i' => "INST",
        b'o' => "OBJ",
        b'I' | b'L' | b'F' | b'S' | b'V' | b'p' | b'g' | b'P' => "of protocol 0",
        _ => return format!("{op:#04x}"),
    };
    format!("{op:#04x} ({name})")
}
