//! Other libraries, each a program of its own that is asked for one workload at a time.
//!
//! The program reads lines `NAME SECONDS` and answers each with one line: the seconds that repetitions took, apart by
//! blanks, or `-` if it does not have the workload. It answers the first question about a workload when it is warm.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::str::FromStr;

use crate::timer::Samples;

/// `NAME=COMMAND`, the command's words apart by blanks.
#[derive(Debug, Clone)]
pub struct PeerCommand {
    pub name: String,
    words: Vec<String>,
}

impl FromStr for PeerCommand {
    type Err = String;

    fn from_str(s: &str) -> Result<PeerCommand, String> {
        let (name, command) = s.split_once('=').ok_or("a peer is NAME=COMMAND")?;
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() { Err("a peer is NAME=COMMAND".into()) } else { Ok(PeerCommand { name: name.to_owned(), words }) }
    }
}

#[derive(Debug)]
pub struct Peer {
    pub name: String,
    child: Child,
    questions: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    pub fn start(command: &PeerCommand) -> Result<Peer, String> {
        let failed = |e: &dyn std::fmt::Display| format!("peer {}: {e}", command.name);
        let mut child = Command::new(&command.words[0])
            .args(&command.words[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| failed(&e))?;
        let (Some(questions), Some(answers)) = (child.stdin.take(), child.stdout.take()) else { return Err(failed(&"no pipes")) };
        Ok(Peer { name: command.name.clone(), child, questions, answers: BufReader::new(answers) })
    }

    /// Samples of about `seconds`; nothing is added if the peer lacks the workload or has ended.
    pub fn measure(&mut self, workload: &str, seconds: f64, into: &mut Samples) {
        let mut line = String::new();
        let asked = writeln!(self.questions, "{workload} {seconds}").and_then(|()| self.questions.flush());
        if asked.and_then(|()| self.answers.read_line(&mut line)).is_ok() {
            into.0.extend(line.split_whitespace().filter_map(|word| word.parse::<f64>().ok()));
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
