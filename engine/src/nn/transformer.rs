//! Transformers: layers of attention and feed-forward networks, in PyTorch's arrangement.

use crate::Module;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorOptions};

use super::attention::{Masks, Weights};
use super::module::{Layer, Module as _};
use super::{LayerNorm, Linear, MultiheadAttention, Training, dropout, init};

/// What stands between the two linear layers of a feed-forward network.
#[derive(Debug, Clone, Copy, Default)]
pub enum Activation {
    #[default]
    Relu,
    Gelu,
    Of(fn(&Tensor) -> Result<Tensor>),
}

impl Activation {
    fn apply(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Activation::Relu => x.relu(),
            Activation::Gelu => x.gelu("none"),
            Activation::Of(f) => f(x),
        }
    }
}

/// What the layers of a transformer are built with; the defaults are PyTorch's.
#[derive(Debug, Clone)]
pub struct TransformerConfig {
    model: usize,
    heads: usize,
    feedforward: usize,
    dropout: f64,
    activation: Activation,
    eps: f64,
    batch_first: bool,
    norm_first: bool,
    bias: bool,
}

impl TransformerConfig {
    /// Of `model` features in `heads` heads.
    pub fn new(model: usize, heads: usize) -> TransformerConfig {
        let activation = Activation::default();
        TransformerConfig {
            model,
            heads,
            feedforward: 2048,
            dropout: 0.1,
            activation,
            eps: 1e-5,
            batch_first: false,
            norm_first: false,
            bias: true,
        }
    }

    /// The width of the feed-forward networks; 2048 unless said otherwise.
    pub fn dim_feedforward(mut self, width: usize) -> Self {
        self.feedforward = width;
        self
    }

    /// The probability with which values are dropped while training; 0.1 unless said otherwise.
    pub fn dropout(mut self, p: f64) -> Self {
        self.dropout = p;
        self
    }

    pub fn activation(mut self, activation: Activation) -> Self {
        self.activation = activation;
        self
    }

    pub fn layer_norm_eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// Sequences are `[N, L, E]` instead of `[L, N, E]`.
    pub fn batch_first(mut self, on: bool) -> Self {
        self.batch_first = on;
        self
    }

    /// Normalises what goes into each part instead of what comes out of it.
    pub fn norm_first(mut self, on: bool) -> Self {
        self.norm_first = on;
        self
    }

    /// Biases in linear layers and norms.
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    fn attention(&self, options: &TensorOptions) -> Result<MultiheadAttention> {
        let b = MultiheadAttention::builder(self.model, self.heads).dropout(self.dropout).bias(self.bias);
        b.batch_first(self.batch_first).build(options.clone())
    }

    fn linear(&self, inputs: usize, outputs: usize, options: &TensorOptions) -> Result<Linear> {
        if self.bias { Linear::new(inputs, outputs, options.clone()) } else { Linear::no_bias(inputs, outputs, options.clone()) }
    }

    fn norm(&self, options: &TensorOptions) -> Result<LayerNorm> {
        let norm = LayerNorm::new([self.model], options.clone())?.eps(self.eps);
        Ok(if self.bias { norm } else { norm.no_bias() })
    }

    /// A layer of an encoder.
    ///
    /// # Errors
    /// The heads do not divide the features; a dropout that is no probability; the device lacks the type or the memory.
    pub fn encoder_layer(&self, options: impl Into<TensorOptions>) -> Result<TransformerEncoderLayer> {
        let options = options.into();
        Ok(TransformerEncoderLayer {
            self_attn: self.attention(&options)?,
            linear1: self.linear(self.model, self.feedforward, &options)?,
            linear2: self.linear(self.feedforward, self.model, &options)?,
            norm1: self.norm(&options)?,
            norm2: self.norm(&options)?,
            training: Training::default(),
            dropout: self.dropout,
            activation: self.activation,
            norm_first: self.norm_first,
        })
    }

    /// A layer of a decoder.
    ///
    /// # Errors
    /// As [`encoder_layer`](Self::encoder_layer).
    pub fn decoder_layer(&self, options: impl Into<TensorOptions>) -> Result<TransformerDecoderLayer> {
        let options = options.into();
        Ok(TransformerDecoderLayer {
            self_attn: self.attention(&options)?,
            multihead_attn: self.attention(&options)?,
            linear1: self.linear(self.model, self.feedforward, &options)?,
            linear2: self.linear(self.feedforward, self.model, &options)?,
            norm1: self.norm(&options)?,
            norm2: self.norm(&options)?,
            norm3: self.norm(&options)?,
            training: Training::default(),
            dropout: self.dropout,
            activation: self.activation,
            norm_first: self.norm_first,
        })
    }

