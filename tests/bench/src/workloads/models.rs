//! The networks that are trained.

use taper::nn::{BatchNorm2d, Conv2d, Embedding, LSTM, LayerNorm, Linear, Module};
use taper::{DType, Device, Result, Tensor};

/// Fully connected, 784-512-512-10.
#[derive(Module)]
pub struct Mlp {
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

impl Mlp {
    pub fn new(d: &Device) -> Result<Mlp> {
        Ok(Mlp { fc1: Linear::new(784, 512, d)?, fc2: Linear::new(512, 512, d)?, fc3: Linear::new(512, 10, d)? })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.fc1.forward(x)?.relu()?;
        self.fc3.forward(&self.fc2.forward(&x)?.relu()?)
    }
}

/// LeNet for images of 28x28: two convolutions of 5x5, each with a pool, and three linear layers.
#[derive(Module)]
pub struct LeNet {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

impl LeNet {
    pub fn new(d: &Device) -> Result<LeNet> {
        Ok(LeNet {
            conv1: Conv2d::builder(1, 6, 5).padding(2).build(d)?,
            conv2: Conv2d::new(6, 16, 5, d)?,
            fc1: Linear::new(400, 120, d)?,
            fc2: Linear::new(120, 84, d)?,
            fc3: Linear::new(84, 10, d)?,
        })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.conv1.forward(x)?.relu()?.max_pool2d(2, 2, 0, 1, false)?;
        let x = self.conv2.forward(&x)?.relu()?.max_pool2d(2, 2, 0, 1, false)?;
        let x = self.fc1.forward(&x.flatten(1, -1)?)?.relu()?;
        self.fc3.forward(&self.fc2.forward(&x)?.relu()?)
    }
}

/// A convolution without bias, and its batch norm.
#[derive(Module)]
struct Normed {
    conv: Conv2d,
    norm: BatchNorm2d,
}

impl Normed {
    fn new(inputs: usize, outputs: usize, kernel: usize, stride: usize, d: &Device) -> Result<Normed> {
        let conv = Conv2d::builder(inputs, outputs, kernel).stride(stride).padding(kernel / 2).bias(false).build(d)?;
        Ok(Normed { conv, norm: BatchNorm2d::new(outputs, d)? })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.norm.forward(&self.conv.forward(x)?)
    }
}

/// Two convolutions and a shortcut.
#[derive(Module)]
struct Residual {
    first: Normed,
    second: Normed,
    shortcut: Option<Normed>,
}

impl Residual {
    fn new(inputs: usize, outputs: usize, stride: usize, d: &Device) -> Result<Residual> {
        let shortcut = if inputs == outputs { None } else { Some(Normed::new(inputs, outputs, 1, stride, d)?) };
        Ok(Residual { first: Normed::new(inputs, outputs, 3, stride, d)?, second: Normed::new(outputs, outputs, 3, 1, d)?, shortcut })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.second.forward(&self.first.forward(x)?.relu()?)?;
        let x = self.shortcut.as_ref().map_or(Ok(x.clone()), |s| s.forward(x))?;
        y.add(&x)?.relu()
    }
}

/// ResNet-18 with ten classes.
#[derive(Module)]
pub struct ResNet18 {
    stem: Normed,
    blocks: Vec<Residual>,
    head: Linear,
}

impl ResNet18 {
    pub fn new(d: &Device) -> Result<ResNet18> {
        let widths = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1)];
        let blocks = widths.iter().map(|&(i, o, s)| Residual::new(i, o, s, d)).collect::<Result<_>>()?;
        Ok(ResNet18 { stem: Normed::new(3, 64, 7, 2, d)?, blocks, head: Linear::new(512, 10, d)? })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.stem.forward(x)?.relu()?.max_pool2d(3, 2, 1, 1, false)?;
        let x = self.blocks.iter().try_fold(x, |x, block| block.forward(&x))?;
        self.head.forward(&x.mean([2, 3])?)
    }
}

/// Two layers of 256 that read a sequence, and a class from where they end.
#[derive(Module)]
pub struct Lstm {
    lstm: LSTM,
    head: Linear,
}

impl Lstm {
    pub fn new(d: &Device) -> Result<Lstm> {
        Ok(Lstm { lstm: LSTM::builder(256, 256).num_layers(2).batch_first(true).build(d)?, head: Linear::new(256, 10, d)? })
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.head.forward(&self.lstm.forward(x, None)?.0.select(1, -1)?)
    }
}

