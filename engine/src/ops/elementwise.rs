//! Elementwise functions are rows of tables: `unary.rs`, `binary.rs` and `compare.rs` hold the rows, this file
//! says what a row means.
//!
//! A row is
//!
//! ```text
//! NAME "name"(operands) cost [class value => "WGSL", ..] [operand |g, what it needs| derivative; ..];
//! ```
//!
//! An operand is a tensor or a number given at run time. Its name says what the derivative sees:
//! `x` a tensor, `y` the result, `p` and `q` numbers, `a` and `b` an [`Operand`] (either). Classes are `float`
//! (f32 and f64), `int`, `uint`, `ints` (both) and `bool`; `float_tile` gives a whole tile's function instead of a value.
//! An operand without a derivative gets none.

use std::fmt;

use smallvec::{SmallVec, smallvec};

use super::op::{Class, Grads, Kind, Map, Op, Saves, Spec};
use crate::autograd::Ctx;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::runtime::cpu::tile::Reg;
#[cfg(target_arch = "x86_64")]
use crate::runtime::cpu::wide::{Vectors, vectors};
use crate::tensor::{Operand, Tensor};

/// One row.
#[derive(Debug)]
pub(crate) struct Function {
    pub name: &'static str,
    /// The operands' names, as the WGSL text uses them.
    pub params: &'static [&'static str],
    /// Additions that one element is worth.
    pub cost: u32,
    /// The result is `bool` whatever the operands are.
    pub predicate: bool,
    pub values: &'static [Value],
    pub derivatives: &'static [Derivative],
}

/// What a row computes for one class of operands.
#[derive(Debug)]
pub(crate) struct Value {
    pub class: Classes,
    pub tile: Tile,
    pub wgsl: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "the names that the tables use")]
pub(crate) enum Classes {
    float,
    int,
    uint,
    ints,
    bool,
}

impl Classes {
    fn has(self, class: Class) -> bool {
        match self {
            Classes::float => matches!(class, Class::F32 | Class::F64),
            Classes::int => class == Class::Int,
            Classes::uint => class == Class::UInt,
            Classes::ints => matches!(class, Class::Int | Class::UInt),
            Classes::bool => class == Class::Bool,
        }
    }
}

/// Computes `n` elements from the operands' registers, in the order of the operands.
pub(crate) type Tile = fn(&[&Reg], usize, &mut Reg);

/// How the gradient passes to one operand.
pub(crate) struct Derivative {
    pub operand: usize,
    /// What it needs of the forward pass: a bit an operand, [`OUTPUT`] for the result.
    pub uses: u32,
    pub rule: fn(&Bound<'_>, &Tensor) -> Result<Tensor>,
}

impl fmt::Debug for Derivative {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "d/d{}", self.operand)
    }
}

pub(crate) const OUTPUT: u32 = 1 << 31;

/// The position of an operand's name.
pub(super) const fn operand_index(params: &[&str], name: &str) -> usize {
    let mut i = 0;
    while i < params.len() {
        let (a, b) = (params[i].as_bytes(), name.as_bytes());
        if a.len() == b.len() && a[0] == b[0] {
            return i;
        }
        i += 1;
    }
    usize::MAX
}

/// The bit of what a derivative names.
pub(super) const fn uses_bit(params: &[&str], name: &str) -> u32 {
    match operand_index(params, name) {
        usize::MAX => OUTPUT,
        i => 1 << i,
    }
}

/// A row applied to operands: the operator that all rows share.
#[derive(Clone)]
pub(crate) struct Elementwise {
    pub f: &'static Function,
    /// The type of all operands.
    pub dtype: DType,
    /// For each operand its value, if it is a number and not a tensor.
    pub numbers: SmallVec<[Option<Scalar>; 4]>,
}

impl fmt::Debug for Elementwise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.f.name)
    }
}

