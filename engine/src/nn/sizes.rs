//! Sizes per spatial dimension: `3` or `[3, 5]`.

/// One number for all spatial dimensions, or one for each.
pub trait Sizes<const N: usize> {
    fn sizes(self) -> [usize; N];
}

impl<const N: usize> Sizes<N> for usize {
    fn sizes(self) -> [usize; N] {
        [self; N]
    }
}

impl<const N: usize> Sizes<N> for [usize; N] {
    fn sizes(self) -> [usize; N] {
        self
    }
}
