//! What knows that some dimensions are space: resampling, sampling at points, folding, shuffling, unpooling, bags.

mod bag;
mod fold;
mod fractional;
mod grid;
mod interpolate;
mod shuffle;
mod unpool;

pub use bag::{BagMode, EmbeddingBag};
pub use grid::{GridMode, GridPadding};
pub use interpolate::{Interpolation, InterpolationMode};

#[cfg(test)]
mod tests;
