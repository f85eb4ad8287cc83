//! The peer's side of the benchmark's protocol: lines `NAME SECONDS` come in, and for each goes out a line with the
//! seconds that repetitions took, or `-`.

use std::collections::HashMap;
use std::io::{BufRead, Write, stdin, stdout};
use std::time::{Duration, Instant};

/// One repetition, complete when it returns.
pub type Run = Box<dyn FnMut()>;

/// Samples shorter than this are made of several repetitions, as in Taper's own timer.
const SAMPLE: Duration = Duration::from_micros(200);
const WARM: Duration = Duration::from_millis(200);

struct Runner {
    run: Run,
    repeat: usize,
}

impl Runner {
    fn new(run: Run) -> Runner {
        let mut runner = Runner { run, repeat: 1 };
        let start = Instant::now();
        let (mut count, mut last) = (0, 0.0);
        while count < 3 || (start.elapsed() < WARM && count < 10_000) {
            last = runner.sample();
            count += 1;
        }
        runner.repeat = (SAMPLE.as_secs_f64() / last.max(1e-9)).ceil().clamp(1.0, 1e5) as usize;
        runner
    }

    fn sample(&mut self) -> f64 {
        let start = Instant::now();
        (0..self.repeat).for_each(|_| (self.run)());
        start.elapsed().as_secs_f64() / self.repeat as f64
    }
}

/// Answers until the benchmark closes the pipe. `make` gives a workload's repetition, or `None` if the peer lacks it.
pub fn serve(make: impl Fn(&str) -> Option<Run>) {
    let mut last: HashMap<String, Option<Runner>> = HashMap::new();
    for line in stdin().lock().lines() {
        let Ok(line) = line else { return };
        let Some((name, seconds)) = line.split_once(' ') else { continue };
        let Ok(seconds) = seconds.trim().parse::<f64>() else { continue };
        if !last.contains_key(name) {
            // One workload's data at a time.
            last.clear();
            last.insert(name.to_owned(), make(name).map(Runner::new));
        }
        let mut answer = String::new();
        if let Some(Some(runner)) = last.get_mut(name) {
            let (start, mut count) = (Instant::now(), 0);
            while count < 3 || start.elapsed().as_secs_f64() < seconds {
                answer += &format!("{:e} ", runner.sample());
                count += 1;
            }
        }
        let mut out = stdout().lock();
        if writeln!(out, "{}", if answer.is_empty() { "-" } else { answer.trim_end() }).and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}