    /// `layers` layers, without a norm behind them.
    ///
    /// # Errors
    /// As [`encoder_layer`](Self::encoder_layer).
    pub fn encoder(&self, layers: usize, options: impl Into<TensorOptions>) -> Result<TransformerEncoder> {
        let options = options.into();
        let layers = (0..layers).map(|_| self.encoder_layer(options.clone())).collect::<Result<Vec<_>>>()?;
        Ok(TransformerEncoder { layers, norm: None })
    }

    /// `layers` layers, without a norm behind them.
    ///
    /// # Errors
    /// As [`encoder_layer`](Self::encoder_layer).
    pub fn decoder(&self, layers: usize, options: impl Into<TensorOptions>) -> Result<TransformerDecoder> {
        let options = options.into();
        let layers = (0..layers).map(|_| self.decoder_layer(options.clone())).collect::<Result<Vec<_>>>()?;
        Ok(TransformerDecoder { layers, norm: None })
    }

    /// Encoder and decoder of so many layers, each with a norm behind it; weights start by Glorot's uniform distribution.
    ///
    /// # Errors
    /// As [`encoder_layer`](Self::encoder_layer).
    pub fn transformer(&self, encoder_layers: usize, decoder_layers: usize, options: impl Into<TensorOptions>) -> Result<Transformer> {
        let options = options.into();
        let mut encoder = self.encoder(encoder_layers, options.clone())?;
        let mut decoder = self.decoder(decoder_layers, options.clone())?;
        encoder.norm = Some(self.norm(&options)?);
        decoder.norm = Some(self.norm(&options)?);
        let model = Transformer { encoder, decoder, features: self.model, batch_first: self.batch_first };
        for p in model.parameters().iter().filter(|p| p.rank() > 1) {
            p.set(&init::xavier_uniform(p.shape(), 1.0, options.clone())?)?;
        }
        Ok(model)
    }
}

/// A sequence attends to itself, then each token passes a feed-forward network; both are added to what they saw.
#[derive(Module, Debug)]
pub struct TransformerEncoderLayer {
    pub self_attn: MultiheadAttention,
    pub linear1: Linear,
    pub linear2: Linear,
    pub norm1: LayerNorm,
    pub norm2: LayerNorm,
    training: Training,
    dropout: f64,
    activation: Activation,
    norm_first: bool,
}

impl TransformerEncoderLayer {
    /// # Errors
    /// Shapes that do not fit.
    #[track_caller]
    pub fn forward(&self, src: &Tensor, masks: Masks<'_>) -> Result<Tensor> {
        let attended = |x: &Tensor| self.drop(&self.self_attn.attend(x, x, x, masks, Weights::None)?.0);
        if self.norm_first {
            let x = src.add(&attended(&self.norm1.forward(src)?)?)?;
            return x.add(&self.fed(&self.norm2.forward(&x)?)?);
        }
        let x = self.norm1.forward(&src.add(&attended(src)?)?)?;
        self.norm2.forward(&x.add(&self.fed(&x)?)?)
    }

    fn fed(&self, x: &Tensor) -> Result<Tensor> {
        let inner = self.drop(&self.activation.apply(&self.linear1.forward(x)?)?)?;
        self.drop(&self.linear2.forward(&inner)?)
    }

    fn drop(&self, x: &Tensor) -> Result<Tensor> {
        dropout(x, self.dropout, self.training.get())
    }
}

/// Without masks.
impl Layer for TransformerEncoderLayer {
    fn forward(&self, src: &Tensor) -> Result<Tensor> {
        self.forward(src, Masks::default())
    }
}

/// A sequence attends to itself and to another one, then each token passes a feed-forward network; all are added to what they saw.
#[derive(Module, Debug)]
pub struct TransformerDecoderLayer {
    pub self_attn: MultiheadAttention,
    pub multihead_attn: MultiheadAttention,
    pub linear1: Linear,
    pub linear2: Linear,
    pub norm1: LayerNorm,
    pub norm2: LayerNorm,
    pub norm3: LayerNorm,
    training: Training,
    dropout: f64,
    activation: Activation,
    norm_first: bool,
}

impl TransformerDecoderLayer {
    /// `tgt_masks` are of `tgt` on itself, `memory_masks` of `tgt` on `memory`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    #[track_caller]
    pub fn forward(&self, tgt: &Tensor, memory: &Tensor, tgt_masks: Masks<'_>, memory_masks: Masks<'_>) -> Result<Tensor> {
        let own = |x: &Tensor| self.drop(&self.self_attn.attend(x, x, x, tgt_masks, Weights::None)?.0);
        let other = |x: &Tensor| self.drop(&self.multihead_attn.attend(x, memory, memory, memory_masks, Weights::None)?.0);
        if self.norm_first {
            let x = tgt.add(&own(&self.norm1.forward(tgt)?)?)?;
            let x = x.add(&other(&self.norm2.forward(&x)?)?)?;
            return x.add(&self.fed(&self.norm3.forward(&x)?)?);
        }
        let x = self.norm1.forward(&tgt.add(&own(tgt)?)?)?;
        let x = self.norm2.forward(&x.add(&other(&x)?)?)?;
        self.norm3.forward(&x.add(&self.fed(&x)?)?)
    }

