//! What the example programs share: their data, loaded from memory.

// The loader sits beside the data it reads; `digits.rs` here is the name of an example program.
pub mod common;
#[path = "data/digits.rs"]
pub mod digits;
