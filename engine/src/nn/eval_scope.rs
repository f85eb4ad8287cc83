//! A model in evaluation for a while.

use super::module::{Member, Module, walk};
use super::param::Training;

/// Runs `f` with `module` in evaluation. Afterwards, whatever `f` does, each part is in the mode it was in: parts that were in
/// evaluation before (a frozen batch norm) stay in it, which `train()` would undo.
///
/// ```
/// use taper::nn::{Dropout, Module, eval_scope};
/// # use taper::prelude::*;
/// # fn main() -> Result<()> {
/// let dropout = Dropout::new(0.5)?;
/// let x = Tensor::ones([4], &Device::cpu())?;
/// let y = eval_scope(&dropout, || dropout.forward(&x))?;
/// assert_eq!(y.to_vec::<f32>()?, [1.0; 4]);
/// assert!(dropout.is_training());
/// # Ok(()) }
/// ```
pub fn eval_scope<T>(module: &(impl Module + ?Sized), f: impl FnOnce() -> T) -> T {
    struct Back<'a>(Vec<(&'a Training, bool)>);
    impl Drop for Back<'_> {
        fn drop(&mut self) {
            self.0.iter().for_each(|(flag, before)| flag.set(*before));
        }
    }
    let mut flags = Vec::new();
    module.members(&mut |name, member| {
        walk("", name, member, &mut |_, leaf| {
            if let Member::Training(flag) = leaf {
                flags.push((flag, flag.get()));
            }
        });
    });
    let _back = Back(flags);
    module.eval();
    f()
}