    fn fed(&self, x: &Tensor) -> Result<Tensor> {
        let inner = self.drop(&self.activation.apply(&self.linear1.forward(x)?)?)?;
        self.drop(&self.linear2.forward(&inner)?)
    }

    fn drop(&self, x: &Tensor) -> Result<Tensor> {
        dropout(x, self.dropout, self.training.get())
    }
}

/// Encoder layers one after the other, and perhaps a norm.
#[derive(Module, Debug)]
pub struct TransformerEncoder {
    pub layers: Vec<TransformerEncoderLayer>,
    pub norm: Option<LayerNorm>,
}

impl TransformerEncoder {
    /// # Errors
    /// Shapes that do not fit.
    #[track_caller]
    pub fn forward(&self, src: &Tensor, masks: Masks<'_>) -> Result<Tensor> {
        let x = self.layers.iter().try_fold(src.clone(), |x, layer| layer.forward(&x, masks))?;
        self.norm.as_ref().map_or(Ok(x.clone()), |norm| norm.forward(&x))
    }
}

/// Without masks.
impl Layer for TransformerEncoder {
    fn forward(&self, src: &Tensor) -> Result<Tensor> {
        self.forward(src, Masks::default())
    }
}

/// Decoder layers one after the other, and perhaps a norm.
#[derive(Module, Debug)]
pub struct TransformerDecoder {
    pub layers: Vec<TransformerDecoderLayer>,
    pub norm: Option<LayerNorm>,
}

impl TransformerDecoder {
    /// # Errors
    /// Shapes that do not fit.
    #[track_caller]
    pub fn forward(&self, tgt: &Tensor, memory: &Tensor, tgt_masks: Masks<'_>, memory_masks: Masks<'_>) -> Result<Tensor> {
        let x = self.layers.iter().try_fold(tgt.clone(), |x, layer| layer.forward(&x, memory, tgt_masks, memory_masks))?;
        self.norm.as_ref().map_or(Ok(x.clone()), |norm| norm.forward(&x))
    }
}

/// An encoder, and a decoder that reads what it wrote.
///
/// ```
/// # use taper::prelude::*; use taper::nn::{Masks, TransformerConfig}; fn main() -> taper::Result<()> {
/// let cpu = Device::cpu();
/// let model = TransformerConfig::new(8, 2).dim_feedforward(16).batch_first(true).transformer(1, 1, &cpu)?;
/// let (src, tgt) = (Tensor::randn([2, 5, 8], &cpu)?, Tensor::randn([2, 3, 8], &cpu)?);
/// let y = model.forward(&src, &tgt, Masks::default(), Masks::causal(), Masks::default())?;
/// assert_eq!(y.shape(), [2, 3, 8]);
/// # Ok(()) }
/// ```
#[derive(Module, Debug)]
pub struct Transformer {
    pub encoder: TransformerEncoder,
    pub decoder: TransformerDecoder,
    features: usize,
    batch_first: bool,
}

impl Transformer {
    /// # Errors
    /// Shapes that do not fit each other or the features.
    #[track_caller]
    pub fn forward(
        &self,
        src: &Tensor,
        tgt: &Tensor,
        src_masks: Masks<'_>,
        tgt_masks: Masks<'_>,
        memory_masks: Masks<'_>,
    ) -> Result<Tensor> {
        let batch = if self.batch_first { 0 } else { 1 };
        let fits = |t: &Tensor| (2..=3).contains(&t.rank()) && t.shape().last() == Some(&self.features);
        if !fits(src) || !fits(tgt) || src.rank() != tgt.rank() || (src.rank() == 3 && src.shape()[batch] != tgt.shape()[batch]) {
            let why = format!("{:?} and {:?} do not fit each other or {} features", src.shape(), tgt.shape(), self.features);
            return Err(Error::argument("Transformer", why));
        }
        let memory = self.encoder.forward(src, src_masks)?;
        self.decoder.forward(tgt, &memory, tgt_masks, memory_masks)
    }

    /// `[size, size]`: 0 where a query may attend, minus infinity where the key comes later.
    ///
    /// # Errors
    /// The device lacks the type or the memory.
    pub fn generate_square_subsequent_mask(size: usize, options: impl Into<TensorOptions>) -> Result<Tensor> {
        let options = options.into();
        let at = Tensor::arange(0, size, 1, (DType::I64, &options.device))?;
        Tensor::zeros([size, size], options)?.masked_fill(&at.gt(&at.unsqueeze(1)?)?, f64::NEG_INFINITY)
    }
}
