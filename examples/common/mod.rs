//! What the example programs share: options, progress, the step log, pictures.

mod args;
mod chart;
mod progress;
mod step_log;

pub use args::{CommonArgs, OutputArgs, amount, fail, parse, positive, run};
pub use chart::{Curve, learning_curve};
pub use progress::{bar, show};
pub use step_log::StepLog;
