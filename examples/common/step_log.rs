//! What each training step cost, one JSON object a line.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use taper::{Device, Result, Tensor};

use super::fail;

/// Runs training steps, and writes what they did if a file is wanted.
#[derive(Debug)]
pub struct StepLog {
    device: Device,
    file: Option<(PathBuf, BufWriter<File>)>,
    step: usize,
}

impl StepLog {
    /// # Errors
    /// The file cannot be created.
    pub fn new(device: &Device, path: Option<&Path>) -> Result<StepLog> {
        let open = |p: &Path| Ok((p.to_path_buf(), BufWriter::new(File::create(p).map_err(fail(p))?)));
        Ok(StepLog { device: device.clone(), file: path.map(open).transpose()?, step: 0 })
    }

    /// Runs one step, which returns its loss and anything else, and reads the loss. The counts are of the step alone:
    /// from its first operation to the optimizer's submission, without reading the loss back.
    ///
    /// # Errors
    /// The step's, or the file's.
    pub fn step<T>(&mut self, step: impl FnOnce() -> Result<(Tensor, T)>) -> Result<(f64, T)> {
        let before = self.device.stats();
        let (loss, rest) = step()?;
        let after = self.device.stats();
        let loss = loss.item::<f64>()?;
        if let Some((path, file)) = &mut self.file {
            let line = json!({
                "step": self.step,
                "loss": loss,
                "dispatches": after.dispatches - before.dispatches,
                "submits": after.submits - before.submits,
                "pipelines_created": after.pipelines_created - before.pipelines_created,
                "plans_scheduled": after.plans_scheduled - before.plans_scheduled,
                "host_us": after.host_us - before.host_us,
            });
            writeln!(file, "{line}").map_err(fail(path))?;
        }
        self.step += 1;
        Ok((loss, rest))
    }

    /// Writes what is still buffered.
    ///
    /// # Errors
    /// The file's.
    pub fn finish(self) -> Result<()> {
        match self.file {
            Some((path, mut file)) => file.flush().map_err(fail(path)),
            None => Ok(()),
        }
    }
}
