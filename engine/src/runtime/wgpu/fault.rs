//! Faults that only show on the device: an index that came from data and was out of range.
//!
//! A kernel clamps such an index and calls `fault(value, position, size)`; the first one is kept in a small buffer of
//! the device. Every read copies that buffer along with the data and fails if something is in it.

use std::sync::Mutex;

use crate::error::Error;

/// What a kernel file that mentions `fault` gets. `{}` is the binding.
pub(super) const FUNCTION: &str = "
fn fault(value: i32, position: u32, size: u32) {
    if (atomicMax(&buf{}[0], f.fault_code) == 0u) {
        atomicStore(&buf{}[1], bitcast<u32>(value));
        atomicStore(&buf{}[2], position);
        atomicStore(&buf{}[3], size);
    }
}
";

/// Bytes of the buffer: operator, value, position, size.
pub(super) const BYTES: usize = 16;

/// Operators that can fault; their place is their code, less one.
static OPERATORS: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());

/// The number that stands for an operator in the buffer.
pub(super) fn code(op: &'static str) -> u32 {
    let mut all = OPERATORS.lock().unwrap_or_else(|e| e.into_inner());
    let at = all.iter().position(|o| *o == op).unwrap_or_else(|| {
        all.push(op);
        all.len() - 1
    });
    at as u32 + 1
}

/// The error that a copy of the buffer tells, if any.
pub(super) fn error(bytes: &[u8]) -> Option<Error> {
    let word = |i: usize| -> u32 { bytemuck::pod_read_unaligned(&bytes[i * 4..i * 4 + 4]) };
    let op = (word(0) as usize).checked_sub(1)?;
    let name = OPERATORS.lock().unwrap_or_else(|e| e.into_inner()).get(op).copied().unwrap_or("kernel");
    Some(Error::index(name, format!("index {} at position {} is out of range for size {}", word(1) as i32, word(2), word(3))))
}
