//! What flows along the edges of a graph.

use std::sync::{Arc, Mutex, PoisonError};

use taper::{DType, Device, Error, Result, Scalar, Tensor};

use crate::element::Elem;
use crate::host::Host;

/// A tensor, a sequence of values, or an optional that is empty (one that is not is its content).
///
/// ```
/// # use taper::prelude::*; use taper_onnx::Value; fn main() -> taper::Result<()> {
/// let pair = Value::Sequence(vec![Tensor::new([1.0], &Device::cpu())?.into(), Value::None]);
/// assert_eq!(pair.sequence()?.len(), 2);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub enum Value {
    /// Numbers.
    Tensor(Array),
    /// Any number of values.
    Sequence(Vec<Value>),
    /// An optional without content.
    None,
}

/// Numbers of one [`Elem`]ent type: on a device, or few of them, known, on the host.
///
/// ```
/// # use taper::prelude::*; use taper_onnx::Array; fn main() -> taper::Result<()> {
/// let array = Array::from(Tensor::new([[1.0, 2.0]], &Device::cpu())?);
/// assert_eq!((array.shape(), array.dtype()), (&[1, 2][..], DType::F32));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Array {
    elem: Elem,
    repr: Repr,
}

#[derive(Debug, Clone)]
enum Repr {
    Tensor(Tensor),
    Known(Arc<Known>),
}

/// Numbers that were there before anything ran, and the tensor they became on the device that last needed one.
#[derive(Debug)]
struct Known {
    source: Source,
    tensor: Mutex<Option<Tensor>>,
}

#[derive(Debug)]
enum Source {
    Host(Host),
    /// On the CPU.
    Stored(Tensor),
}

impl From<Tensor> for Value {
    fn from(tensor: Tensor) -> Value {
        Value::Tensor(tensor.into())
    }
}

impl From<&Tensor> for Value {
    fn from(tensor: &Tensor) -> Value {
        tensor.clone().into()
    }
}

impl From<Host> for Value {
    fn from(host: Host) -> Value {
        Value::Tensor(host.into())
    }
}

impl From<Array> for Value {
    fn from(array: Array) -> Value {
        Value::Tensor(array)
    }
}

impl From<Tensor> for Array {
    fn from(tensor: Tensor) -> Array {
        Array { elem: tensor.dtype().into(), repr: Repr::Tensor(tensor) }
    }
}

impl From<Host> for Array {
    fn from(host: Host) -> Array {
        Array { elem: host.dtype.into(), repr: Repr::Known(Arc::new(Known { source: Source::Host(host), tensor: Mutex::new(None) })) }
    }
}

impl Value {
    /// The tensor, on `device`.
    ///
    /// # Errors
    /// A sequence or an empty optional; the device cannot hold it.
    ///
    /// ```
    /// # use taper::prelude::*; use taper_onnx::Value; fn main() -> taper::Result<()> {
    /// let value = Value::from(Tensor::new([1.0, 2.0], &Device::cpu())?);
    /// assert_eq!(value.tensor(&Device::cpu())?.to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok(()) }
    /// ```
    pub fn tensor(&self, device: &Device) -> Result<Tensor> {
        self.array()?.tensor(device)
    }

    /// The numbers.
    ///
    /// ```
    /// assert!(taper_onnx::Value::None.array().is_err());
    /// ```
    ///
    /// # Errors
    /// A sequence or an empty optional.
    pub fn array(&self) -> Result<&Array> {
        match self {
            Value::Tensor(array) => Ok(array),
            Value::Sequence(_) => Err(Error::argument("onnx", "expected a tensor, found a sequence")),
            Value::None => Err(Error::argument("onnx", "expected a tensor, found an empty optional")),
        }
    }

    /// The values of a sequence.
    ///
    /// ```
    /// assert!(taper_onnx::Value::Sequence(vec![]).sequence().unwrap().is_empty());
    /// ```
    ///
    /// # Errors
    /// It is none.
    pub fn sequence(&self) -> Result<&[Value]> {
        match self {
            Value::Sequence(values) => Ok(values),
            _ => Err(Error::argument("onnx", "expected a sequence")),
        }
    }
}

