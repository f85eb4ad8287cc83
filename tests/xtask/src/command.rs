//! Running other programs at the root of the repository, with their output passed on as it comes.

use std::{
    env,
    ffi::OsStr,
    io::{self, BufRead, BufReader, IsTerminal, Read, Write},
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    thread,
};

/// The root of the repository.
pub fn root() -> PathBuf {
    // Cargo names the package it runs; the compiled-in path is for a binary that is started by hand, and
    // would be stale in a checkout that has moved since.
    let package = env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.ancestors().nth(2).map_or_else(|| PathBuf::from("."), PathBuf::from)
}

/// `program` with `args`, to be run at the root.
pub fn command<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root()).stdin(Stdio::null());
    command
}

/// The Cargo that runs this chore, with `args` split at blanks.
pub fn cargo(args: &str) -> Command {
    command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), args.split_whitespace())
}

/// How `command` is typed, for messages.
pub fn shown(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args()).map(|word| word.to_string_lossy().into_owned());
    words.enumerate().map(|(i, word)| if i == 0 { file_name(&word) } else { word }).collect::<Vec<_>>().join(" ")
}

fn file_name(program: &str) -> String {
    PathBuf::from(program).file_name().map_or_else(|| program.to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Runs `command` with its output shown; `Err` says how it ended when that was not well.
pub fn run(mut command: Command) -> Result<(), String> {
    let status = command.status().map_err(|e| format!("`{}` did not start: {e}", shown(&command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", shown(&command))) }
}

/// Runs `command` with more arguments, and ends as it did.
pub fn pass_to(mut command: Command, arguments: &[String]) -> ExitCode {
    match command.args(arguments).status() {
        Ok(status) => ExitCode::from(status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(101)),
        Err(e) => {
            eprintln!("`{}` did not start: {e}", shown(&command));
            ExitCode::from(2)
        }
    }
}

/// The standard output of `command`, run quietly; `None` unless it went well.
pub fn output_of(mut command: Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a command printed while it was shown, and how it ended.
#[derive(Debug)]
pub struct Captured {
    pub ended: Result<(), String>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `command` with its output shown as it comes, and keeps that output.
pub fn run_captured(mut command: Command) -> Result<Captured, String> {
    let name = shown(&command);
    if io::stdout().is_terminal() && env::var_os("CARGO_TERM_COLOR").is_none() {
        // The child sees a pipe, the reader a terminal.
        command.env("CARGO_TERM_COLOR", "always");
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|e| format!("`{name}` did not start: {e}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // Both pipes are read at once: a child that fills the one nobody reads would wait forever.
    let (stdout, stderr) = thread::scope(|scope| {
        let errors = scope.spawn(|| pass_on(stderr, io::stderr()));
        (pass_on(stdout, io::stdout()), errors.join().unwrap_or_default())
    });
    let status = child.wait().map_err(|e| format!("`{name}` was lost: {e}"))?;
    let ended = if status.success() { Ok(()) } else { Err(format!("`{name}` ended with {status}")) };
    Ok(Captured { ended, stdout, stderr })
}

/// Copies `from` to `to` line by line until it ends, and returns all of it.
fn pass_on(from: Option<impl Read>, mut to: impl Write) -> String {
    let Some(from) = from else { return String::new() };
    let (mut from, mut kept, mut line) = (BufReader::new(from), String::new(), Vec::new());
    // A read error ends the copy as the end of the pipe does; the exit status tells whether all was well.
    while matches!(from.read_until(b'\n', &mut line), Ok(n) if n > 0) {
        // A closed terminal must not keep the child from finishing.
        let _ = to.write_all(&line).and_then(|()| to.flush());
        kept.push_str(&String::from_utf8_lossy(&line));
        line.clear();
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_cannot_start_is_an_error_with_its_name() {
        let error = run(command("no-such-program-here", ["--now"])).unwrap_err();
        assert!(error.starts_with("`no-such-program-here --now` did not start"), "{error}");
    }

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("Cargo.lock").is_file());
    }

    #[test]
    #[cfg(unix)]
    fn both_streams_and_the_exit_status_are_kept() {
        let captured = run_captured(command("sh", ["-c", "echo out; echo err >&2; exit 3"])).unwrap();
        assert_eq!((captured.stdout.as_str(), captured.stderr.as_str()), ("out\n", "err\n"));
        assert!(captured.ended.unwrap_err().contains('3'));
    }
}
