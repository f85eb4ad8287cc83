//! Files as bytes: reading and writing paths is `taper_native`'s business.

pub mod checkpoint;

use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// The [safetensors](https://huggingface.co/docs/safetensors) format: named tensors, and nothing that can run.
pub mod safetensors {
    use std::borrow::Cow;
    use std::collections::{BTreeMap, HashMap};
    use std::ops::Range;

    use safetensors::tensor::{Dtype, SafeTensors, View};

    use super::{DType, Device, Error, Result, Tensor};
    use crate::nn::StateDict;

    const FORMAT: &str = "safetensors";

    /// Writes tensors and free text about them (`format`, `epoch`, ..).
    ///
    /// # Errors
    /// A tensor whose computation failed.
    pub fn serialize(tensors: &StateDict, metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
        let blobs = tensors.iter().map(|(name, t)| Ok((name.as_str(), Blob::new(t)?))).collect::<Result<Vec<_>>>()?;
        let metadata: Option<HashMap<String, String>> =
            (!metadata.is_empty()).then(|| metadata.iter().map(|(k, v)| (k.clone(), v.clone())).collect());
        ::safetensors::serialize(blobs, metadata).map_err(wrong)
    }

    /// Reads all tensors onto a device.
    ///
    /// # Errors
    /// Bytes that are not of this format; an element type Taper or the device does not have; out of memory.
    pub fn deserialize(bytes: &[u8], device: &Device) -> Result<StateDict> {
        let header = Header::parse(bytes)?;
        header.tensors.keys().map(|name| Ok((name.clone(), header.tensor(bytes, name, device)?))).collect()
    }

    /// Reads the free text only.
    ///
    /// # Errors
    /// Bytes that are not of this format.
    pub fn metadata(bytes: &[u8]) -> Result<BTreeMap<String, String>> {
        Ok(Header::parse(bytes)?.metadata)
    }

    /// What a file says of itself: with it, tensors are read one at a time, from a memory map say.
    ///
    /// ```
    /// use taper::io::safetensors::{self, Header};
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let device = Device::cpu();
    /// let state = taper::nn::Linear::new(4, 2, &device)?.state_dict();
    /// let bytes = safetensors::serialize(&state, &Default::default())?;
    /// let header = Header::parse(&bytes)?;
    /// assert_eq!(header.tensors["weight"].shape, [2, 4]);
    /// assert_eq!(header.tensor(&bytes, "bias", &device)?.shape(), [2]);
    /// # Ok(()) }
    /// ```
    #[derive(Debug, Clone, PartialEq)]
    pub struct Header {
        pub metadata: BTreeMap<String, String>,
        pub tensors: BTreeMap<String, Info>,
    }

