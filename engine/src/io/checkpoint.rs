//! Checkpoints: everything a run needs to continue, as bytes.
//!
//! One safetensors file. Tensors are named `model.NAME` and `optimizer.INDEX.STATE`; all else is JSON in its metadata,
//! with a format version, behind a checksum of both. One entry holds the two: the order of several is not the same every time.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::safetensors;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::nn::StateDict;
use crate::optim::{GroupState, OptimizerState};
use crate::tensor::{rng_state, set_rng_state};

const FORMAT: &str = "checkpoint";
/// The metadata's key.
const STATE: &str = "taper";

/// The version this library writes. It reads this one and all before.
pub const VERSION: u64 = 1;

/// Everything a run needs to continue where it was, bit for bit.
///
/// ```
/// use taper::io::checkpoint::Checkpoint;
/// use taper::nn::{Linear, Module};
/// use taper::optim::{Adam, Optimizer};
/// # use taper::prelude::*;
/// # fn main() -> Result<()> {
/// # let device = Device::cpu();
/// let model = Linear::new(4, 2, &device)?;
/// let mut optimizer = Adam::new(model.parameters(), 1e-3)?;
/// let saved = Checkpoint::new(model.state_dict()).optimizer(&optimizer)?.step(100).to_bytes()?;
///
/// let checkpoint = Checkpoint::from_bytes(&saved, &device)?;
/// model.load_state_dict(&checkpoint.model, true)?;
/// optimizer.load_state_dict(checkpoint.optimizer_state()?)?;
/// checkpoint.restore_rng();
/// assert_eq!(checkpoint.step, 100);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Checkpoint {
    pub model: StateDict,
    pub optimizer: Option<OptimizerState>,
    /// A scheduler's `state_dict`.
    pub scheduler: Option<Value>,
    /// A gradient scaler's `state_dict`.
    pub scaler: Option<Value>,
    /// The random generator's state.
    pub rng: Option<(u64, u64)>,
    /// How many steps the run has made.
    pub step: u64,
    /// Anything else: an epoch, the best metric, the configuration.
    pub extra: BTreeMap<String, Value>,
}

impl Checkpoint {
    /// A model's state and the random generator's as they are now.
    pub fn new(model: StateDict) -> Checkpoint {
        Checkpoint { model, rng: Some(rng_state()), ..Checkpoint::default() }
    }

    /// With an optimizer's state.
    ///
    /// # Errors
    /// A state whose computation failed.
    pub fn optimizer(mut self, optimizer: &dyn crate::optim::Optimizer) -> Result<Checkpoint> {
        self.optimizer = Some(optimizer.state_dict()?);
        Ok(self)
    }

    /// With a scheduler's `state_dict`.
    pub fn scheduler(mut self, state: Value) -> Checkpoint {
        self.scheduler = Some(state);
        self
    }

    /// With a gradient scaler's `state_dict`.
    pub fn scaler(mut self, state: Value) -> Checkpoint {
        self.scaler = Some(state);
        self
    }

    pub fn step(mut self, step: u64) -> Checkpoint {
        self.step = step;
        self
    }

    /// With anything else under a name.
    pub fn extra(mut self, name: impl Into<String>, value: impl Into<Value>) -> Checkpoint {
        self.extra.insert(name.into(), value.into());
        self
    }

    /// The optimizer's state.
    ///
    /// # Errors
    /// There is none.
    pub fn optimizer_state(&self) -> Result<&OptimizerState> {
        self.optimizer.as_ref().ok_or_else(|| Error::format(FORMAT, "there is no optimizer's state"))
    }

    /// Sets the random generator to where it was.
    pub fn restore_rng(&self) {
        if let Some(state) = self.rng {
            set_rng_state(state);
        }
    }