impl Array {
    /// Values of `elem` in the tensor type that holds them.
    ///
    /// ```
    /// # use taper::prelude::*; use taper_onnx::{Array, Elem, Narrow}; fn main() -> taper::Result<()> {
    /// let codes = Tensor::new([-8, 7], (DType::I8, &Device::cpu()))?;
    /// assert_eq!(Array::new(Elem::Narrow(Narrow::I4), codes)?.elem(), Elem::Narrow(Narrow::I4));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The tensor is of another type than [`Elem::storage`].
    pub fn new(elem: Elem, tensor: Tensor) -> Result<Array> {
        if tensor.dtype() != elem.storage() {
            return Err(Error::dtype("onnx", format!("{elem} is held in {}, not in {}", elem.storage(), tensor.dtype())));
        }
        Ok(Array { elem, repr: Repr::Tensor(tensor) })
    }

    /// The element type.
    pub fn elem(&self) -> Elem {
        self.elem
    }

    /// The type of the tensor.
    pub fn dtype(&self) -> DType {
        self.elem.storage()
    }

    /// The sizes of its dimensions.
    pub fn shape(&self) -> &[usize] {
        match &self.repr {
            Repr::Tensor(t) => t.shape(),
            Repr::Known(known) => match &known.source {
                Source::Host(host) => &host.shape,
                Source::Stored(t) => t.shape(),
            },
        }
    }

    /// The numbers, if the host knows them without asking a device.
    pub(crate) fn known(&self) -> Option<&Host> {
        match &self.repr {
            Repr::Tensor(_) => None,
            Repr::Known(known) => match &known.source {
                Source::Host(host) => Some(host),
                Source::Stored(_) => None,
            },
        }
    }

    /// The number, if the host knows it and it is one.
    pub(crate) fn scalar(&self) -> Option<Scalar> {
        self.known().filter(|h| h.shape.is_empty()).and_then(|h| h.scalar(0))
    }

    /// The numbers on `device`.
    ///
    /// ```
    /// # use taper::prelude::*; use taper_onnx::Array; fn main() -> taper::Result<()> {
    /// let array = Array::from(Tensor::new([3.0], &Device::cpu())?);
    /// assert_eq!(array.tensor(&Device::cpu())?.item::<f32>()?, 3.0);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The device cannot hold them.
    pub fn tensor(&self, device: &Device) -> Result<Tensor> {
        match &self.repr {
            Repr::Tensor(t) if t.device() == device => Ok(t.clone()),
            Repr::Tensor(t) => t.to(device),
            Repr::Known(known) => {
                let mut made = known.tensor.lock().unwrap_or_else(PoisonError::into_inner);
                match made.as_ref().filter(|t| t.device() == device) {
                    Some(t) => Ok(t.clone()),
                    None => {
                        let t = match &known.source {
                            Source::Host(host) => host.tensor(device)?,
                            Source::Stored(t) if t.device() == device => t.clone(),
                            Source::Stored(t) => t.to(device)?,
                        };
                        Ok(made.insert(t).clone())
                    }
                }
            }
        }
    }

    /// The numbers on the host: at once where they are known, else when the device has computed them.
    ///
    /// # Errors
    /// What the device says.
    pub(crate) fn host(&self) -> Result<Host> {
        match &self.repr {
            Repr::Tensor(t) => Host::read(t),
            Repr::Known(known) => match &known.source {
                Source::Host(host) => Ok(host.clone()),
                Source::Stored(t) => Host::read(t),
            },
        }
    }

    /// Numbers on the CPU that are uploaded once to the device that needs them.
    pub(crate) fn stored(elem: Elem, tensor: Tensor) -> Result<Array> {
        Array::new(elem, tensor.clone())?;
        Ok(Array { elem, repr: Repr::Known(Arc::new(Known { source: Source::Stored(tensor), tensor: Mutex::new(None) })) })
    }

    /// The same numbers as another element type with the same storage.
    pub(crate) fn marked(self, elem: Elem) -> Array {
        if self.elem.storage() == elem.storage() { Array { elem, ..self } } else { self }
    }
}
