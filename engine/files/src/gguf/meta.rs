//! What a file says beside its tensors: numbers, text, and arrays of them.

use taper::Result;

use super::wrong;
use crate::budget::Budget;
use crate::element::Order;

macro_rules! kinds {
    ($($variant:ident($t:ty) = $id:literal;)*) => {
        /// A value.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Meta {
            $($variant($t),)*
            Bool(bool),
            Str(String),
            Array(Array),
        }

        /// Values of one kind in a row: a tokenizer's words, their scores.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Array {
            $($variant(Vec<$t>),)*
            Bool(Vec<bool>),
            Str(Vec<String>),
            Array(Vec<Array>),
        }

        impl Reader<'_, '_> {
            /// A value behind its kind.
            pub fn meta(&mut self) -> Result<Meta> {
                Ok(match self.u32()? {
                    $($id => Meta::$variant(<$t>::take(self)?),)*
                    7 => Meta::Bool(self.bool()?),
                    8 => Meta::Str(self.string()?),
                    9 => Meta::Array(self.values(0)?),
                    other => return Err(wrong(format!("a value of the unknown kind {other}"))),
                })
            }

            fn values(&mut self, depth: usize) -> Result<Array> {
                if depth > 4 {
                    return Err(wrong("arrays of arrays of arrays of arrays of arrays"));
                }
                let (kind, n) = (self.u32()?, self.u64()?);
                Ok(match kind {
                    $($id => Array::$variant(self.many(n, size_of::<$t>(), size_of::<$t>(), |r| <$t>::take(r))?),)*
                    7 => Array::Bool(self.many(n, 1, 1, Reader::bool)?),
                    8 => Array::Str(self.many(n, 8, size_of::<String>(), Reader::string)?),
                    9 => Array::Array(self.many(n, 12, size_of::<Array>(), |r| r.values(depth + 1))?),
                    other => return Err(wrong(format!("an array of the unknown kind {other}"))),
                })
            }
        }

        impl Meta {
            /// Its kind's number, its bytes.
            pub(super) fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    $(Meta::$variant(v) => {
                        out.extend(u32::to_le_bytes($id));
                        out.extend(v.to_le_bytes());
                    })*
                    Meta::Bool(v) => {
                        out.extend(7u32.to_le_bytes());
                        out.push((*v).into());
                    }
                    Meta::Str(v) => {
                        out.extend(8u32.to_le_bytes());
                        encode_str(v, out);
                    }
                    Meta::Array(v) => {
                        out.extend(9u32.to_le_bytes());
                        v.encode(out);
                    }
                }
            }
        }

        impl Array {
            fn encode(&self, out: &mut Vec<u8>) {
                let head = |kind: u32, n: usize, out: &mut Vec<u8>| {
                    out.extend(kind.to_le_bytes());
                    out.extend((n as u64).to_le_bytes());
                };
                match self {
                    $(Array::$variant(v) => {
                        head($id, v.len(), out);
                        out.extend(v.iter().flat_map(|v| v.to_le_bytes()));
                    })*
                    Array::Bool(v) => {
                        head(7, v.len(), out);
                        out.extend(v.iter().map(|&b| u8::from(b)));
                    }
                    Array::Str(v) => {
                        head(8, v.len(), out);
                        v.iter().for_each(|v| encode_str(v, out));
                    }
                    Array::Array(v) => {
                        head(9, v.len(), out);
                        v.iter().for_each(|v| v.encode(out));
                    }
                }
            }

            pub fn len(&self) -> usize {
                match self {
                    $(Array::$variant(v) => v.len(),)*
                    Array::Bool(v) => v.len(),
                    Array::Str(v) => v.len(),
                    Array::Array(v) => v.len(),
                }
            }
        }

        impl std::fmt::Display for Meta {
            /// Long arrays are cut.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Meta::$variant(v) => v.fmt(f),)*
                    Meta::Bool(v) => v.fmt(f),
                    Meta::Str(v) => v.fmt(f),
                    Meta::Array(v) => v.fmt(f),
                }
            }
        }

        impl std::fmt::Display for Array {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $(Array::$variant(v) => few(f, v, |v| v.to_string()),)*
                    Array::Bool(v) => few(f, v, |v| v.to_string()),
                    Array::Str(v) => few(f, v, |v| format!("{v:?}")),
                    Array::Array(v) => few(f, v, |v| v.to_string()),
                }
            }
        }

        $(impl Number for $t {
            fn take(r: &mut Reader) -> Result<$t> {
                let mut bytes = [0; size_of::<$t>()];
                bytes.copy_from_slice(r.take(size_of::<$t>())?);
                Ok(match r.order {
                    Order::Little => <$t>::from_le_bytes(bytes),
                    Order::Big => <$t>::from_be_bytes(bytes),
                })
            }
        })*
    };
}

