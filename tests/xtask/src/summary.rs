//! Counts of tests, and the closing lines of nextest and of rustdoc from which they are read.
//!
//! A line that cannot be read is an error, never a zero: a run that nobody could count has not passed.

use std::{fmt, ops::AddAssign};

/// Numbers of checks. Printed, it is the closing line of every test chore.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Reads nextest's last line of the kind
/// `Summary [ 1.5s] 9 tests run: 7 passed (1 slow), 1 failed, 1 timed out, 2 skipped`.
///
/// A cancelled run says `5/9 tests run`: the four that never ran count as failed.
pub fn nextest(stderr: &str) -> Result<Counts, String> {
    let text = plain(stderr);
    let line = text.lines().map(str::trim).rfind(|line| line.starts_with("Summary [")).ok_or("nextest printed no summary line")?;
    let unreadable = || format!("cannot read nextest's summary: {line}");

    let (run, results) = line.split_once(" run: ").ok_or_else(unreadable)?;
    let run = run.rsplit_once(']').and_then(|(_, run)| run.split_whitespace().next()).ok_or_else(unreadable)?;
    let (ran, planned) = run.split_once('/').unwrap_or((run, run));
    let (ran, planned): (usize, usize) = (number(ran).ok_or_else(unreadable)?, number(planned).ok_or_else(unreadable)?);

    let mut counts = Counts::default();
    for result in without_parentheses(results).split(',') {
        let (n, kind) = result.trim().split_once(' ').ok_or_else(unreadable)?;
        let n = number(n).ok_or_else(unreadable)?;
        match kind.trim() {
            "passed" => counts.passed += n,
            "failed" | "exec failed" | "timed out" => counts.failed += n,
            "skipped" => counts.skipped += n,
            _ => return Err(unreadable()),
        }
    }
    if counts.passed + counts.failed != ran || ran > planned {
        return Err(unreadable());
    }
    counts.failed += planned - ran;
    Ok(counts)
}

/// Adds up rustdoc's lines of the kind
/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s`.
pub fn doctests(stdout: &str) -> Result<Counts, String> {
    let text = plain(stdout);
    let mut total = None;
    for line in text.lines().filter_map(|line| line.trim().strip_prefix("test result: ")) {
        let unreadable = || format!("cannot read rustdoc's summary: {line}");
        let counts = total.get_or_insert_with(Counts::default);
        let (_, results) = line.split_once(". ").ok_or_else(unreadable)?;
        let numbers = results.split(';').filter_map(|part| part.trim().split_once(' ')).filter_map(|(n, kind)| Some((number(n)?, kind)));
        let mut known = 0;
        for (n, kind) in numbers {
            match kind {
                "passed" => counts.passed += n,
                "failed" => counts.failed += n,
                "ignored" => counts.skipped += n,
                _ => continue,
            }
            known += 1;
        }
        if known != 3 {
            return Err(unreadable());
        }
    }
    total.ok_or_else(|| "rustdoc printed no summary line".to_owned())
}

fn number(text: &str) -> Option<usize> {
    text.trim().parse().ok()
}

/// `7 passed (1 slow, 1 leaky), 1 failed` as `7 passed , 1 failed`.
fn without_parentheses(text: &str) -> String {
    let mut depth = 0_usize;
    text.chars()
        .filter(|&c| {
            depth += usize::from(c == '(');
            let outside = depth == 0;
            depth = depth.saturating_sub(usize::from(c == ')'));
            outside
        })
        .collect()
}

/// `text` without terminal colours (escape sequences `ESC [ ... letter`).
fn plain(text: &str) -> String {
    let (mut plain, mut chars) = (String::with_capacity(text.len()), text.chars());
    while let Some(c) = chars.next() {
        if c == '\x1b' {
            chars.find(char::is_ascii_alphabetic);
        } else {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(passed: usize, failed: usize, skipped: usize) -> Counts {
        Counts { passed, failed, skipped }
    }

    #[test]
    fn the_closing_line_is_exact() {
        assert_eq!(counts(12, 0, 3).to_string(), "12 passed, 0 failed, 3 skipped");
    }

    #[test]
    fn nextest_summaries_are_read() {
        let text = "     Summary [   0.005s] 4 tests run: 4 passed, 2 skipped\n";
        assert_eq!(nextest(text), Ok(counts(4, 0, 2)));
        let text = "  Summary [ 1.5s] 10 tests run: 7 passed (1 slow, 1 leaky), 1 failed (1 due to being leaky), 1 exec failed, 1 timed out, 2 skipped\n  FAIL [ 0.1s] a b\n";
        assert_eq!(nextest(text), Ok(counts(7, 3, 2)));
        assert_eq!(nextest("Summary [ 1.0s] 1 test run: 1 passed, 0 skipped"), Ok(counts(1, 0, 0)));
    }

    #[test]
    fn colours_do_not_hide_a_summary() {
        let text = "\x1b[32;1m     Summary\x1b[0m [   0.005s] \x1b[1m2\x1b[0m tests run: \x1b[1m2\x1b[0m \x1b[32;1mpassed\x1b[0m, \x1b[1m0\x1b[0m \x1b[33;1mskipped\x1b[0m";
        assert_eq!(nextest(text), Ok(counts(2, 0, 0)));
    }

    #[test]
    fn tests_that_a_cancelled_run_left_out_have_failed() {
        assert_eq!(nextest("Summary [ 1s] 5/9 tests run: 4 passed, 1 failed, 0 skipped"), Ok(counts(4, 5, 0)));
    }

    #[test]
    fn a_summary_that_cannot_be_read_is_an_error() {
        assert!(nextest("").is_err());
        assert!(nextest("Summary [ 1s] 2 tests run: 2 vanished").is_err());
        assert!(nextest("Summary [ 1s] 3 tests run: 2 passed").is_err());
        assert!(nextest("Summary [ 1s] everything fine").is_err());
        assert!(doctests("").is_err());
        assert!(doctests("test result: ok. plenty passed").is_err());
    }

    #[test]
    fn doctest_summaries_are_added_up() {
        let text = "\nrunning 3 tests\n\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
                    test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s\n";
        assert_eq!(doctests(text), Ok(counts(3, 2, 1)));
    }
}
