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
        let file = SafeTensors::deserialize(bytes).map_err(wrong)?;
        let read = |(name, view): (String, ::safetensors::tensor::TensorView<'_>)| {
            let dtype =
                dtype_of(view.dtype()).ok_or_else(|| Error::format(FORMAT, format!("{name} has the unknown type {:?}", view.dtype())))?;
            let tensor = Tensor::from_bytes(&to_native(view.data(), dtype), dtype, view.shape(), device)?;
            Ok((name, tensor))
        };
        file.tensors().into_iter().map(read).collect()
    }

    /// Reads the free text only.
    ///
    /// # Errors
    /// Bytes that are not of this format.
    pub fn metadata(bytes: &[u8]) -> Result<BTreeMap<String, String>> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(wrong)?;
        Ok(header.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect())
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
