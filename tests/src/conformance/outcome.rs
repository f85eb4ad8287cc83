//! What became of one case.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What became of one case.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Passed,
    /// An error case that was refused because of its arguments' types, as Rust's types would.
    PassedByType,
    /// What was wrong, and by how many tolerances (infinite when it is not a matter of a tolerance).
    Failed {
        what: String,
        excess: f64,
    },
    /// An argument was refused before there was a call: because Rust's types would not take it, or because the device does not hold
    /// its value. A case that must be refused has passed, any other has failed.
    Refused {
        what: String,
        by_type: bool,
    },
    /// The device cannot have a type of the case, by the documented policy.
    Skipped(String),
    /// There is no such operator, module or optimizer. Counts as failed.
    Missing(String),
}

impl Outcome {
    pub fn failed(what: impl Into<String>) -> Outcome {
        Outcome::Failed { what: what.into(), excess: f64::INFINITY }
    }

    /// An argument that Rust's types would not take.
    pub fn by_type(what: impl Into<String>) -> Outcome {
        Outcome::Refused { what: what.into(), by_type: true }
    }
}

impl From<taper::Error> for Outcome {
    fn from(e: taper::Error) -> Outcome {
        Outcome::failed(e.to_string())
    }
}

/// A step of a case: what it yields, or how the case ends.
pub type Step<T> = Result<T, Outcome>;

/// Runs a case to its end, whatever it does.
pub fn guarded<T: Into<Outcome>>(case: impl FnOnce() -> T) -> Outcome {
    catch_unwind(AssertUnwindSafe(case)).map_or_else(
        |panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
            Outcome::failed(format!("panicked: {}", text.unwrap_or("?")))
        },
        Into::into,
    )
}

impl From<Step<()>> for Outcome {
    fn from(step: Step<()>) -> Outcome {
        step.map_or_else(|outcome| outcome, |()| Outcome::Passed)
    }
}
