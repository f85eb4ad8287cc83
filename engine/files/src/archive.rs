//! Zip archives, as `.npz` and `.pt` are: reading within a budget, and writing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Read, Write};

use flate2::Compression;
use flate2::bufread::DeflateDecoder;
use flate2::write::DeflateEncoder;
use rawzip::extra_fields::ExtraFieldId;
use rawzip::{CompressionMethod, Header, ZipArchive, ZipArchiveEntryWayfinder, ZipArchiveWriter, ZipSliceArchive};
use taper::{Error, Result};

use crate::budget::Budget;

/// A zip file whose directory was read.
pub(crate) struct Archive<'a> {
    format: &'static str,
    bytes: &'a [u8],
    zip: ZipSliceArchive<&'a [u8]>,
    members: BTreeMap<String, Member>,
}

#[derive(Clone, Copy)]
struct Member {
    at: ZipArchiveEntryWayfinder,
    method: CompressionMethod,
}

impl<'a> Archive<'a> {
    /// Reads the directory.
    ///
    /// # Errors
    /// No zip file; names that are no text or come twice; members that overlap.
    pub fn open(format: &'static str, bytes: &'a [u8]) -> Result<Archive<'a>> {
        let wrong = |e: rawzip::Error| Error::format(format, format!("not a whole zip file: {e}"));
        let zip = ZipArchive::from_slice(bytes).map_err(wrong)?;
        let mut members = BTreeMap::new();
        let mut ranges = Vec::new();
        let mut entries = zip.entries();
        let mut count = 0;
        while let Some(entry) = entries.next_entry().map_err(wrong)? {
            count += 1;
            if entry.is_dir() {
                continue;
            }
            let (at, method) = (entry.wayfinder(), entry.compression_method());
            let path = entry.file_path();
            let name = std::str::from_utf8(path.as_bytes()).map_err(|_| Error::format(format, "a member's name is no text"))?;
            let (start, end) = zip.get_entry(at).map_err(wrong)?.compressed_data_range();
            if members.insert(name.to_string(), Member { at, method }).is_some() {
                return Err(Error::format(format, format!("there are two members '{name}'")));
            }
            if end > start {
                ranges.push((start, end));
            }
        }
        if count != zip.entries_hint() {
            return Err(Error::format(format, format!("the directory has {count} members instead of {}", zip.entries_hint())));
        }
        ranges.sort_unstable();
        if ranges.windows(2).any(|w| w[0].1 > w[1].0) {
            return Err(Error::format(format, "members overlap"));
        }
        Ok(Archive { format, bytes, zip, members })
    }

    /// The members' names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.keys().map(String::as_str)
    }

    /// A member's contents after its checksum was found right; what is decompressed is taken from the budget.
    ///
    /// # Errors
    /// There is no such member, it is damaged, compressed in another way than by deflate, or larger than the budget allows.
    pub fn read(&self, name: &str, budget: &mut Budget) -> Result<Cow<'a, [u8]>> {
        self.part(name, u64::MAX, budget)
    }

    /// As [`read`](Self::read), but only the first bytes, whose checksum cannot be known.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn head(&self, name: &str, most: u64, budget: &mut Budget) -> Result<Cow<'a, [u8]>> {
        self.part(name, most, budget)
    }

    fn part(&self, name: &str, most: u64, budget: &mut Budget) -> Result<Cow<'a, [u8]>> {
        let wrong = |why: String| Error::format(self.format, format!("{name}: {why}"));
        let member = self.members.get(name).ok_or_else(|| Error::format(self.format, format!("there is no member '{name}'")))?;
        let entry = self.zip.get_entry(member.at).map_err(|e| wrong(e.to_string()))?;
        let (claim, range) = (entry.claim_verifier(), entry.compressed_data_range());
        // The range was found in these bytes.
        let data: &'a [u8] = &self.bytes[range.0 as usize..range.1 as usize];
        let length = member.at.uncompressed_size_hint();
        let partly = most < length;
        match member.method {
            CompressionMethod::STORE => {
                if partly {
                    // `most` is below the length, which is compared with the data when all of it is read.
                    return Ok(Cow::Borrowed(&data[..data.len().min(most as usize)]));
                }
                let found = rawzip::crc32(data);
                if length != data.len() as u64 || found != claim.crc {
                    return Err(wrong(format!("damaged: the checksum is {found:08x}, it was {:08x}", claim.crc)));
                }
                Ok(Cow::Borrowed(data))
            }
            CompressionMethod::DEFLATE => {
                let take = length.min(most);
                budget.take(take)?;
                let mut out = Vec::new();
                // One byte more than was promised shows that there is more.
                let inflated = DeflateDecoder::new(data).take(if partly { take } else { take + 1 });
                let done = if partly {
                    let mut inflated = inflated;
                    inflated.read_to_end(&mut out)
                } else {
                    entry.verifying_reader(inflated).read_to_end(&mut out)
                };
                done.map_err(|e| wrong(format!("damaged: {e}")))?;
                if out.len() as u64 != take {
                    return Err(wrong(format!("damaged: {} bytes instead of {take}", out.len())));
                }
                Ok(Cow::Owned(out))
            }
            other => Err(wrong(format!("compressed by method {}; only stored and deflated members are read", other.as_u16()))),
        }
    }
}

