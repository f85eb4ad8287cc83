//! One, two and three spatial dimensions are handled as three: those that are missing come first and have size 1.

use crate::ops::Spec;

/// The most spatial dimensions an operator has.
pub(crate) const SPATIAL: usize = 3;

/// `[N, C, ..]` as `[N, C, z, y, x]`.
pub(crate) fn lift(shape: &[usize]) -> [usize; 5] {
    let mut out = [1; 5];
    let (lead, spatial) = shape.split_at(shape.len().min(2));
    out[..lead.len()].copy_from_slice(lead);
    let spatial = &spatial[spatial.len().saturating_sub(SPATIAL)..];
    out[5 - spatial.len()..].copy_from_slice(spatial);
    out
}

/// One number for each spatial dimension as `[z, y, x]`, with `fill` for those that are missing.
pub(crate) fn lift3(values: &[usize], fill: usize) -> [usize; SPATIAL] {
    let mut out = [fill; SPATIAL];
    let values = &values[values.len().saturating_sub(SPATIAL)..];
    out[SPATIAL - values.len()..].copy_from_slice(values);
    out
}

/// Depth, height and width of `[N, C, ..]`.
pub(crate) fn volume(shape: &[usize]) -> [usize; SPATIAL] {
    let [_, _, z, y, x] = lift(shape);
    [z, y, x]
}

/// `[N, C, ..]` with as many of the spatial sizes `[z, y, x]` as there are dimensions.
pub(crate) fn lower(n: usize, c: usize, rank: usize, size: [usize; SPATIAL]) -> crate::shape::Shape {
    let mut shape = crate::shape::Shape::from_slice(&[n, c]);
    shape.extend_from_slice(&size[SPATIAL - rank.min(SPATIAL)..]);
    shape
}

/// How many spatial dimensions `[N, C, ..]` has; 0 if that is no number from 1 to 3.
pub(crate) fn spatial_rank(x: &Spec) -> usize {
    x.shape.len().checked_sub(2).filter(|r| (1..=SPATIAL).contains(r)).unwrap_or(0)
}
