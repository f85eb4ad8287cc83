//! Gradients against float64 differences, and what backward promises: accumulation, hooks, modes, threads.

mod differences;
mod promises;
