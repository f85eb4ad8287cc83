//! What can go wrong, as values: who complains, what was expected, what came.

use std::panic::Location;

/// `Result` with Taper's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure of the library. The text names the operator, what was expected and what came.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An argument does not fit: a shape, a dimension, a range, a missing value.
    #[error("{op}: {message}")]
    Argument { op: &'static str, message: String },
    /// An index or a class lies outside its dimension.
    #[error("{op}: {message}")]
    Index { op: &'static str, message: String },
    /// The element type does not fit the operator or the device.
    #[error("{op}: {message}")]
    DType { op: &'static str, message: String },
    /// Operands live on different devices, or a device does not exist.
    #[error("{op}: {message}")]
    Device { op: &'static str, message: String },
    /// Memory or the byte budget is exhausted. Nothing was computed.
    #[error("{device}: {message}")]
    OutOfMemory { device: String, message: String },
    /// The device is gone; its values are lost.
    #[error("{device}: the device was lost: {message}")]
    DeviceLost { device: String, message: String },
    /// A gradient was asked for that does not exist.
    #[error("{op}: {message}")]
    Autograd { op: &'static str, message: String },
    /// A file or a byte string does not follow its format.
    #[error("{format}: {message}")]
    Format { format: &'static str, message: String },
    /// The operating system refused.
    #[error("{path}: {message}")]
    Io { path: String, message: String },
    /// The device or the platform cannot do this.
    #[error("{op}: {message}")]
    Unsupported { op: &'static str, message: String },
    /// An error that was carried by a tensor, with the place that made it.
    #[error("{source} (in the tensor made at {file}:{line})")]
    Carried { source: Box<Error>, file: &'static str, line: u32 },
}

impl Error {
    pub fn argument(op: &'static str, message: impl Into<String>) -> Self {
        Error::Argument { op, message: message.into() }
    }
    pub fn index(op: &'static str, message: impl Into<String>) -> Self {
        Error::Index { op, message: message.into() }
    }
    pub fn dtype(op: &'static str, message: impl Into<String>) -> Self {
        Error::DType { op, message: message.into() }
    }
    pub fn device(op: &'static str, message: impl Into<String>) -> Self {
        Error::Device { op, message: message.into() }
    }
    pub fn autograd(op: &'static str, message: impl Into<String>) -> Self {
        Error::Autograd { op, message: message.into() }
    }
    pub fn format(format: &'static str, message: impl Into<String>) -> Self {
        Error::Format { format, message: message.into() }
    }
    pub fn unsupported(op: &'static str, message: impl Into<String>) -> Self {
        Error::Unsupported { op, message: message.into() }
    }

    /// The same error with the place of the tensor that carries it; an error that names one keeps it.
    pub(crate) fn carried(self, at: &'static Location<'static>) -> Self {
        match self {
            Error::Carried { .. } => self,
            other => Error::Carried { source: Box::new(other), file: at.file(), line: at.line() },
        }
    }

    /// The error underneath, without the place of the tensor that carried it.
    pub fn root(&self) -> &Error {
        match self {
            Error::Carried { source, .. } => source.root(),
            other => other,
        }
    }
}