impl Elementwise {
    fn value(&self) -> Option<&'static Value> {
        let class = self.dtype.class();
        self.f.values.iter().find(|v| v.class.has(class))
    }

    /// The operand that input `input` is.
    fn operand_of(&self, input: usize) -> usize {
        let mut tensors = self.numbers.iter().enumerate().filter(|(_, n)| n.is_none());
        tensors.nth(input).map_or(usize::MAX, |(i, _)| i)
    }

    fn derivative(&self, operand: usize) -> Option<&'static Derivative> {
        self.f.derivatives.iter().find(|d| d.operand == operand)
    }

    /// Arguments come as tensors, then numbers; tiles and texts want them in the order of the operands.
    fn in_order<'a, T: ?Sized>(&self, args: &[&'a T]) -> SmallVec<[&'a T; 4]> {
        let (mut tensor, mut number) = (0, self.numbers.iter().filter(|n| n.is_none()).count());
        self.numbers
            .iter()
            .filter_map(|n| {
                let next = if n.is_none() { &mut tensor } else { &mut number };
                *next += 1;
                args.get(*next - 1).copied()
            })
            .collect()
    }
}

impl Op for Elementwise {
    fn name(&self) -> &'static str {
        self.f.name
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Spec> {
        let name = self.f.name;
        if self.value().is_none() {
            return Err(Error::dtype(name, format!("not defined for {}", self.dtype)));
        }
        let first = inputs.first().ok_or_else(|| Error::argument(name, "needs a tensor"))?;
        if let Some(other) = inputs.iter().find(|s| s.shape != first.shape || s.dtype != self.dtype) {
            let (a, b) = ((self.dtype, &first.shape), (other.dtype, &other.shape));
            return Err(Error::argument(name, format!("operands must have one type and shape, not {a:?} and {b:?}")));
        }
        Ok(Spec { dtype: if self.f.predicate { DType::Bool } else { self.dtype }, shape: first.shape.clone() })
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Map(self)
    }

    /// Which operands are numbers.
    fn attrs(&self, key: &mut Vec<u64>) {
        key.push(self.numbers.iter().fold(self.dtype as u64, |k, n| k << 1 | n.is_some() as u64));
    }

    fn scalars(&self) -> SmallVec<[(Scalar, DType); 2]> {
        self.numbers.iter().flatten().map(|&s| (s, computed_in(self.dtype))).collect()
    }

    fn saves(&self) -> Saves {
        let tensors = || self.numbers.iter().enumerate().filter(|(_, n)| n.is_none()).map(|(i, _)| i);
        let uses = tensors().filter_map(|i| self.derivative(i)).fold(0, |u, d| u | d.uses);
        let inputs = tensors().enumerate().fold(0, |bits, (input, operand)| bits | (uses >> operand & 1) << input);
        Saves { inputs, output: uses & OUTPUT != 0 }
    }

    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Result<Grads> {
        let bound = Bound { op: self, ctx };
        let inputs = self.numbers.iter().filter(|n| n.is_none()).count();
        (0..inputs)
            .map(|i| match self.derivative(self.operand_of(i)) {
                Some(d) if ctx.needs(i) => (d.rule)(&bound, dy).map(Some),
                _ => Ok(None),
            })
            .collect()
    }

    fn differentiable(&self) -> bool {
        !self.f.derivatives.is_empty()
    }
}

impl Map for Elementwise {
    fn tile(&self, args: &[&Reg], n: usize, out: &mut Reg) {
        if let Some(value) = self.value() {
            (value.tile)(&self.in_order(args), n, out);
        }
    }

    fn wgsl(&self, args: &[String], _inputs: &[DType], _out: DType) -> String {
        let args: SmallVec<[&str; 4]> = args.iter().map(String::as_str).collect();
        substitute(self.value().map_or("", |v| v.wgsl), self.f.params, &self.in_order(&args))
    }

    fn cost(&self) -> u32 {
        self.f.cost
    }
}