impl std::fmt::Debug for Archive<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("members", &self.members.len()).finish_non_exhaustive()
    }
}

/// A new zip file.
pub(crate) struct ArchiveWriter {
    format: &'static str,
    zip: ZipArchiveWriter<Vec<u8>>,
}

/// A local header before the name.
const LOCAL_HEADER: u64 = 30;

impl ArchiveWriter {
    pub fn new(format: &'static str) -> ArchiveWriter {
        ArchiveWriter { format, zip: ZipArchiveWriter::new(Vec::new()) }
    }

    /// Adds a member whose bytes lie as they are, at a multiple of `align`.
    ///
    /// # Errors
    /// A name longer than zip files have.
    pub fn store(&mut self, name: &str, bytes: &[u8], align: u64) -> Result<()> {
        let format = self.format;
        // Padding as PyTorch writes it: an extra field `FB` full of Z, its own header being 4 bytes.
        let at = self.zip.stream_offset() + LOCAL_HEADER + name.len() as u64 + 4;
        let padding = vec![b'Z'; (at.next_multiple_of(align) - at) as usize];
        let mut file = self.zip.new_file(name);
        if align > 1 {
            file =
                file.extra_field(ExtraFieldId::new(u16::from_le_bytes(*b"FB")), &padding, Header::LOCAL).map_err(|e| refused(format, e))?;
        }
        let (mut entry, config) = file.start().map_err(|e| refused(format, e))?;
        let mut data = config.wrap(&mut entry);
        data.write_all(bytes).map_err(|e| refused(format, e))?;
        let (_, descriptor) = data.finish().map_err(|e| refused(format, e))?;
        entry.finish(descriptor).map_err(|e| refused(format, e))?;
        Ok(())
    }

    /// Adds a deflated member.
    ///
    /// # Errors
    /// A name longer than zip files have.
    pub fn deflate(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let format = self.format;
        let file = self.zip.new_file(name).compression_method(CompressionMethod::DEFLATE);
        let (mut entry, config) = file.start().map_err(|e| refused(format, e))?;
        let mut data = config.wrap(DeflateEncoder::new(&mut entry, Compression::default()));
        data.write_all(bytes).map_err(|e| refused(format, e))?;
        let (encoder, descriptor) = data.finish().map_err(|e| refused(format, e))?;
        encoder.finish().map_err(|e| refused(format, e))?;
        entry.finish(descriptor).map_err(|e| refused(format, e))?;
        Ok(())
    }

    /// The whole file.
    ///
    /// # Errors
    /// None in memory.
    pub fn finish(self) -> Result<Vec<u8>> {
        self.zip.finish().map_err(|e| refused(self.format, e))
    }
}

fn refused(format: &'static str, e: impl std::fmt::Display) -> Error {
    Error::format(format, e.to_string())
}
