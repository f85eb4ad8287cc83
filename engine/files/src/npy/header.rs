//! The text before an array's data: `{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }`.

use taper::{DType, Error, Result};

use super::{FORMAT, TYPES};

const MAGIC: &[u8] = b"\x93NUMPY";

/// What the text says, and where the data begins.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub descr: String,
    pub fortran: bool,
    pub shape: Vec<usize>,
    pub data: usize,
}

impl Header {
    /// # Errors
    /// Anything but a header of version 1 to 3.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Header> {
        let wrong = |why: String| Error::format(FORMAT, format!("{name}: {why}"));
        let version = match bytes.strip_prefix(MAGIC) {
            Some([major, _, ..]) => *major,
            _ => return Err(wrong("this is no .npy file".into())),
        };
        let short = || wrong("the header is not whole".into());
        let (start, length) = match (version, &bytes[MAGIC.len() + 2..]) {
            (1, [a, b, ..]) => (10, u16::from_le_bytes([*a, *b]) as usize),
            (2 | 3, [a, b, c, d, ..]) => (12, u32::from_le_bytes([*a, *b, *c, *d]) as usize),
            (1..=3, _) => return Err(short()),
            _ => return Err(wrong(format!("version {version} is none of 1 to 3"))),
        };
        // NumPy refuses longer ones too.
        if length > 65_536 {
            return Err(wrong(format!("a header of {length} bytes")));
        }
        let text = bytes.get(start..start + length).ok_or_else(short)?;
        // Version 1 and 2 are Latin-1, which for what is known here is ASCII.
        let text = std::str::from_utf8(text).map_err(|_| wrong("the header is no text".into()))?;
        let mut literal = Literal { rest: text };
        let (descr, fortran, shape) = literal.dictionary().map_err(|why| wrong(format!("the header {why}: {}", shown(text))))?;
        Ok(Header { descr, fortran, shape, data: start + length })
    }

    /// The bytes before the data of an array in C order.
    ///
    /// # Errors
    /// A shape too long for version 1.
    pub fn of(dtype: DType, shape: &[usize]) -> Result<Vec<u8>> {
        // Every type is in the table.
        let kind = TYPES.iter().find(|(d, _)| *d == dtype).map_or("u1", |(_, k)| *k);
        let order = if dtype.size() == 1 { '|' } else { '<' };
        let sizes: Vec<String> = shape.iter().map(|d| format!("{d},")).collect();
        let sizes = sizes.join(" ");
        let sizes = if shape.len() > 1 { sizes.trim_end_matches(',') } else { &sizes };
        let mut text = format!("{{'descr': '{order}{kind}', 'fortran_order': False, 'shape': ({sizes}), }}");
        let whole = (MAGIC.len() + 4 + text.len() + 1).next_multiple_of(64);
        text.extend(std::iter::repeat_n(' ', whole - MAGIC.len() - 4 - text.len() - 1));
        text.push('\n');
        let length = u16::try_from(text.len()).map_err(|_| Error::argument("npy", format!("{} dimensions", shape.len())))?;
        let mut out = MAGIC.to_vec();
        out.extend([1, 0]);
        out.extend(length.to_le_bytes());
        out.extend(text.into_bytes());
        Ok(out)
    }
}

fn shown(text: &str) -> String {
    text.trim_end().chars().take(120).collect()
}

/// The part of Python's literals that headers are made of.
struct Literal<'a> {
    rest: &'a str,
}

impl<'a> Literal<'a> {
    fn dictionary(&mut self) -> Result<(String, bool, Vec<usize>), String> {
        let (mut descr, mut fortran, mut shape) = (None, None, None);
        self.expect("{")?;
        while !self.eat("}") {
            let key = self.string()?;
            self.expect(":")?;
            let twice = match key {
                "descr" => descr.replace(self.descr()?).is_some(),
                "fortran_order" => fortran.replace(self.boolean()?).is_some(),
                "shape" => shape.replace(self.tuple()?).is_some(),
                _ => return Err(format!("has the unknown key '{key}'")),
            };
            if twice {
                return Err(format!("has '{key}' twice"));
            }
            if !self.eat(",") {
                self.expect("}")?;
                break;
            }
        }
        if !self.rest.trim().is_empty() {
            return Err("goes on after its end".into());
        }
        Ok((descr.ok_or("has no 'descr'")?, fortran.ok_or("has no 'fortran_order'")?, shape.ok_or("has no 'shape'")?))
    }

    fn descr(&mut self) -> Result<String, String> {
        if self.rest.trim_start().starts_with('[') {
            return Err("describes records, which no tensor has".into());
        }
        Ok(self.string()?.to_string())
    }

    fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(format!("lacks '{token}'")) }
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let quote = if self.eat("'") { '\'' } else { self.expect("\"").map(|()| '"')? };
        let (text, rest) = self.rest.split_once(quote).ok_or("has a string without an end")?;
        self.rest = rest;
        Ok(text)
    }

    fn boolean(&mut self) -> Result<bool, String> {
        if self.eat("True") { Ok(true) } else { self.expect("False").map(|()| false) }
    }

    fn tuple(&mut self) -> Result<Vec<usize>, String> {
        let mut out = Vec::new();
        self.expect("(")?;
        while !self.eat(")") {
            self.rest = self.rest.trim_start();
            let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
            let (digits, rest) = self.rest.split_at(end);
            out.push(digits.parse().map_err(|_| "has a size that is no number")?);
            self.rest = rest;
            // Python 2 marked its long integers.
            self.eat("L");
            if !self.eat(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(out)
    }
}
