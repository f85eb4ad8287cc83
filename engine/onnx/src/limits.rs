//! What decoding a model may cost, found out before it is decoded.
//!
//! A message of two bytes in a file is a struct of hundreds in memory. Nobody stores models like that, but anybody can send
//! one: the sum over all messages is compared with the size of the file first.

use std::mem::size_of;

use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use taper::Result;

use crate::decode::wrong;
use crate::proto;

/// What may be needed beside four times the size of the file.
const SLACK: usize = 64 << 20;
/// What a message costs in the checked graph, beside its struct.
const CHECKED: usize = 512;
const DEEPEST: usize = 100;

/// The kinds of messages that hold others.
#[derive(Clone, Copy)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Sparse,
    Function,
    /// Names, types, pairs of strings.
    Small,
}

impl Kind {
    fn size(self) -> usize {
        match self {
            Kind::Model => size_of::<proto::Model>(),
            Kind::Graph => size_of::<proto::Graph>(),
            Kind::Node => size_of::<proto::Node>(),
            Kind::Attribute => size_of::<proto::Attribute>(),
            Kind::Tensor => size_of::<proto::Tensor>(),
            Kind::Sparse => size_of::<proto::SparseTensor>(),
            Kind::Function => size_of::<proto::Function>(),
            Kind::Small => size_of::<proto::ValueInfo>(),
        }
    }

    /// The kind of a field that is a message.
    fn field(self, tag: u32) -> Option<Kind> {
        Some(match (self, tag) {
            (Kind::Model, 7) | (Kind::Attribute, 6) => Kind::Graph,
            (Kind::Model, 25) => Kind::Function,
            (Kind::Graph, 1) | (Kind::Function, 7) => Kind::Node,
            (Kind::Graph, 5) | (Kind::Attribute, 5 | 10) | (Kind::Sparse, 1 | 2) => Kind::Tensor,
            (Kind::Graph, 15) | (Kind::Attribute, 22) => Kind::Sparse,
            (Kind::Node, 5) | (Kind::Function, 11) => Kind::Attribute,
            (Kind::Model, 8) | (Kind::Graph, 11 | 12) | (Kind::Attribute, 14) | (Kind::Tensor, 13) | (Kind::Function, 9) => Kind::Small,
            _ => return None,
        })
    }
}

/// Refuses a model that would need far more memory than its file.
pub(crate) fn check(bytes: &[u8]) -> Result<()> {
    let allowed = bytes.len().saturating_mul(4).saturating_add(SLACK);
    let mut left = allowed;
    spend(bytes, Kind::Model, DEEPEST, &mut left)
        .map_err(|e| wrong(e.unwrap_or_else(|| format!("reading it would need more than {allowed} bytes"))))
}

fn pay(left: &mut usize, cost: usize) -> Result<(), Option<String>> {
    *left = left.checked_sub(cost).ok_or(None)?;
    Ok(())
}

/// `Err(None)` where it is too much, `Err(Some(why))` where it is no message.
fn spend(mut bytes: &[u8], kind: Kind, depth: usize, left: &mut usize) -> Result<(), Option<String>> {
    let broken = |e: prost::DecodeError| Some(format!("no model: {e}"));
    pay(left, kind.size() + CHECKED)?;
    if depth == 0 {
        return Err(Some(format!("no model: messages more than {DEEPEST} deep")));
    }
    while !bytes.is_empty() {
        let (tag, wire) = decode_key(&mut bytes).map_err(broken)?;
        if wire != WireType::LengthDelimited {
            skip_field(wire, tag, &mut bytes, DecodeContext::default()).map_err(broken)?;
            // One number of a list that is not packed.
            pay(left, 8)?;
            continue;
        }
        let length = decode_varint(&mut bytes).map_err(broken)? as usize;
        let Some(inside) = bytes.get(..length) else { return Err(Some("no model: it ends too early".into())) };
        match kind.field(tag) {
            Some(Kind::Small) => pay(left, Kind::Small.size() + CHECKED / 4 + 2 * length)?,
            Some(inner) => spend(inside, inner, depth - 1, left)?,
            // Packed integers grow to 8 bytes each; bytes and strings stay what they are.
            None => {
                let packed = matches!((kind, tag), (Kind::Tensor, 1 | 5 | 7 | 11) | (Kind::Attribute, 8) | (Kind::Sparse, 3));
                let cost = if packed { length.saturating_mul(8) } else { length + size_of::<String>() };
                pay(left, cost)?;
            }
        }
        bytes.advance(length);
    }
    Ok(())
}