    /// A tensor of a file.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Info {
        /// The element type as the file names it.
        pub stored: String,
        /// What it is read as; `None` where Taper has no such type.
        pub dtype: Option<DType>,
        pub shape: Vec<usize>,
        /// Where its elements lie in the file.
        pub bytes: Range<usize>,
    }

    impl Header {
        /// Reads the header of a whole file; no tensor is touched.
        ///
        /// # Errors
        /// Bytes that are not of this format: offsets that overlap, leave gaps or leave the file are not.
        pub fn parse(bytes: &[u8]) -> Result<Header> {
            // What is parsed takes up to 24 times its text: a header has to be small beside its file.
            let length = bytes.first_chunk::<8>().map_or(0, |n| u64::from_le_bytes(*n));
            if length > bytes.len() as u64 / 6 + (2 << 20) {
                return Err(Error::format(FORMAT, format!("a header of {length} bytes in a file of {}", bytes.len())));
            }
            let (length, header) = SafeTensors::read_metadata(bytes).map_err(wrong)?;
            let start = 8 + length;
            let tensor = |(name, info): (String, &::safetensors::tensor::TensorInfo)| {
                let (from, to) = info.data_offsets;
                let (stored, dtype) = (format!("{:?}", info.dtype), dtype_of(info.dtype));
                // Found to lie within the file.
                (name, Info { stored, dtype, shape: info.shape.clone(), bytes: start + from..start + to })
            };
            let metadata = header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
            Ok(Header { metadata, tensors: header.tensors().into_iter().map(tensor).collect() })
        }

        /// Reads one tensor of the file this header is of.
        ///
        /// # Errors
        /// There is none of this name; an element type Taper or the device does not have; out of memory; another file.
        pub fn tensor(&self, bytes: &[u8], name: &str, device: &Device) -> Result<Tensor> {
            let wrong = |why: &str| Error::format(FORMAT, format!("{name}{why}"));
            let info = self.tensors.get(name).ok_or_else(|| wrong(" is not in the file"))?;
            let dtype = info.dtype.ok_or_else(|| wrong(&format!(" has the unknown type {}", info.stored)))?;
            let data = bytes.get(info.bytes.clone()).ok_or_else(|| wrong(" lies outside the file"))?;
            Tensor::from_bytes(&to_native(data, dtype), dtype, &info.shape, device)
        }
    }

    fn wrong(e: ::safetensors::SafeTensorError) -> Error {
        Error::format(FORMAT, e.to_string())
    }

    struct Blob {
        dtype: Dtype,
        shape: Vec<usize>,
        bytes: Vec<u8>,
    }

    impl Blob {
        fn new(t: &Tensor) -> Result<Blob> {
            Ok(Blob { dtype: stored_as(t.dtype()), shape: t.shape().to_vec(), bytes: to_native(&t.to_bytes()?, t.dtype()).into_owned() })
        }
    }

    impl View for Blob {
        fn dtype(&self) -> Dtype {
            self.dtype
        }
        fn shape(&self) -> &[usize] {
            &self.shape
        }
        fn data(&self) -> Cow<'_, [u8]> {
            Cow::Borrowed(&self.bytes)
        }
        fn data_len(&self) -> usize {
            self.bytes.len()
        }
    }

    /// Little-endian bytes in native order, or the other way round.
    fn to_native(bytes: &[u8], dtype: DType) -> Cow<'_, [u8]> {
        if cfg!(target_endian = "little") {
            return Cow::Borrowed(bytes);
        }
        Cow::Owned(bytes.chunks_exact(dtype.size()).flat_map(|c| c.iter().rev().copied()).collect())
    }

    const TYPES: [(DType, Dtype); 13] = [
        (DType::Bool, Dtype::BOOL),
        (DType::U8, Dtype::U8),
        (DType::I8, Dtype::I8),
        (DType::U16, Dtype::U16),
        (DType::I16, Dtype::I16),
        (DType::U32, Dtype::U32),
        (DType::I32, Dtype::I32),
        (DType::U64, Dtype::U64),
        (DType::I64, Dtype::I64),
        (DType::F16, Dtype::F16),
        (DType::BF16, Dtype::BF16),
        (DType::F32, Dtype::F32),
        (DType::F64, Dtype::F64),
    ];

    fn dtype_of(stored: Dtype) -> Option<DType> {
        TYPES.iter().find(|(_, s)| *s == stored).map(|(d, _)| *d)
    }

    fn stored_as(dtype: DType) -> Dtype {
        // Every element type is in the table.
        TYPES.iter().find(|(d, _)| *d == dtype).map_or(Dtype::U8, |(_, s)| *s)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn every_type_comes_back_as_it_went() {
            let device = Device::cpu();
            let mut state = StateDict::new();
            for dtype in DType::ALL {
                let t = Tensor::from_vec(vec![0.0f32, 1.0, 1.0, 0.0, 1.0, 1.0], [2, 3], &device).unwrap();
                state.insert(format!("a.{dtype}"), t.to_dtype(dtype).unwrap());
            }
            state.insert("scalar".into(), Tensor::full([], 3i64, (DType::I64, &device)).unwrap());
            state.insert("empty".into(), Tensor::zeros([0, 4], &device).unwrap());
            let text = BTreeMap::from([("format".to_string(), "pt".to_string())]);
            let bytes = serialize(&state, &text).unwrap();
            assert_eq!(metadata(&bytes).unwrap(), text);
            let back = deserialize(&bytes, &device).unwrap();
            assert!(state.keys().eq(back.keys()));
            for (name, t) in &state {
                assert_eq!((t.dtype(), t.shape()), (back[name].dtype(), back[name].shape()), "{name}");
                assert_eq!(t.to_bytes().unwrap(), back[name].to_bytes().unwrap(), "{name}");
            }
        }

        #[test]
        fn broken_bytes_are_errors() {
            let state = StateDict::from([("x".to_string(), Tensor::ones([4], &Device::cpu()).unwrap())]);
            let bytes = serialize(&state, &BTreeMap::new()).unwrap();
            for n in 0..bytes.len() {
                assert!(deserialize(&bytes[..n], &Device::cpu()).is_err(), "{n} of {} bytes", bytes.len());
            }
        }
    }
}