/// Numbers that go with a type are computed in this one: low-precision floats round only results.
pub(super) fn computed_in(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        other => other,
    }
}

/// What a derivative sees: the operands and the result.
pub(crate) struct Bound<'a> {
    op: &'a Elementwise,
    ctx: &'a Ctx<'a>,
}

impl Bound<'_> {
    pub fn tensor(&self, name: &str) -> Result<&Tensor> {
        let operand = operand_index(self.op.f.params, name);
        let before = self.op.numbers.iter().take(operand);
        self.ctx.input(before.filter(|n| n.is_none()).count())
    }

    pub fn number(&self, name: &str) -> f64 {
        let operand = operand_index(self.op.f.params, name);
        self.op.numbers.get(operand).copied().flatten().map_or(f64::NAN, Scalar::as_f64)
    }

    pub fn operand(&self, name: &str) -> Result<Operand> {
        match self.op.numbers.get(operand_index(self.op.f.params, name)) {
            Some(Some(s)) => Ok(Operand::Scalar(*s)),
            _ => self.tensor(name).map(|t| Operand::Tensor(t.clone())),
        }
    }

    pub fn output(&self) -> Result<&Tensor> {
        self.ctx.output()
    }
}

impl Tensor {
    /// Applies a row to tensors of one shape and type, and numbers.
    #[track_caller]
    pub(crate) fn map(f: &'static Function, operands: &[&Operand]) -> Result<Tensor> {
        let cast;
        let mut tensors: SmallVec<[&Tensor; 4]> = SmallVec::new();
        let mut numbers = SmallVec::new();
        for operand in operands {
            match operand {
                Operand::Tensor(t) => {
                    tensors.push(t);
                    numbers.push(None);
                }
                Operand::Scalar(s) => numbers.push(Some(*s)),
            }
        }
        cast = crate::amp::cast_inputs(f.name, &tensors)?;
        if let Some(cast) = &cast {
            tensors = cast.iter().collect();
        }
        let dtype = tensors.first().map_or(DType::F32, |t| t.dtype());
        Tensor::apply(Elementwise { f, dtype, numbers }, &tensors)
    }

    /// Applies a row of one tensor and some numbers.
    #[track_caller]
    pub(crate) fn map_with(&self, f: &'static Function, with: &[Scalar]) -> Result<Tensor> {
        let mut numbers: SmallVec<[Option<Scalar>; 4]> = smallvec![None];
        numbers.extend(with.iter().copied().map(Some));
        let cast = crate::amp::cast_inputs(f.name, &[self])?;
        let x = cast.as_ref().map_or(self, |c| &c[0]);
        Tensor::apply(Elementwise { f, dtype: x.dtype(), numbers }, &[x])
    }
}

/// Replaces the words that are parameters.
fn substitute(text: &str, params: &[&str], args: &[&str]) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    while let Some(start) = rest.find(word) {
        let (before, tail) = rest.split_at(start);
        let end = tail.find(|c| !word(c)).unwrap_or(tail.len());
        let (name, after) = tail.split_at(end);
        out.push_str(before);
        out.push_str(params.iter().position(|p| *p == name).and_then(|i| args.get(i).copied()).unwrap_or(name));
        rest = after;
    }
    out + rest
}

// ---- tiles ------------------------------------------------------------------------------------

/// A type that registers hold.
pub(super) trait Lane: Copy {
    fn of(reg: &Reg) -> &[Self];
    fn of_mut(reg: &mut Reg) -> &mut [Self];
}

macro_rules! lanes {
    ($($t:ty, $variant:ident;)*) => {$(
        impl Lane for $t {
            fn of(reg: &Reg) -> &[$t] {
                if let Reg::$variant(v) = reg { v } else { debug_assert!(false, "{:?} holds no {}", reg.class(), stringify!($t)); &[] }
            }
            fn of_mut(reg: &mut Reg) -> &mut [$t] {
                debug_assert!(matches!(reg, Reg::$variant(_)), "{:?} holds no {}", reg.class(), stringify!($t));
                if let Reg::$variant(v) = reg { v } else { &mut [] }
            }
        }
    )*};
}
lanes! { f32, F32; f64, F64; i64, Int; u64, UInt; bool, Bool; }