    /// # Errors
    /// A tensor whose computation failed.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut tensors: StateDict = self.model.iter().map(|(k, t)| (format!("model.{k}"), t.clone())).collect();
        for (index, states) in self.optimizer.iter().flat_map(|o| &o.state) {
            tensors.extend(states.iter().map(|(k, t)| (format!("optimizer.{index}.{k}"), t.clone())));
        }
        let groups = self
            .optimizer
            .as_ref()
            .map(|o| o.param_groups.iter().map(|g| json!({ "params": g.params, "options": g.options })).collect::<Vec<Value>>());
        // Text: JSON's numbers would not hold 64 bits everywhere.
        let rng = self.rng.map(|(seed, position)| [seed.to_string(), position.to_string()]);
        let state = json!({
            "version": VERSION, "step": self.step, "param_groups": groups, "scheduler": self.scheduler, "scaler": self.scaler,
            "rng": rng, "extra": self.extra,
        });
        let state = state.to_string();
        sealed(&tensors, &state)
    }

    /// Reads a checkpoint; the tensors are put on `device`.
    ///
    /// # Errors
    /// Bytes of another format; a version this library does not know; anything that is not as it was written.
    pub fn from_bytes(bytes: &[u8], device: &Device) -> Result<Checkpoint> {
        let wrong = |why: String| Error::format(FORMAT, why);
        let metadata = safetensors::metadata(bytes)?;
        let entry = metadata.get(STATE).ok_or_else(|| wrong("the file has tensors, but nothing about a run".into()))?;
        let (was, text) = entry.split_once(' ').ok_or_else(|| wrong("there is no checksum".into()))?;
        let state: Value = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
        match state["version"].as_u64() {
            Some(v) if (1..=VERSION).contains(&v) => {}
            other => return Err(wrong(format!("version {other:?} is not among the known ones, 1 to {VERSION}"))),
        }
        // On the CPU first, as every element type exists there; counters stay.
        let tensors = safetensors::deserialize(bytes, &Device::cpu())?;
        let sum = checksum(&tensors, text)?;
        if was != sum {
            return Err(wrong(format!("the checksum is {sum}, it was {was}")));
        }
        let step = state["step"].as_u64().ok_or_else(|| wrong("there is no step".into()))?;
        let mut out = Checkpoint { step, ..Checkpoint::default() };
        let mut states: BTreeMap<usize, BTreeMap<String, crate::Tensor>> = BTreeMap::new();
        for (name, tensor) in tensors {
            if let Some(name) = name.strip_prefix("model.") {
                out.model.insert(name.to_string(), tensor.to(device)?);
            } else if let Some((index, name)) = name.strip_prefix("optimizer.").and_then(|n| n.split_once('.')) {
                let index = index.parse().map_err(|_| wrong(format!("'{index}' is no parameter's index")))?;
                // The optimizer moves its states to its parameters itself.
                states.entry(index).or_default().insert(name.to_string(), tensor);
            } else {
                return Err(wrong(format!("the tensor {name} is neither the model's nor the optimizer's")));
            }
        }
        if let Some(groups) = state["param_groups"].as_array() {
            let group = |g: &Value| {
                let params = g["params"].as_array()?.iter().map(|p| p.as_u64().map(|p| p as usize)).collect::<Option<Vec<_>>>()?;
                let options = g["options"].as_object()?.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
                Some(GroupState { params, options })
            };
            let param_groups =
                groups.iter().map(group).collect::<Option<_>>().ok_or_else(|| wrong("the parameter groups are malformed".into()))?;
            out.optimizer = Some(OptimizerState { state: states, param_groups });
        } else if !states.is_empty() {
            return Err(wrong("there are an optimizer's tensors, but no parameter groups".into()));
        }
        let some = |v: &Value| (!v.is_null()).then(|| v.clone());
        (out.scheduler, out.scaler) = (some(&state["scheduler"]), some(&state["scaler"]));
        if let Some(rng) = some(&state["rng"]) {
            let word = |i: usize| rng[i].as_str().and_then(|s| s.parse::<u64>().ok());
            out.rng = Some(word(0).zip(word(1)).ok_or_else(|| wrong(format!("{rng} is no state of the random generator")))?);
        }
        out.extra = state["extra"].as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        Ok(out)
    }
}

/// The file of these tensors and this state.
fn sealed(tensors: &StateDict, state: &str) -> Result<Vec<u8>> {
    let entry = format!("{} {state}", checksum(tensors, state)?);
    safetensors::serialize(tensors, &BTreeMap::from([(STATE.to_string(), entry)]))
}

/// FNV-1a over names, contents and the rest: finds damage, not intent.
fn checksum(tensors: &StateDict, state: &str) -> Result<String> {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut take = |bytes: &[u8]| {
        for b in bytes {
            hash = (hash ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3);
        }
    };
    for (name, tensor) in tensors {
        take(name.as_bytes());
        take(&tensor.to_bytes()?);
    }
    take(state.as_bytes());
    Ok(format!("{hash:016x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tensor;

    #[test]
    fn damage_and_other_versions_are_errors() -> Result<()> {
        let device = Device::cpu();
        let model = StateDict::from([("w".to_string(), Tensor::ones([4], &device)?)]);
        let bytes = Checkpoint::new(model.clone()).to_bytes()?;
        let text = |r: Result<Checkpoint>| r.unwrap_err().to_string();
        let mut damaged = bytes.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert!(text(Checkpoint::from_bytes(&damaged, &device)).contains("checksum"));
        // A digit of what is no tensor.
        let mut damaged = Checkpoint::new(model.clone()).step(123_456).to_bytes()?;
        let at = damaged.windows(6).position(|w| w == b"123456").unwrap();
        damaged[at] = b'7';
        assert!(text(Checkpoint::from_bytes(&damaged, &device)).contains("checksum"));
        // Whole, but not what was promised.
        let with = |state: Value, tensors: &StateDict| sealed(tensors, &state.to_string());
        let named = |name: &str| StateDict::from([(name.to_string(), model["w"].clone())]);
        for (state, tensors, what) in [
            (json!({ "version": VERSION + 1 }), named("model.w"), "version"),
            (json!({ "version": VERSION }), named("model.w"), "step"),
            (json!({ "version": VERSION, "step": 1, "rng": ["1", "x"] }), named("model.w"), "random"),
            (json!({ "version": VERSION, "step": 1 }), named("optimizer.0.exp_avg"), "groups"),
            (json!({ "version": VERSION, "step": 1 }), named("w"), "neither"),
        ] {
            let why = text(Checkpoint::from_bytes(&with(state, &tensors)?, &device));
            assert!(why.contains(what), "{what}: {why}");
        }
        assert!(text(Checkpoint::from_bytes(&safetensors::serialize(&model, &BTreeMap::new())?, &device)).contains("nothing about a run"));
        assert!(Checkpoint::from_bytes(&bytes[..bytes.len() / 2], &device).is_err());
        assert!(Checkpoint::from_bytes(&bytes, &device)?.optimizer_state().is_err());
        Ok(())
    }
}
