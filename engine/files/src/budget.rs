//! How much memory a file may ask for.

use taper::{Error, Result};

/// What a reader may still allocate: four times the file and a little, so that a small file cannot ask for much.
#[derive(Debug)]
pub(crate) struct Budget {
    format: &'static str,
    whole: u64,
    left: u64,
}

impl Budget {
    /// Below the promised 64 MiB, as allocators and tables round up.
    const LITTLE: u64 = 48 << 20;

    pub fn new(format: &'static str, file: usize) -> Budget {
        let whole = (file as u64).saturating_mul(4).saturating_add(Self::LITTLE);
        Budget { format, whole, left: whole }
    }

    /// # Errors
    /// It is more than is left.
    pub fn take(&mut self, bytes: u64) -> Result<()> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            let whole = self.whole;
            Error::format(self.format, format!("the contents are more than {whole} bytes, which is too much for a file of this size"))
        })?;
        Ok(())
    }

    /// What was taken for a while only.
    pub fn give(&mut self, bytes: u64) {
        self.left = self.left.saturating_add(bytes).min(self.whole);
    }
}