/// Declares a loop three times: as it is, and for the wider registers of AVX2 and AVX-512 where the machine has them.
macro_rules! loops {
    ($(fn $name:ident<$($A:ident),+>($($a:ident),+);)*) => {$(
        #[inline]
        pub(super) fn $name<$($A: Lane,)+ R: Lane>(args: &[&Reg], n: usize, out: &mut Reg, f: impl Fn($($A),+) -> R) {
            #[inline(always)]
            fn body<$($A: Lane,)+ R: Lane>($($a: &[$A],)+ out: &mut [R], f: impl Fn($($A),+) -> R) {
                let n = out.len()$(.min($a.len()))+;
                $(let $a = &$a[..n];)+
                for (i, o) in out[..n].iter_mut().enumerate() {
                    *o = f($($a[i]),+);
                }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn wide<$($A: Lane,)+ R: Lane>($($a: &[$A],)+ out: &mut [R], f: impl Fn($($A),+) -> R) {
                body($($a,)+ out, f);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
            fn widest<$($A: Lane,)+ R: Lane>($($a: &[$A],)+ out: &mut [R], f: impl Fn($($A),+) -> R) {
                body($($a,)+ out, f);
            }
            let [$($a,)+ ..] = args else { return };
            $(let $a = $A::of($a);)+
            let out = R::of_mut(out);
            let n = n.min(out.len());
            let out = &mut out[..n];
            #[cfg(target_arch = "x86_64")]
            match vectors() {
                // SAFETY: the machine has these features.
                Vectors::Bits512 => return unsafe { widest($($a,)+ out, f) },
                // SAFETY: the machine has AVX2.
                Vectors::Bits256 => return unsafe { wide($($a,)+ out, f) },
                Vectors::Bits128 => {}
            }
            body($($a,)+ out, f);
        }
    )*};
}
loops! {
    fn map1<A>(a);
    fn map2<A, B>(a, b);
    fn map3<A, B, C>(a, b, c);
    fn map4<A, B, C, D>(a, b, c, d);
}

// ---- the tables' syntax -----------------------------------------------------------------------

macro_rules! lane_loop {
    ($T:ty, $R:ty, ($a:ident), $value:expr, $args:ident, $n:ident, $out:ident) => {
        map1($args, $n, $out, |$a: $T| -> $R { $value })
    };
    ($T:ty, $R:ty, ($a:ident, $b:ident), $value:expr, $args:ident, $n:ident, $out:ident) => {
        map2($args, $n, $out, |$a: $T, $b: $T| -> $R { $value })
    };
    ($T:ty, $R:ty, ($a:ident, $b:ident, $c:ident), $value:expr, $args:ident, $n:ident, $out:ident) => {
        map3($args, $n, $out, |$a: $T, $b: $T, $c: $T| -> $R { $value })
    };
    ($T:ty, $R:ty, ($a:ident, $b:ident, $c:ident, $d:ident), $value:expr, $args:ident, $n:ident, $out:ident) => {
        map4($args, $n, $out, |$a: $T, $b: $T, $c: $T, $d: $T| -> $R { $value })
    };
}

/// The tile of a class; `same` results have the operands' type, `bool` results do not.
macro_rules! tile {
    (float, same, $params:tt, $value:expr) => {
        |args, n, out| match args[0] {
            Reg::F64(_) => lane_loop!(f64, f64, $params, $value, args, n, out),
            _ => lane_loop!(f32, f32, $params, $value, args, n, out),
        }
    };
    (float, bool, $params:tt, $value:expr) => {
        |args, n, out| match args[0] {
            Reg::F64(_) => lane_loop!(f64, bool, $params, $value, args, n, out),
            _ => lane_loop!(f32, bool, $params, $value, args, n, out),
        }
    };
    (ints, same, $params:tt, $value:expr) => {
        |args, n, out| match args[0] {
            Reg::UInt(_) => lane_loop!(u64, u64, $params, $value, args, n, out),
            _ => lane_loop!(i64, i64, $params, $value, args, n, out),
        }
    };
    (ints, bool, $params:tt, $value:expr) => {
        |args, n, out| match args[0] {
            Reg::UInt(_) => lane_loop!(u64, bool, $params, $value, args, n, out),
            _ => lane_loop!(i64, bool, $params, $value, args, n, out),
        }
    };
    (int, same, $params:tt, $value:expr) => {
        |args, n, out| lane_loop!(i64, i64, $params, $value, args, n, out)
    };
    (uint, same, $params:tt, $value:expr) => {
        |args, n, out| lane_loop!(u64, u64, $params, $value, args, n, out)
    };
    (bool, $result:ident, $params:tt, $value:expr) => {
        |args, n, out| lane_loop!(bool, bool, $params, $value, args, n, out)
    };
}

/// What a name in a derivative stands for.
macro_rules! bind {
    ($bound:ident, y) => {
        $bound.output()?
    };
    ($bound:ident, x) => {
        $bound.tensor("x")?
    };
    ($bound:ident, p) => {
        $bound.number("p")
    };
    ($bound:ident, q) => {
        $bound.number("q")
    };
    ($bound:ident, $operand:ident) => {
        &$bound.operand(stringify!($operand))?
    };
}

/// Rows as statics, and the list of them; see the module's documentation.
macro_rules! functions {
    ($list:ident $result:ident; $(
        $(#[$doc:meta])*
        $NAME:ident $name:literal ($($param:ident),+) $cost:literal
        [$($class:ident $value:expr => $wgsl:literal),+ $(,)?]
        [$($operand:ident |$g:ident $(, $need:ident)*| $rule:expr);* $(;)?];
    )*) => {
        $(
            $(#[$doc])*
            pub(crate) static $NAME: Function = Function {
                name: $name,
                params: &[$(stringify!($param)),+],
                cost: $cost,
                predicate: is_bool!($result),
                values: values!($result ($($param),+) [$($class $value => $wgsl),+]),
                derivatives: {
                    #[allow(dead_code, reason = "rows without a derivative")]
                    const PARAMS: &[&str] = &[$(stringify!($param)),+];
                    &[$(Derivative {
                        operand: operand_index(PARAMS, stringify!($operand)),
                        uses: 0 $(| uses_bit(PARAMS, stringify!($need)))*,
                        rule: |_bound: &Bound<'_>, $g: &Tensor| -> Result<Tensor> {
                            $(let $need = bind!(_bound, $need);)*
                            Ok($rule)
                        },
                    }),*]
                },
            };
        )*
        /// All rows of the table.
        #[allow(dead_code, reason = "the tests go through them")]
        pub(crate) static $list: &[&Function] = &[$(&$NAME),*];
    };
}

macro_rules! is_bool {
    (bool) => {
        true
    };
    (same) => {
        false
    };
}

macro_rules! values {
    ($result:ident $params:tt [$($class:ident $value:expr => $wgsl:literal),+]) => {
        &[$(value!($class, $result, $params, $value, $wgsl)),+]
    };
}

macro_rules! value {
    (float_tile, $result:ident, $params:tt, $tile:expr, $wgsl:literal) => {
        Value { class: Classes::float, tile: $tile, wgsl: $wgsl }
    };
    ($class:ident, $result:ident, $params:tt, $value:expr, $wgsl:literal) => {
        Value { class: Classes::$class, tile: tile!($class, $result, $params, $value), wgsl: $wgsl }
    };
}

pub(super) use {bind, functions, is_bool, lane_loop, tile, value, values};

#[cfg(test)]
mod tests;
