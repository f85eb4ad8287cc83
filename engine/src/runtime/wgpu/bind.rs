//! What a kernel is given: buffers in group 0 with accessor functions, a uniform block of words in group 1.

use std::fmt::Write as _;

use super::repr::{Repr, stored_bytes};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{ScalarRef, ValueId};

/// What a binding shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Slot {
    Value(ValueId),
    /// Scratch of this kernel's own.
    Scratch(usize),
    /// Where the device keeps the first fault.
    Fault,
}

/// One storage buffer of a dispatch. Everything a kernel does with one value goes through one binding,
/// because WebGPU forbids a buffer that is bound for reading and for writing in one dispatch.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    pub slot: Slot,
    /// Where the binding begins in the value, in bytes: a multiple of 256.
    pub offset: usize,
    /// How many bytes are touched, padding for the last vector included.
    pub bytes: usize,
    pub writes: bool,
    repr: Repr,
    /// Declared as an array of 4-vectors (packed: two words).
    wide: bool,
    /// Two threads may write one word: halves of it are replaced atomically.
    atomic: bool,
    /// Two element types in one buffer (an integer result in place of a float): words, reinterpreted.
    mixed: bool,
}

/// The bindings of one kernel. First every access is announced, then texts are made.
#[derive(Debug, Clone, Default)]
pub(super) struct Bindings(pub Vec<Binding>);

impl Bindings {
    /// Announces that elements up to `last` (inclusive) of `slot` are used; `wide`: four at a time.
    pub fn add(&mut self, slot: Slot, dtype: DType, last: usize, wide: bool) -> Result<usize> {
        self.add_at(slot, 0, dtype, last, wide)
    }

    /// [`add`](Self::add) for what begins `offset` bytes into the value.
    pub fn add_at(&mut self, slot: Slot, offset: usize, dtype: DType, last: usize, wide: bool) -> Result<usize> {
        let (repr, bytes) = (Repr::of(dtype), stored_bytes(dtype, last + 1));
        let at = match self.0.iter().position(|b| b.slot == slot && b.offset == offset) {
            Some(at) => at,
            None => {
                self.0.push(Binding { slot, offset, bytes, writes: false, repr, wide: false, atomic: false, mixed: false });
                self.0.len() - 1
            }
        };
        let b = &mut self.0[at];
        if b.repr != repr {
            if b.repr.packed() || repr.packed() {
                return Err(Error::unsupported("gpu", format!("{dtype} in place of a type of another size")));
            }
            b.mixed = true;
        }
        b.wide |= wide;
        b.bytes = b.bytes.max(bytes);
        Ok(at)
    }

    /// Announces that the kernel reports faults.
    pub fn add_fault(&mut self) -> Result<usize> {
        let at = self.add(Slot::Fault, DType::U32, super::fault::BYTES / 4 - 1, false)?;
        (self.0[at].writes, self.0[at].atomic) = (true, true);
        Ok(at)
    }

    /// Announces a write to binding `at`; `shared`: neighbouring elements may be other threads'.
    pub fn add_write(&mut self, at: usize, shared: bool) {
        self.0[at].writes = true;
        self.0[at].atomic |= shared && self.0[at].repr.packed();
    }

    /// Element `index` (counted in elements) as its kernel type.
    pub fn at(&self, k: usize, repr: Repr, index: &str) -> String {
        self.cast(k, repr, repr.scalar(), format!("buf{k}_at({index})"))
    }

    /// Four elements; `index` counts vectors.
    pub fn vec(&self, k: usize, repr: Repr, index: &str) -> String {
        self.cast(k, repr, &format!("vec4<{}>", repr.scalar()), format!("buf{k}_vec({index})"))
    }

    fn cast(&self, k: usize, repr: Repr, ty: &str, text: String) -> String {
        if self.0[k].mixed && repr != Repr::U32 { format!("bitcast<{ty}>({text})") } else { text }
    }

    /// Writes one element. Packed types take the 16 bits of the value, see [`stored`].
    pub fn set(&self, k: usize, repr: Repr, index: &str, value: &str) -> String {
        let v = if self.0[k].mixed && repr != Repr::U32 { format!("bitcast<u32>({value})") } else { value.to_string() };
        format!("buf{k}_set({index}, {v});")
    }

    /// Writes four elements; `index` counts vectors.
    pub fn set4(&self, k: usize, repr: Repr, index: &str, value: &str) -> String {
        let v = if self.0[k].mixed && repr != Repr::U32 { format!("bitcast<vec4<u32>>({value})") } else { value.to_string() };
        format!("buf{k}_set4({index}, {v});")
    }

    /// The declarations, and those of the accessor functions that `body` calls.
    pub fn declare(&self, body: &str) -> String {
        let mut out = String::new();
        for (k, b) in self.0.iter().enumerate() {
            let access = if b.writes { "read_write" } else { "read" };
            writeln!(out, "@group(0) @binding({k}) var<storage, {access}> buf{k}: array<{}>;", b.element()).unwrap();
            for (name, text) in b.accessors(k) {
                if body.contains(&format!("{name}(")) {
                    out.push_str(&text);
                }
            }
        }
        out
    }
}

