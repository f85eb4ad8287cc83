//! A dispatch, complete but for buffers: text, bindings, parameters, size. Made without a device.

use super::bind::{Binding, Bindings, Block, Slot};
use super::repr::Repr;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::runtime::Adapter;

/// What a kernel text is made for.
#[derive(Debug, Clone)]
pub(crate) struct Shader {
    /// For people: `map relu(add(%0, %1)) ..`.
    pub line: String,
    pub wgsl: String,
    pub bindings: Vec<Binding>,
    /// Uniform blocks of group 1: `p` of a hand-written kernel, `f` of the generated part.
    pub p: Block,
    pub f: Block,
    pub groups: [u32; 3],
    /// Sizes in words of the scratch buffers this dispatch binds.
    pub scratch: Vec<(usize, usize)>,
}

/// Threads of a workgroup where a thread's work stands alone.
pub(super) const WG: usize = 64;

/// Workgroups for `count` of them, spread over two dimensions, and how many there are in a row of the grid.
pub(super) fn grid(count: usize, adapter: &Adapter) -> Result<[u32; 3]> {
    let most = adapter.limits.groups_per_dimension as usize;
    let y = count.div_ceil(most).max(1);
    if y > most {
        return Err(Error::unsupported("gpu", format!("{count} workgroups in one dispatch")));
    }
    // Even rows, so that little is wasted in the last one.
    Ok([count.div_ceil(y) as u32, y as u32, 1])
}

/// `alias V = ..;` and its kin: scalars, or vectors of four.
pub(super) fn aliases(vector: bool) -> String {
    [("V", "f32"), ("VI", "i32"), ("VU", "u32"), ("VB", "bool")]
        .map(|(a, t)| if vector { format!("alias {a} = vec4<{t}>;\n") } else { format!("alias {a} = {t};\n") })
        .concat()
}

/// Puts a text together: body, declarations, and what of the prelude they use.
pub(super) fn compose(label: &str, head: &str, body: &str, bindings: &Bindings, f: &Block) -> String {
    let declarations = bindings.declare(body);
    let text = taper_shaders::with_prelude(format!("{head}{}{declarations}{body}", f.declare()));
    #[cfg(test)]
    super::portability::check(label, &text);
    let _ = label;
    text
}

/// A kernel file of this crate's own.
pub(super) fn file(stem: &'static str) -> Result<&'static str> {
    taper_shaders::source(stem).ok_or_else(|| Error::unsupported("gpu", format!("there is no kernel file {stem}.wgsl")))
}

/// The limits that software cannot exceed anywhere are checked when a kernel is made, so that the error names it.
pub(super) fn check_limits(line: &str, bindings: &[Binding], adapter: &Adapter) -> Result<()> {
    if bindings.len() > adapter.limits.storage_buffers as usize {
        return Err(Error::unsupported(
            "gpu",
            format!("{line} binds {} buffers, and {} allows {}", bindings.len(), adapter.name, adapter.limits.storage_buffers),
        ));
    }
    for b in bindings {
        if b.bytes as u64 > adapter.limits.binding_bytes {
            return Err(Error::unsupported(
                "gpu",
                format!(
                    "{line} uses a tensor of {} MiB, and a kernel can bind {} MiB on {}; split it",
                    b.bytes >> 20,
                    adapter.limits.binding_bytes >> 20,
                    adapter.name
                ),
            ));
        }
    }
    Ok(())
}

/// The type `store` takes for a result of `dtype`, and what reads of it give.
pub(super) fn kernel_type(dtype: DType) -> &'static str {
    Repr::of(dtype).scalar()
}

/// All slots a shader binds, for the aliasing of values.
pub(super) fn slot_of<'a>(alias: &'a dyn Fn(usize) -> usize) -> impl Fn(usize) -> Slot + 'a {
    move |v| {
        let mut root = v;
        loop {
            let next = alias(root);
            if next == root {
                return Slot::Value(root);
            }
            root = next;
        }
    }
}
