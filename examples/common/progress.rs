//! The live progress bar.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `total` items (samples, tokens), on standard error and only on a terminal.
pub fn bar(total: usize, unit: &str) -> ProgressBar {
    let style =
        ProgressStyle::with_template(&format!("{{elapsed_precise}} {{bar:30}} {{pos}}/{{len}} {unit} {{per_sec}} left {{eta}} {{msg}}"));
    let bar = ProgressBar::new(total as u64);
    style.into_iter().for_each(|style| bar.set_style(style));
    bar
}

/// Prints a line above the bar, on standard output.
pub fn show(bar: &ProgressBar, line: &str) {
    bar.suspend(|| println!("{line}"));
}
