//! Other people's names for the same tensors.

use std::collections::BTreeMap;

use taper::nn::StateDict;
use taper::{Error, Result};

/// Rules that rename tensors, applied one after the other, each to what the ones before made of a name.
///
/// In [`rename`](Rules::rename), `{}` stands for any part of a name without points, as long as possible from the left; the
/// new name repeats the parts in their order, or by their number: `{1}.{0}`.
///
/// ```
/// use taper_files::rename::Rules;
/// # fn main() -> taper::Result<()> {
/// let rules = Rules::new()
///     .prefix("bert.", "")
///     .rename("encoder.layer.{}.attention.self.{}.{}", "layers.{}.attn.{}_proj.{}")
///     .suffix(".gamma", ".weight")
///     .leave_out("pooler.{}.{}");
/// assert_eq!(rules.name("bert.encoder.layer.0.attention.self.query.bias").unwrap(), "layers.0.attn.query_proj.bias");
/// assert_eq!(rules.name("norm.gamma").unwrap(), "norm.weight");
/// assert_eq!(rules.name("bert.pooler.dense.bias"), None);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Rules(Vec<Rule>);

#[derive(Debug, Clone)]
enum Rule {
    Prefix(String, String),
    Suffix(String, String),
    Replace(String, String),
    Rename(String, String),
    LeaveOut(String),
}

impl Rules {
    pub fn new() -> Rules {
        Rules::default()
    }

    /// Names that begin with `from` begin with `to` instead.
    pub fn prefix(self, from: &str, to: &str) -> Rules {
        self.and(Rule::Prefix(from.into(), to.into()))
    }

    /// Names that end with `from` end with `to` instead.
    pub fn suffix(self, from: &str, to: &str) -> Rules {
        self.and(Rule::Suffix(from.into(), to.into()))
    }

    /// `from` becomes `to` wherever it is in a name.
    pub fn replace(self, from: &str, to: &str) -> Rules {
        self.and(Rule::Replace(from.into(), to.into()))
    }

    /// Names that are `from` as a whole become `to`.
    pub fn rename(self, from: &str, to: &str) -> Rules {
        self.and(Rule::Rename(from.into(), to.into()))
    }

    /// Tensors whose name is `pattern` as a whole are dropped.
    pub fn leave_out(self, pattern: &str) -> Rules {
        self.and(Rule::LeaveOut(pattern.into()))
    }

    fn and(mut self, rule: Rule) -> Rules {
        self.0.push(rule);
        self
    }

    /// What a name becomes; `None` if it is left out.
    pub fn name(&self, name: &str) -> Option<String> {
        let mut name = name.to_string();
        for rule in &self.0 {
            let renamed = match rule {
                Rule::Prefix(from, to) => name.strip_prefix(from.as_str()).map(|rest| format!("{to}{rest}")),
                Rule::Suffix(from, to) => name.strip_suffix(from.as_str()).map(|rest| format!("{rest}{to}")),
                // An empty text would be everywhere.
                Rule::Replace(from, to) => (!from.is_empty() && name.contains(from.as_str())).then(|| name.replace(from.as_str(), to)),
                Rule::Rename(from, to) => parts(from, &name).map(|parts| filled(to, &parts)),
                Rule::LeaveOut(pattern) => match parts(pattern, &name) {
                    Some(_) => return None,
                    None => None,
                },
            };
            name = renamed.unwrap_or(name);
        }
        Some(name)
    }

    /// The tensors under their new names.
    ///
    /// # Errors
    /// Two tensors would have one name.
    pub fn apply(&self, tensors: &StateDict) -> Result<StateDict> {
        let mut from: BTreeMap<String, &str> = BTreeMap::new();
        let mut out = StateDict::new();
        for (old, tensor) in tensors {
            let Some(new) = self.name(old) else { continue };
            if let Some(other) = from.insert(new.clone(), old) {
                return Err(Error::argument("rename", format!("{other} and {old} would both be {new}")));
            }
            out.insert(new, tensor.clone());
        }
        Ok(out)
    }
}

/// What the `{}` of a pattern are in a name.
fn parts<'a>(pattern: &str, name: &'a str) -> Option<Vec<&'a str>> {
    let (first, rest) = pattern.split_once("{}").map_or((pattern, None), |(a, b)| (a, Some(b)));
    let name = name.strip_prefix(first)?;
    let Some(rest) = rest else { return name.is_empty().then(Vec::new) };
    let end = name.find('.').unwrap_or(name.len());
    // Every cut of the longest run without points, the longest first.
    let cuts = name[..end].char_indices().map(|(i, c)| i + c.len_utf8()).collect::<Vec<_>>();
    cuts.into_iter().rev().find_map(|cut| {
        let (part, after) = name.split_at(cut);
        let mut found = parts(rest, after)?;
        found.insert(0, part);
        Some(found)
    })
}

fn filled(to: &str, parts: &[&str]) -> String {
    let mut next = 0;
    let (mut out, mut rest) = (String::new(), to);
    while let Some((before, after)) = rest.split_once('{') {
        out += before;
        let (number, tail) = after.split_once('}').unwrap_or((after, ""));
        let index = if number.is_empty() {
            next += 1;
            next - 1
        } else {
            number.parse().unwrap_or(usize::MAX)
        };
        out += parts.get(index).copied().unwrap_or_default();
        rest = tail;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use taper::{Device, Tensor};

    #[test]
    fn patterns_match_whole_names_and_never_points() {
        for (pattern, name, want) in [
            ("a.{}.b", "a.12.b", Some(vec!["12"])),
            ("a.{}.b", "a.1.2.b", None),
            ("a.{}", "a.", None),
            ("{}", "größe", Some(vec!["größe"])),
            ("{}_{}", "a_b_c", Some(vec!["a_b", "c"])),
            ("layer{}.{}", "layer3.w", Some(vec!["3", "w"])),
            ("a", "a", Some(vec![])),
            ("a", "ab", None),
        ] {
            assert_eq!(parts(pattern, name), want, "{pattern} {name}");
        }
        assert_eq!(filled("{1}.{0}.{}", &["x", "y"]), "y.x.x");
        assert_eq!(filled("plain", &["x"]), "plain");
    }

    #[test]
    fn rules_follow_each_other_and_names_stay_apart() {
        let one = || Tensor::ones([1], &Device::cpu()).unwrap();
        let state: StateDict = ["m.a.w", "m.b.w", "x"].map(|n| (n.to_string(), one())).into();
        let rules = Rules::new().prefix("m.", "").rename("{}.w", "{}.weight").replace("a.", "first.");
        assert_eq!(rules.apply(&state).unwrap().into_keys().collect::<Vec<_>>(), ["b.weight", "first.weight", "x"]);
        let why = Rules::new().rename("m.{}.w", "same").apply(&state).unwrap_err().to_string();
        assert!(why.contains("m.a.w and m.b.w would both be same"), "{why}");
    }
}
