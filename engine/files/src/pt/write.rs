//! Files as `torch.save` writes them: a zip file with a pickle of protocol 2, and the storages at multiples of 64 bytes.

use std::collections::BTreeMap;

use taper::nn::StateDict;
use taper::{DType, Error, Result, Tensor};

use super::globals::TYPES;
use super::{FORMAT, Value};
use crate::archive::ArchiveWriter;
use crate::element;

/// Writes values and tensors for `torch.load`, `weights_only` or not. Tensors that are one view of one storage stay so,
/// as tied weights are; any others have a storage each.
///
/// u16, u32 and u64 tensors need PyTorch 2.3 or newer.
///
/// # Errors
/// A tensor whose computation failed; values nested more than 128 deep; text of more than 4 GiB.
pub fn write(value: &Value) -> Result<Vec<u8>> {
    let mut pickle = Pickle::default();
    pickle.code.extend([0x80, 2]);
    pickle.value(value, 0)?;
    pickle.code.push(b'.');
    let mut archive = ArchiveWriter::new(FORMAT);
    archive.store("archive/data.pkl", &pickle.code, ALIGN)?;
    archive.store("archive/byteorder", b"little", ALIGN)?;
    for (key, tensor) in pickle.storages.iter().enumerate() {
        archive.store(&format!("archive/data/{key}"), &element::little(tensor)?, ALIGN)?;
    }
    archive.store("archive/version", b"3\n", ALIGN)?;
    archive.finish()
}

/// Writes a state dict, as `torch.save(model.state_dict(), path)`.
///
/// # Errors
/// As [`write`].
pub fn write_state_dict(tensors: &StateDict) -> Result<Vec<u8>> {
    let entry = |(name, t): (&String, &Tensor)| (Value::Str(name.clone()), Value::Tensor(t.clone()));
    write(&Value::OrderedDict(tensors.iter().map(entry).collect()))
}

const ALIGN: u64 = 64;
const MAX_DEPTH: usize = 128;

#[derive(Default)]
struct Pickle {
    code: Vec<u8>,
    /// One tensor for each storage; the number is its key.
    storages: Vec<Tensor>,
    /// The storages of one shape: only these can be the same view.
    alike: BTreeMap<Vec<usize>, Vec<usize>>,
}

