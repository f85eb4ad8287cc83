//! `taper verify`: every byte of a model file is looked at.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use taper::io::checkpoint::Checkpoint;
use taper::{Device, Error};
use taper_files::Format;
use taper_native::Weights;

use super::{Failure, bar, bytes, plain, print};

pub fn run(file: &Path) -> Result<ExitCode, Failure> {
    // Bounds, overlaps and shapes: a file that does not open has them wrong.
    let weights = Weights::open(file)?;
    let total = weights.entries().map(|e| e.bytes).fold(0, u64::saturating_add);
    let bar = bar("verifying", total);
    let (mut read, mut unread, mut done) = (0, Vec::new(), 0);
    if weights.is_indexed() {
        for entry in weights.entries() {
            if entry.dtype.is_some() {
                // Elements that cannot be what they are said to be: a bool of 2.
                weights.tensor(&entry.name, &Device::cpu())?;
                read += 1;
            } else {
                unread.push(format!("{} ({})", entry.name, entry.stored));
            }
            done += entry.bytes;
            bar.set_position(done);
        }
    } else {
        read = weights.tensors_with(&Device::cpu(), &mut |n| bar.set_position(n))?.len();
    }
    bar.finish_and_clear();
    let is_checkpoint = weights.format() == Some(Format::Safetensors) && weights.metadata().contains_key("taper");
    let sums = match weights.format() {
        _ if is_checkpoint => {
            let contents = fs::read(file).map_err(|e| Error::Io { path: file.display().to_string(), message: e.to_string() })?;
            Checkpoint::from_bytes(&contents, &Device::cpu())?;
            "the checkpoint's checksum is right"
        }
        Some(Format::Npz) => "every member's CRC-32 is right",
        Some(Format::Pt) if weights.files().all(is_zip) => "every storage's CRC-32 is right",
        _ => "the format has no checksums",
    };
    let mut out = format!("{}: {read} tensors, {}: in bounds, apart, readable; {sums}\n", plain(&file.display().to_string()), bytes(total));
    if !unread.is_empty() {
        out += &format!("of types that are not read: {}\n", plain(&unread.join(", ")));
    }
    Ok(print(&out))
}

fn is_zip(file: &Path) -> bool {
    let mut head = [0; 2];
    fs::File::open(file).and_then(|mut f| std::io::Read::read_exact(&mut f, &mut head)).is_ok() && &head == b"PK"
}
