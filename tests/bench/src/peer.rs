//! Other libraries, each a program of its own that is asked for one workload at a time.
//!
//! The program reads lines `NAME SECONDS` and answers each with one line: the seconds that repetitions took, apart by
//! blanks, or `-` if it does not have the workload. It answers the first question about a workload when it is warm.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::timer::Samples;

/// The libraries of tests/peers: what each is called, its package there, and its program's arguments.
const LIBRARIES: [(&str, &str, &[&str]); 1] = [("candle", "candle-peer", &[])];

/// Builds the libraries, if they are wanted, and starts them; and PyTorch with them, if there is a Python for it.
///
/// # Errors
/// One cannot be built or started.
pub fn start(libraries: bool, python: Option<&Path>) -> Result<Vec<Peer>, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers");
    let target = folder.join("target");
    let mut peers = Vec::new();
    for (name, package, args) in LIBRARIES.into_iter().filter(|_| libraries) {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        // A target folder of their own, whatever the environment says: what is built there is started from there.
        cargo.current_dir(&folder).args(["build", "--release", "--package", package, "--target-dir"]).arg(&target);
        match cargo.status() {
            Ok(status) if status.success() => {}
            Ok(status) => return Err(format!("building {package} ended with {status}")),
            Err(e) => return Err(format!("cargo: {e}")),
        }
        peers.push(Peer::start(name, Command::new(target.join("release").join(package)).args(args))?);
    }
    if let Some(python) = python {
        peers.push(Peer::start("torch", Command::new(python).arg(folder.join("torch_peer.py")))?);
    }
    Ok(peers)
}

#[derive(Debug)]
pub struct Peer {
    pub name: String,
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    fn start(name: &str, command: &mut Command) -> Result<Peer, String> {
        let failed = |e: &dyn std::fmt::Display| format!("peer {name}: {e}");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|e| failed(&e))?;
        let (Some(questions), Some(answers)) = (child.stdin.take(), child.stdout.take()) else { return Err(failed(&"no pipes")) };
        Ok(Peer { name: name.to_owned(), child, questions, answers: BufReader::new(answers) })
    }

    /// Samples of about `seconds`; nothing is added if the peer lacks the workload.
    ///
    /// # Errors
    /// It has ended, or says something else.
    pub fn measure(&mut self, workload: &str, seconds: f64, into: &mut Samples) -> Result<(), String> {
        let mut line = String::new();
        let asked = writeln!(self.questions, "{workload} {seconds}").and_then(|()| self.questions.flush());
        let read = asked.and_then(|()| self.answers.read_line(&mut line));
        match (read, line.trim()) {
            (Err(e), _) => Err(format!("peer {}, {workload}: {e}", self.name)),
            (Ok(0), _) => Err(format!("peer {}, {workload}: its program has ended", self.name)),
            (Ok(_), "-") => Ok(()),
            (Ok(_), answer) => {
                let samples: Result<Vec<f64>, _> = answer.split_whitespace().map(str::parse).collect();
                into.0.extend(samples.map_err(|e| format!("peer {}, {workload}: {e}: {answer}", self.name))?);
                Ok(())
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn answering(script: &str) -> Result<(Vec<f64>, Vec<f64>), String> {
        let mut peer = Peer::start("sh", Command::new("sh").args(["-c", script]))?;
        let (mut first, mut second) = (Samples::default(), Samples::default());
        peer.measure("a", 0.1, &mut first)?;
        peer.measure("b", 0.1, &mut second)?;
        Ok((first.0, second.0))
    }

    #[test]
    fn answers_are_samples_or_a_dash() {
        assert_eq!(answering("read l; echo 1e-3 2; read l; echo -"), Ok((vec![1e-3, 2.0], vec![])));
    }

    #[test]
    fn a_peer_that_ends_or_babbles_is_an_error() {
        assert!(answering("read l; echo 1").unwrap_err().contains("sh, b"));
        assert!(answering("read l; echo fast; read l").unwrap_err().contains("fast"));
    }
}
