//! The WGSL kernels of Taper, and the few lines that compose them.
//!
//! Every kernel is a file `NAME.wgsl` in this crate's folder. Functions that several kernels share lie in
//! `prelude/`; [`with_prelude`] adds the ones a text uses, and what those use. WGSL does not care about
//! the order of declarations, so composing is appending.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The text of kernel file `stem`.
pub fn source(stem: &str) -> Option<&'static str> {
    KERNELS.iter().find(|(name, _)| *name == stem).map(|(_, text)| *text)
}

/// The text of kernel file `stem` with what it uses of the prelude, and with that whatever the two name together.
pub fn complete(stem: &str) -> Option<&'static str> {
    static COMPLETE: LazyLock<HashMap<&str, String>> =
        LazyLock::new(|| KERNELS.iter().map(|(name, text)| (*name, with_prelude((*text).into()))).collect());
    COMPLETE.get(stem).map(String::as_str)
}

/// All kernel files: stem and text.
pub fn all() -> &'static [(&'static str, &'static str)] {
    KERNELS
}

/// The text with the prelude's declarations it needs behind it, each once, in a fixed order. What the text declares
/// itself is not added.
pub fn with_prelude(text: String) -> String {
    let own: HashSet<&str> = text.lines().filter_map(declared).collect();
    let mut needed: HashSet<&str> = own.iter().filter_map(|n| ITEMS.by_name.get_key_value(n).map(|(k, _)| *k)).collect();
    let mut open: Vec<&'static str> = identifiers(&text).filter_map(|w| ITEMS.by_name.get_key_value(w)).map(|(k, _)| *k).collect();
    while let Some(name) = open.pop() {
        if needed.insert(name) {
            let item = ITEMS.by_name[name];
            open.extend(identifiers(item).filter_map(|w| ITEMS.by_name.get_key_value(w)).map(|(k, _)| *k));
        }
    }
    let added: String =
        ITEMS.order.iter().filter(|n| needed.contains(**n) && !own.contains(**n)).flat_map(|n| [ITEMS.by_name[n], "\n"]).collect();
    text + &added
}

/// Whether a text uses a name (comments do not count).
pub fn mentions(text: &str, name: &str) -> bool {
    identifiers(text).any(|w| w == name)
}

struct Items {
    order: Vec<&'static str>,
    by_name: HashMap<&'static str, &'static str>,
}

static ITEMS: LazyLock<Items> = LazyLock::new(|| {
    let mut items = Items { order: Vec::new(), by_name: HashMap::new() };
    for (_, file) in PRELUDE {
        for item in declarations(file) {
            let name = declared(item).expect("a declaration starts with its keyword");
            items.order.push(name);
            let before = items.by_name.insert(name, item);
            assert!(before.is_none(), "prelude: {name} is declared twice");
        }
    }
    items
});

/// The name a line declares, if a declaration starts with it.
fn declared(line: &str) -> Option<&str> {
    let rest = ["fn ", "const ", "struct ", "alias "].iter().find_map(|k| line.strip_prefix(k)).or_else(|| {
        // var<workgroup> name: type;
        line.strip_prefix("var<").and_then(|r| r.split_once('>')).map(|(_, r)| r.trim_start())
    })?;
    identifiers(rest).next()
}

/// The declarations of a file, without the comments between them. One ends with a line that closes it: `}` in
/// the first column, or a first line that ends in `}` or `;`.
fn declarations(file: &'static str) -> impl Iterator<Item = &'static str> {
    let mut rest = file;
    std::iter::from_fn(move || {
        loop {
            let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
            if declared(line).is_none() {
                if after.is_empty() {
                    return None;
                }
                rest = after;
                continue;
            }
            let mut end = line.len();
            if !line.trim_end().ends_with(['}', ';']) {
                end = rest.find("\n}").map_or(rest.len(), |at| at + 2);
            }
            let item = &rest[..end];
            rest = &rest[end..];
            return Some(item);
        }
    })
}

/// The words of a text, comments left out.
fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(|l| l.split("//").next().unwrap_or(""))
        .flat_map(|l| l.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        .filter(|w| w.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_used_is_added_once() {
        let text = with_prelude("fn f(x: V) -> V { return tanh_safe(x) + tanh_safe(x); }\n".into());
        assert_eq!(text.matches("fn tanh_safe(").count(), 1);
        assert_eq!(text.matches("fn expm1(").count(), 1, "what tanh_safe uses");
        assert!(!text.contains("fn erf("));
    }

    #[test]
    fn a_complete_kernel_names_what_its_helpers_read() {
        let text = complete("conv_registers").unwrap();
        assert!(!mentions(source("conv_registers").unwrap(), "store4"));
        assert!(mentions(text, "store4"));
        assert_eq!(with_prelude(text.into()), text, "nothing is added twice");
    }

    #[test]
    fn a_comment_is_no_use() {
        assert!(!with_prelude("// see erf(x)\n".into()).contains("fn erf("));
    }
}