impl Binding {
    fn word(&self) -> &'static str {
        if self.mixed { "u32" } else { self.repr.word() }
    }

    fn element(&self) -> String {
        match (self.atomic, self.wide, self.repr.packed()) {
            (true, ..) => "atomic<u32>".into(),
            (_, false, _) => self.word().into(),
            (_, true, false) => format!("vec4<{}>", self.word()),
            (_, true, true) => "vec2<u32>".into(),
        }
    }

    fn accessors(&self, k: usize) -> [(String, String); 4] {
        let names = ["at", "vec", "set", "set4"].map(|n| format!("buf{k}_{n}"));
        let [at, vec, set, set4] = if self.repr.packed() { self.packed(k) } else { self.plain(k) };
        let [a, v, s, s4] = names;
        [(a, at), (v, vec), (s, set), (s4, set4)]
    }

    fn plain(&self, k: usize) -> [String; 4] {
        let t = self.word();
        let (one, four) =
            if self.wide { (format!("buf{k}[i >> 2u][i & 3u]"), format!("buf{k}[i]")) } else { (format!("buf{k}[i]"), String::new()) };
        let vec = if self.wide {
            format!("return {four};")
        } else {
            format!("let e = 4u * i; return vec4<{t}>(buf{k}[e], buf{k}[e + 1u], buf{k}[e + 2u], buf{k}[e + 3u]);")
        };
        let set4 = if self.wide {
            format!("{four} = v;")
        } else {
            format!("let e = 4u * i; buf{k}[e] = v.x; buf{k}[e + 1u] = v.y; buf{k}[e + 2u] = v.z; buf{k}[e + 3u] = v.w;")
        };
        [
            format!("fn buf{k}_at(i: u32) -> {t} {{ return {one}; }}\n"),
            format!("fn buf{k}_vec(i: u32) -> vec4<{t}> {{ {vec} }}\n"),
            format!("fn buf{k}_set(i: u32, v: {t}) {{ {one} = v; }}\n"),
            format!("fn buf{k}_set4(i: u32, v: vec4<{t}>) {{ {set4} }}\n"),
        ]
    }

    fn packed(&self, k: usize) -> [String; 4] {
        // Word `w`, as an expression and as a target.
        let word = |w: &str| match (self.atomic, self.wide) {
            (true, _) => format!("atomicLoad(&buf{k}[{w}])"),
            (_, true) => format!("buf{k}[({w}) >> 1u][({w}) & 1u]"),
            _ => format!("buf{k}[{w}]"),
        };
        let pair = if self.wide && !self.atomic {
            format!("buf{k}[i]")
        } else {
            format!("vec2<u32>({}, {})", word("2u * i"), word("2u * i + 1u"))
        };
        let f16 = self.repr == Repr::F16;
        let one = if f16 { "unpack2x16float(h).x" } else { "bitcast<f32>(h << 16u)" };
        let four = if f16 {
            "vec4<f32>(unpack2x16float(w.x), unpack2x16float(w.y))"
        } else {
            "bitcast<vec4<f32>>(vec4<u32>(w.x << 16u, w.x & 0xffff0000u, w.y << 16u, w.y & 0xffff0000u))"
        };
        let set = if self.atomic {
            format!("let s = (i & 1u) * 16u; atomicAnd(&buf{k}[i >> 1u], 0xffff0000u >> s); atomicOr(&buf{k}[i >> 1u], v << s);")
        } else {
            let w = word("i >> 1u");
            format!("let s = (i & 1u) * 16u; {w} = ({w} & (0xffff0000u >> s)) | (v << s);")
        };
        let set4 = match (self.atomic, self.wide) {
            (true, _) => {
                format!("atomicStore(&buf{k}[2u * i], v.x | (v.y << 16u)); atomicStore(&buf{k}[2u * i + 1u], v.z | (v.w << 16u));")
            }
            (_, true) => format!("buf{k}[i] = vec2<u32>(v.x | (v.y << 16u), v.z | (v.w << 16u));"),
            _ => format!("buf{k}[2u * i] = v.x | (v.y << 16u); buf{k}[2u * i + 1u] = v.z | (v.w << 16u);"),
        };
        [
            format!("fn buf{k}_at(i: u32) -> f32 {{ let h = ({} >> ((i & 1u) * 16u)) & 0xffffu; return {one}; }}\n", word("i >> 1u")),
            format!("fn buf{k}_vec(i: u32) -> vec4<f32> {{ let w = {pair}; return {four}; }}\n"),
            format!("fn buf{k}_set(i: u32, v: u32) {{ {set} }}\n"),
            format!("fn buf{k}_set4(i: u32, v: vec4<u32>) {{ {set4} }}\n"),
        ]
    }
}

/// A uniform block: 32-bit words with names, some of them run-time scalars.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    fields: Vec<(String, &'static str)>,
    pub words: Vec<u32>,
    pub patches: Vec<(usize, ScalarRef)>,
}

impl Block {
    /// The words of a block that a kernel file declares itself.
    pub fn of_words(words: Vec<u32>, patches: Vec<(usize, ScalarRef)>) -> Block {
        Block { fields: Vec::new(), words, patches }
    }

    fn push(&mut self, name: String, ty: &'static str, word: u32) -> String {
        let text = format!("f.{name}");
        if !self.fields.iter().any(|(n, _)| *n == name) {
            self.fields.push((name, ty));
            self.words.push(word);
        }
        text
    }

    /// A `u32`; negative strides wrap, and so does the arithmetic on them.
    pub fn int(&mut self, name: impl Into<String>, value: isize) -> String {
        self.push(name.into(), "u32", value as u32)
    }

    pub fn float(&mut self, name: impl Into<String>, value: f32) -> String {
        self.push(name.into(), "f32", value.to_bits())
    }

    pub fn scalar(&mut self, name: String, s: ScalarRef) -> String {
        let ty = Repr::of(s.dtype).scalar();
        if !self.fields.iter().any(|(n, _)| *n == name) {
            self.patches.push((self.words.len(), s));
        }
        self.push(name, ty, 0)
    }

    pub fn declare(&self) -> String {
        if self.fields.is_empty() {
            return String::new();
        }
        let fields: String = self.fields.iter().map(|(n, t)| format!(" {n}: {t},")).collect();
        format!("struct Block {{{fields} }}\n@group(1) @binding(1) var<uniform> f: Block;\n")
    }
}