/// Attention and a small network, each with a norm before and a shortcut around it.
#[derive(Module)]
struct Block {
    norm1: LayerNorm,
    qkv: Linear,
    out: Linear,
    norm2: LayerNorm,
    up: Linear,
    down: Linear,
}

const DIM: usize = 256;
const HEADS: usize = 8;
const LAYERS: usize = 4;
const CONTEXT: usize = 128;
pub const VOCABULARY: usize = 256;

impl Block {
    fn new(d: &Device) -> Result<Block> {
        Ok(Block {
            norm1: LayerNorm::new([DIM], d)?,
            qkv: Linear::new(DIM, 3 * DIM, d)?,
            out: Linear::new(DIM, DIM, d)?,
            norm2: LayerNorm::new([DIM], d)?,
            up: Linear::new(DIM, 4 * DIM, d)?,
            down: Linear::new(4 * DIM, DIM, d)?,
        })
    }

    /// With `cache`, `x` continues what the cache holds, and is added to it.
    fn forward(&self, x: &Tensor, cache: Option<&mut Option<[Tensor; 2]>>) -> Result<Tensor> {
        let (n, l) = (x.shape()[0] as isize, x.shape()[1] as isize);
        let heads = |t: &Tensor| t.reshape([n, l, HEADS as isize, (DIM / HEADS) as isize])?.permute([0, 2, 1, 3]);
        let parts = self.qkv.forward(&self.norm1.forward(x)?)?.chunk(3, -1)?;
        let [q, mut k, mut v] = [heads(&parts[0])?, heads(&parts[1])?, heads(&parts[2])?];
        let mut causal = true;
        if let Some(cache) = cache {
            if let Some([before_k, before_v]) = cache.take() {
                (k, v) = (Tensor::cat(&[&before_k, &k], 2)?, Tensor::cat(&[&before_v, &v], 2)?);
                causal = l > 1;
            }
            *cache = Some([k.clone(), v.clone()]);
        }
        let y = q.scaled_dot_product_attention(&k, &v, None, 0.0, causal, None)?;
        let y = y.permute([0, 2, 1, 3])?.reshape([n, l, DIM as isize])?;
        let x = x.add(&self.out.forward(&y)?)?;
        x.add(&self.down.forward(&self.up.forward(&self.norm2.forward(&x)?)?.gelu("tanh")?)?)
    }
}

/// A decoder-only transformer: width 256, 4 layers, 8 heads, 128 places, 256 characters.
#[derive(Module)]
pub struct Gpt {
    characters: Embedding,
    positions: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
}

impl Gpt {
    pub fn new(d: &Device) -> Result<Gpt> {
        let gpt = Gpt {
            characters: Embedding::new(VOCABULARY, DIM, d)?,
            positions: Embedding::new(CONTEXT, DIM, d)?,
            blocks: (0..LAYERS).map(|_| Block::new(d)).collect::<Result<_>>()?,
            norm: LayerNorm::new([DIM], d)?,
            head: Linear::new(DIM, VOCABULARY, d)?,
        };
        for table in [&gpt.characters.weight, &gpt.positions.weight] {
            table.set(&table.detach()?.mul(0.02)?)?;
        }
        Ok(gpt)
    }

    /// Characters `[N, L]` to logits `[N, L, 256]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.through(x, 0, |block, x, _| block.forward(x, None))
    }

    /// The logits of what follows `x`, which itself follows what the cache has seen.
    pub fn decode(&self, x: &Tensor, at: usize, cache: &mut [Option<[Tensor; 2]>]) -> Result<Tensor> {
        self.through(x, at, |block, x, i| block.forward(x, cache.get_mut(i)))
    }

    fn through(&self, x: &Tensor, at: usize, mut block: impl FnMut(&Block, &Tensor, usize) -> Result<Tensor>) -> Result<Tensor> {
        let places = Tensor::arange(at as i64, (at + x.shape()[1]) as i64, 1, (DType::I64, x.device()))?;
        let mut y = self.characters.forward(x)?.add(&self.positions.forward(&places)?)?;
        for (i, b) in self.blocks.iter().enumerate() {
            y = block(b, &y, i)?;
        }
        self.head.forward(&self.norm.forward(&y)?)
    }

    pub fn layers(&self) -> usize {
        self.blocks.len()
    }
}