kinds! {
    U8(u8) = 0;
    I8(i8) = 1;
    U16(u16) = 2;
    I16(i16) = 3;
    U32(u32) = 4;
    I32(i32) = 5;
    F32(f32) = 6;
    U64(u64) = 10;
    I64(i64) = 11;
    F64(f64) = 12;
}

impl Meta {
    /// An integer of any width.
    pub fn as_int(&self) -> Option<i128> {
        Some(match self {
            Meta::U8(v) => (*v).into(),
            Meta::I8(v) => (*v).into(),
            Meta::U16(v) => (*v).into(),
            Meta::I16(v) => (*v).into(),
            Meta::U32(v) => (*v).into(),
            Meta::I32(v) => (*v).into(),
            Meta::U64(v) => (*v).into(),
            Meta::I64(v) => (*v).into(),
            _ => return None,
        })
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Meta::Str(s) => Some(s),
            _ => None,
        }
    }

    /// The texts of an array: `tokenizer.ggml.tokens`.
    pub fn as_strings(&self) -> Option<&[String]> {
        match self {
            Meta::Array(Array::Str(s)) => Some(s),
            _ => None,
        }
    }
}

impl Array {
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn few<T>(f: &mut std::fmt::Formatter<'_>, values: &[T], show: impl Fn(&T) -> String) -> std::fmt::Result {
    let shown: Vec<String> = values.iter().take(8).map(show).collect();
    match values.len() {
        0..=8 => write!(f, "[{}]", shown.join(", ")),
        n => write!(f, "[{}, .. {n} in all]", shown.join(", ")),
    }
}

pub(super) fn encode_str(text: &str, out: &mut Vec<u8>) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

trait Number: Sized {
    fn take(r: &mut Reader) -> Result<Self>;
}

/// Bytes from their beginning, within a budget.
pub(super) struct Reader<'a, 'b> {
    bytes: &'a [u8],
    at: usize,
    budget: &'b mut Budget,
    pub order: Order,
}

impl<'a, 'b> Reader<'a, 'b> {
    pub fn new(bytes: &'a [u8], budget: &'b mut Budget) -> Reader<'a, 'b> {
        Reader { bytes, at: 0, budget, order: Order::Little }
    }

    pub fn at(&self) -> usize {
        self.at
    }

    pub fn charge(&mut self, bytes: u64) -> Result<()> {
        self.budget.take(bytes)
    }

    pub fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(n).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| wrong("the file ends in the middle"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    pub fn u32(&mut self) -> Result<u32> {
        u32::take(self)
    }

    pub fn u64(&mut self) -> Result<u64> {
        u64::take(self)
    }

    fn bool(&mut self) -> Result<bool> {
        match self.take(1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            other => Err(wrong(format!("a bool of {other:?}"))),
        }
    }

    pub fn string(&mut self) -> Result<String> {
        let n = self.u64()?;
        let bytes = self.take(usize::try_from(n).unwrap_or(usize::MAX))?;
        self.charge(n)?;
        // A tokenizer's byte pieces may be no UTF-8: what is not becomes U+FFFD.
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    /// `n` values that take at least `least` bytes each here, and `each` in memory.
    fn many<T>(&mut self, n: u64, least: usize, each: usize, mut one: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        // `at` never passes the end.
        let rest = (self.bytes.len() - self.at) as u64;
        if n > rest / least as u64 {
            return Err(wrong(format!("an array of {n} values, but {rest} bytes are left")));
        }
        self.charge(n * each as u64)?;
        let mut out = Vec::with_capacity(n as usize);
        for _ in 0..n {
            out.push(one(self)?);
        }
        Ok(out)
    }
}
