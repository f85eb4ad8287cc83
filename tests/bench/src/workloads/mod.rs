//! The workloads, in the order of the table.

mod attention;
mod index;
mod models;
mod operators;
mod order;
mod small;
mod training;

pub use models::Gpt;
pub use training::Trainer;

use crate::case::Workload;

pub fn all() -> Vec<Workload> {
    let mut all = operators::all();
    all.extend(attention::all());
    all.extend(small::all());
    all.extend(index::all());
    all.extend(order::all());
    all.extend(training::all());
    all
}
