//! Faults that only show on the device: an index that came from data and was out of range, a divisor that is 0.
//!
//! A kernel clamps such an index and calls `fault(value, position, size)`; the first one is kept in a small buffer of
//! the device. Every read copies that buffer along with the data and fails if something is in it.

use std::sync::Mutex;

use crate::error::Error;
use crate::graph::kernel::Fault;

/// What a kernel file that mentions `fault` gets. `{}` is the binding.
pub(super) const FUNCTION: &str = "
fn fault(value: i32, position: u32, size: u32) {
    if (atomicAdd(&buf{}[0], 1u) == 0u) {
        atomicStore(&buf{}[1], f.fault_code);
        atomicStore(&buf{}[2], bitcast<u32>(value));
        atomicStore(&buf{}[3], position);
        atomicStore(&buf{}[4], size);
    }
}
";

/// Bytes of the buffer: how many faults, and of the first one its code, the value, its position, the size.
pub(super) const BYTES: usize = 20;

/// What can be reported; the place of each is its code.
static FAULTS: Mutex<Vec<Fault>> = Mutex::new(Vec::new());

/// The number that stands for a fault in the buffer.
pub(super) fn code(fault: Fault) -> u32 {
    let mut all = FAULTS.lock().unwrap_or_else(|e| e.into_inner());
    let at = all.iter().position(|f| *f == fault).unwrap_or_else(|| {
        all.push(fault);
        all.len() - 1
    });
    at as u32
}

/// The error that a copy of the buffer tells, if any.
pub(super) fn error(bytes: &[u8]) -> Option<Error> {
    let word = |i: usize| -> u32 { bytemuck::pod_read_unaligned(&bytes[i * 4..i * 4 + 4]) };
    if word(0) == 0 {
        return None;
    }
    let fault = FAULTS.lock().unwrap_or_else(|e| e.into_inner()).get(word(1) as usize).copied().unwrap_or(Fault::Index("kernel"));
    Some(fault.error(word(2), word(3) as usize, word(4) as usize))
}
