//! Modules: layers with parameters, and structs made of them.
//!
//! A module is any struct whose fields are parameters, buffers and other modules. `#[derive(Module)]` finds
//! them; the forward pass is an ordinary method.
//!
//! ```
//! use taper::nn::{Linear, Module};
//! use taper::prelude::*;
//!
//! #[derive(Module)]
//! struct Mlp {
//!     fc1: Linear,
//!     fc2: Linear,
//! }
//!
//! impl Mlp {
//!     fn forward(&self, x: &Tensor) -> Result<Tensor> {
//!         self.fc2.forward(&self.fc1.forward(x)?.relu()?)
//!     }
//! }
//!
//! # fn main() -> Result<()> {
//! let device = Device::cpu();
//! let model = Mlp { fc1: Linear::new(4, 8, &device)?, fc2: Linear::new(8, 2, &device)? };
//! assert_eq!(model.num_parameters(), 4 * 8 + 8 + 8 * 2 + 2);
//! assert!(model.state_dict().contains_key("fc1.weight"));
//! # Ok(()) }
//! ```

mod activation;
mod attention;
mod containers;
mod conv;
mod copy;
mod depthwise;
#[doc(hidden)]
pub mod derive;
mod dropout;
mod embedding;
mod embedding_bag;
mod eval_scope;
mod experts;
mod field;
mod flops;
mod functional_call;
mod gated;
mod heads;
mod hooked;
pub mod init;
mod instance;
#[cfg(test)]
mod layer_traps;
mod lazy;
mod linear;
mod loss;
mod losses;
mod module;
#[cfg(test)]
mod module_traps;
mod norm;
mod pad;
mod param;
mod parametrize;
mod pool;
mod position;
mod recurrent;
mod registry;
mod resample;
mod sequential;
mod similarity;
mod sizes;
mod summary;
#[cfg(test)]
mod system_tests;
#[cfg(test)]
mod tests;
mod transformer;
#[cfg(test)]
mod traps;

pub use activation::{
    CELU, ELU, GELU, GLU, Hardshrink, Hardsigmoid, Hardswish, Hardtanh, Identity, LeakyReLU, LogSigmoid, LogSoftmax, Mish, PReLU, RReLU,
    ReLU, ReLU6, SELU, SiLU, Sigmoid, Softmax, Softmax2d, Softmin, Softplus, Softshrink, Softsign, Tanh, Tanhshrink, Threshold,
};
pub use attention::{Masks, MultiheadAttention, MultiheadAttentionBuilder, Weights};
pub use containers::{ModuleDict, ModuleList, Named, ParameterDict, ParameterList};
pub use conv::{Conv, Conv1d, Conv2d, Conv3d, ConvBuilder, PaddingMode};
pub use conv::{ConvTranspose, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, ConvTransposeBuilder};
pub use conv::{LazyConv1d, LazyConv2d, LazyConv3d, LazyConvTranspose1d, LazyConvTranspose2d, LazyConvTranspose3d};
pub use copy::{Copies, CopyLayer, Pointee};
pub use depthwise::DepthwiseConv2d;
pub use dropout::{AlphaDropout, Dropout, Dropout1d, Dropout2d, Dropout3d, FeatureAlphaDropout};
pub use dropout::{alpha_dropout, dropout, dropout1d, dropout2d, dropout3d, feature_alpha_dropout};
pub use embedding::Embedding;
pub use embedding_bag::EmbeddingBag;
pub use eval_scope::eval_scope;
pub use experts::MixtureOfExperts;
pub use field::Field;
pub use flops::flops;
pub(crate) use flops::note;
pub use functional_call::functional_call;
pub use gated::{GatedLinearUnit, GroupedQueryAttention, SwiGLU, Swish};
pub use heads::{AdaptiveLogSoftmaxWithLoss, Cluster, LinearCrossEntropyLoss, Projection};
pub use hooked::{Hooked, LayerHook};
pub use instance::{InstanceNorm, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d, InstanceNormBuilder};
pub use lazy::{Lazy, LazyLinear};
pub use linear::{Flatten, Linear};
pub use loss::{CrossEntropyLoss, MSELoss};
pub use losses::{
    BCELoss, BCEWithLogitsLoss, CTCLoss, CosineEmbeddingLoss, GaussianNLLLoss, HingeEmbeddingLoss, HuberLoss, KLDivLoss, L1Loss,
    MarginRankingLoss, MultiLabelMarginLoss, MultiLabelSoftMarginLoss, MultiMarginLoss, NLLLoss, PoissonNLLLoss, SmoothL1Loss,
    SoftMarginLoss, TripletMarginLoss, TripletMarginWithDistanceLoss,
};
pub use module::{Layer, LoadReport, Member, MemberMut, Module, StateDict};
pub use norm::{BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d, BatchNormBuilder, GroupNorm, LayerNorm, RMSNorm};
pub use pad::{Amounts, CircularPad, ConstantPad, ReflectionPad, ReplicationPad, ZeroPad};
pub use pad::{CircularPad1d, CircularPad2d, CircularPad3d, ConstantPad1d, ConstantPad2d, ConstantPad3d, ZeroPad1d, ZeroPad2d, ZeroPad3d};
pub use pad::{ReflectionPad1d, ReflectionPad2d, ReflectionPad3d, ReplicationPad1d, ReplicationPad2d, ReplicationPad3d};
pub use param::{Buffer, Param, Training};
pub use parametrize::{SpectralNorm, WeightNorm};
pub use pool::{AdaptiveAvgPool, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d};
pub use pool::{AdaptiveMaxPool, AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d};
pub use pool::{AvgPool, AvgPool1d, AvgPool2d, AvgPool3d, FractionalMaxPool, FractionalMaxPool2d, FractionalMaxPool3d};
pub use pool::{LPPool, LPPool1d, LPPool2d, LPPool3d, MaxPool, MaxPool1d, MaxPool2d, MaxPool3d};
pub use pool::{MaxUnpool, MaxUnpool1d, MaxUnpool2d, MaxUnpool3d};
pub use position::{RelativePositionBias, RotaryEmbedding, alibi_bias, sinusoidal_positions, sliding_window_mask};
pub use recurrent::{
    GRU, GRUBuilder, GRUCell, LSTM, LSTMBuilder, LSTMCell, Nonlinearity, PackedSequence, RNN, RNNBuilder, RNNCell, pack_padded_sequence,
    pack_sequence, pad_packed_sequence, pad_sequence,
};
pub use registry::{Registry, Settings};
pub use resample::{ChannelShuffle, Fold, LocalResponseNorm, PixelShuffle, PixelUnshuffle, Unflatten, Unfold, Upsample};
pub use sequential::Sequential;
pub use similarity::{Bilinear, CosineSimilarity, PairwiseDistance};
pub use sizes::Sizes;
pub use summary::{Summary, summary};
pub use transformer::{
    Activation, Transformer, TransformerConfig, TransformerDecoder, TransformerDecoderLayer, TransformerEncoder, TransformerEncoderLayer,
};
// The derive macro, under the trait's name.
pub use taper_macros::Module;
