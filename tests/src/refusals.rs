//! Calls that have to fail, and what they do instead.

use std::panic::{AssertUnwindSafe, catch_unwind};

use taper::{Device, Result, Tensor};

use crate::read;

/// A tensor was made, so it has to be computable, or to say why not.
pub fn used(t: Tensor) -> Result<()> {
    read(&t).map(drop)
}

/// Runs calls that have to fail, and collects those that do anything else.
#[derive(Debug)]
pub struct Refusals {
    device: Device,
    wrong: Vec<String>,
}

impl Refusals {
    pub fn new(device: &Device) -> Refusals {
        Refusals { device: device.clone(), wrong: Vec::new() }
    }

    /// An error whose text contains each of `words`.
    pub fn refused(&mut self, name: &str, words: &[&str], f: impl FnOnce() -> Result<()>) {
        match catch_unwind(AssertUnwindSafe(f)) {
            Err(_) => self.wrong.push(format!("{name}: panicked")),
            Ok(Ok(())) => self.wrong.push(format!("{name}: was accepted")),
            Ok(Err(e)) => {
                let text = e.to_string();
                let missing: Vec<&&str> = words.iter().filter(|w| !text.contains(**w)).collect();
                if text.len() < 12 || !missing.is_empty() {
                    self.wrong.push(format!("{name}: the text lacks {missing:?}: {text}"));
                }
            }
        }
    }

    pub fn tensor(&mut self, name: &str, words: &[&str], f: impl FnOnce() -> Result<Tensor>) {
        self.refused(name, words, || used(f()?));
    }

    /// Anything but a panic.
    pub fn survived(&mut self, name: &str, f: impl FnOnce() -> Result<()>) {
        if catch_unwind(AssertUnwindSafe(f)).is_err() {
            self.wrong.push(format!("{name}: panicked"));
        }
    }

    /// Something else went wrong.
    pub fn wrong(&mut self, what: String) {
        self.wrong.push(what);
    }

    /// Fails the test if anything was wrong.
    pub fn end(self) {
        assert!(self.wrong.is_empty(), "on {}, {} wrong:\n{}", self.device, self.wrong.len(), self.wrong.join("\n"));
    }
}