impl Pickle {
    fn value(&mut self, value: &Value, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(Error::argument(FORMAT, format!("values are nested more than {MAX_DEPTH} deep")));
        }
        match value {
            Value::None => self.code.push(b'N'),
            Value::Bool(b) => self.bool(*b),
            Value::Int(i) => self.int(*i),
            Value::Float(f) => {
                self.code.push(b'G');
                self.code.extend(f.to_be_bytes());
            }
            Value::Str(s) => self.text(s)?,
            Value::Bytes(bytes) => {
                self.global("_codecs", "encode");
                self.text(&bytes.iter().map(|&b| char::from(b)).collect::<String>())?;
                self.text("latin1")?;
                self.code.extend([0x86, b'R']);
            }
            Value::List(elements) => {
                self.code.extend(*b"](");
                for element in elements {
                    self.value(element, depth + 1)?;
                }
                self.code.push(b'e');
            }
            Value::Tuple(elements) => {
                self.code.push(b'(');
                for element in elements {
                    self.value(element, depth + 1)?;
                }
                self.code.push(b't');
            }
            Value::Dict(entries) => {
                self.code.push(b'}');
                self.entries(entries, depth)?;
            }
            Value::OrderedDict(entries) => {
                self.ordered();
                self.entries(entries, depth)?;
            }
            Value::Tensor(t) => self.tensor(t, t.is_leaf() && t.requires_grad())?,
            Value::Parameter(t) => {
                self.global("torch._utils", "_rebuild_parameter");
                self.tensor(t, false)?;
                self.bool(t.requires_grad());
                self.ordered();
                self.code.extend([0x87, b'R']);
            }
            Value::Size(sizes) => {
                self.global("torch", "Size");
                self.sizes(sizes.iter().copied());
                self.code.extend([0x85, b'R']);
            }
            Value::DType(dtype) => self.global("torch", spelt(*dtype).0),
            Value::Device(device) => {
                self.global("torch", "device");
                match device.split_once(':').and_then(|(kind, index)| Some((kind, index.parse().ok()?))) {
                    Some((kind, index)) => {
                        self.text(kind)?;
                        self.int(index);
                        self.code.extend([0x86, b'R']);
                    }
                    None => {
                        self.text(device)?;
                        self.code.extend([0x85, b'R']);
                    }
                }
            }
        }
        Ok(())
    }

    fn entries(&mut self, entries: &[(Value, Value)], depth: usize) -> Result<()> {
        self.code.push(b'(');
        for (key, value) in entries {
            self.value(key, depth + 1)?;
            self.value(value, depth + 1)?;
        }
        self.code.push(b'u');
        Ok(())
    }

    fn tensor(&mut self, t: &Tensor, requires_grad: bool) -> Result<()> {
        let (dtype, storage) = spelt(t.dtype());
        self.global("torch._utils", if storage.is_some() { "_rebuild_tensor_v2" } else { "_rebuild_tensor_v3" });
        self.code.push(b'(');
        let key = self.storage(t)?;
        self.code.push(b'(');
        self.text("storage")?;
        match storage {
            Some(class) => self.global("torch", class),
            None => self.global("torch.storage", "UntypedStorage"),
        }
        self.text(&key.to_string())?;
        self.text("cpu")?;
        self.size(if storage.is_some() { t.numel() } else { t.numel() * t.dtype().size() });
        self.code.extend(*b"tQ");
        self.int(0);
        self.sizes(t.shape().iter().copied());
        let mut strides: Vec<usize> = t.shape().iter().rev().scan(1, |n, &d| Some(std::mem::replace(n, *n * d.max(1)))).collect();
        strides.reverse();
        self.sizes(strides.into_iter());
        self.bool(requires_grad);
        self.ordered();
        if storage.is_none() {
            self.global("torch", dtype);
        }
        self.code.extend(*b"tR");
        Ok(())
    }

    /// The key of a tensor's storage: a new one, unless this very view was there before.
    fn storage(&mut self, t: &Tensor) -> Result<usize> {
        let alike = self.alike.entry(t.shape().to_vec()).or_default();
        for &key in alike.iter() {
            // The table has as many as were given out.
            if self.storages[key].same_view(t)? {
                return Ok(key);
            }
        }
        alike.push(self.storages.len());
        self.storages.push(t.clone());
        Ok(self.storages.len() - 1)
    }

    fn bool(&mut self, b: bool) {
        self.code.push(if b { 0x88 } else { 0x89 });
    }

    fn int(&mut self, i: i64) {
        if let Ok(b) = u8::try_from(i) {
            self.code.extend([b'K', b]);
        } else if let Ok(v) = i32::try_from(i) {
            self.code.push(b'J');
            self.code.extend(v.to_le_bytes());
        } else {
            self.code.extend([0x8a, 8]);
            self.code.extend(i.to_le_bytes());
        }
    }

    fn size(&mut self, n: usize) {
        // No tensor has more.
        self.int(i64::try_from(n).unwrap_or(i64::MAX));
    }

    fn sizes(&mut self, sizes: impl Iterator<Item = usize>) {
        self.code.push(b'(');
        for n in sizes {
            self.size(n);
        }
        self.code.push(b't');
    }

    fn text(&mut self, text: &str) -> Result<()> {
        let n = u32::try_from(text.len()).map_err(|_| Error::argument(FORMAT, "a text of more than 4 GiB"))?;
        self.code.push(b'X');
        self.code.extend(n.to_le_bytes());
        self.code.extend(text.as_bytes());
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) {
        self.code.extend(format!("c{module}\n{name}\n").into_bytes());
    }

    /// An empty `OrderedDict`.
    fn ordered(&mut self) {
        self.global("collections", "OrderedDict");
        self.code.extend(*b")R");
    }
}

/// PyTorch's names of a type and of its storage.
fn spelt(dtype: DType) -> (&'static str, Option<&'static str>) {
    // Every type is in the table.
    TYPES.iter().find(|(d, ..)| *d == dtype).map_or(("uint8", None), |(_, name, storage)| (name, *storage))
}
