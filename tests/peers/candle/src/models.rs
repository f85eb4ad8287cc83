//! The networks that are trained: forward, backward, Adam.

use candle_core::{D, Module, Result, Tensor};
use candle_nn::{
    AdamW, Conv2d, Conv2dConfig, Embedding, LayerNorm, Linear, Optimizer, ParamsAdamW, VarBuilder, VarMap, conv2d, embedding, layer_norm,
    linear, loss::cross_entropy, ops::softmax,
};
use protocol::Run;

use crate::{CPU, F32, causal_mask, indices, random};

#[derive(Clone, Copy)]
pub enum Kind {
    Mlp,
    LeNet,
    Gpt,
}

enum Net {
    Mlp([Linear; 3]),
    LeNet([Conv2d; 2], [Linear; 3]),
    Gpt(Gpt),
}

struct Block {
    norms: [LayerNorm; 2],
    qkv: Linear,
    out: Linear,
    up: Linear,
    down: Linear,
}

struct Gpt {
    characters: Embedding,
    positions: Tensor,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
    mask: Tensor,
}

fn net(kind: Kind, v: &VarBuilder) -> Result<Net> {
    let line = |i, o, name: &str| linear(i, o, v.pp(name));
    Ok(match kind {
        Kind::Mlp => Net::Mlp([line(784, 512, "1")?, line(512, 512, "2")?, line(512, 10, "3")?]),
        Kind::LeNet => {
            let first = Conv2dConfig { padding: 2, ..Default::default() };
            let convs = [conv2d(1, 6, 5, first, v.pp("c1"))?, conv2d(6, 16, 5, Default::default(), v.pp("c2"))?];
            Net::LeNet(convs, [line(400, 120, "1")?, line(120, 84, "2")?, line(84, 10, "3")?])
        }
        Kind::Gpt => {
            let block = |i: usize| {
                let v = v.pp(i.to_string());
                Ok(Block {
                    norms: [layer_norm(256, 1e-5, v.pp("n1"))?, layer_norm(256, 1e-5, v.pp("n2"))?],
                    qkv: linear(256, 768, v.pp("qkv"))?,
                    out: linear(256, 256, v.pp("out"))?,
                    up: linear(256, 1024, v.pp("up"))?,
                    down: linear(1024, 256, v.pp("down"))?,
                })
            };
            Net::Gpt(Gpt {
                characters: embedding(256, 256, v.pp("characters"))?,
                positions: v.get((128, 256), "positions")?,
                blocks: (0..4).map(block).collect::<Result<_>>()?,
                norm: layer_norm(256, 1e-5, v.pp("norm"))?,
                head: line(256, 256, "head")?,
                mask: causal_mask(128)?,
            })
        }
    })
}

impl Block {
    fn forward(&self, x: &Tensor, mask: &Tensor) -> Result<Tensor> {
        let (n, l, _) = x.dims3()?;
        let qkv = self.qkv.forward(&self.norms[0].forward(x)?)?;
        let part = |i: usize| qkv.narrow(D::Minus1, i * 256, 256)?.reshape((n, l, 8, 32))?.transpose(1, 2)?.contiguous();
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let scores = (q.matmul(&k.t()?)? * (1.0 / 32f64.sqrt()))?.broadcast_add(mask)?;
        let y = softmax(&scores, D::Minus1)?.matmul(&v)?.transpose(1, 2)?.reshape((n, l, 256))?;
        let x = (x + self.out.forward(&y)?)?;
        &x + self.down.forward(&self.up.forward(&self.norms[1].forward(&x)?)?.gelu()?)?
    }
}

impl Net {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Net::Mlp([a, b, c]) => c.forward(&b.forward(&a.forward(x)?.relu()?)?.relu()?),
            Net::LeNet([first, second], [a, b, c]) => {
                let x = first.forward(x)?.relu()?.max_pool2d(2)?;
                let x = second.forward(&x)?.relu()?.max_pool2d(2)?.flatten_from(1)?;
                c.forward(&b.forward(&a.forward(&x)?.relu()?)?.relu()?)
            }
            Net::Gpt(g) => {
                let mut x = g.characters.forward(x)?.broadcast_add(&g.positions)?;
                for block in &g.blocks {
                    x = block.forward(&x, &g.mask)?;
                }
                g.head.forward(&g.norm.forward(&x)?)?.flatten(0, 1)
            }
        }
    }
}

fn data(kind: Kind) -> Result<(Tensor, Tensor)> {
    Ok(match kind {
        Kind::Mlp => (random(&[128, 784])?, indices(128, 10)?),
        Kind::LeNet => (random(&[128, 1, 28, 28])?, indices(128, 10)?),
        Kind::Gpt => (indices(1024, 256)?.reshape((8, 128))?, indices(1024, 256)?),
    })
}

pub fn train(kind: Kind) -> Result<Run> {
    let vars = VarMap::new();
    let net = net(kind, &VarBuilder::from_varmap(&vars, F32, &CPU))?;
    let mut optimizer = AdamW::new(vars.all_vars(), ParamsAdamW { lr: 1e-3, weight_decay: 0.0, ..Default::default() })?;
    let (x, y) = data(kind)?;
    Ok(Box::new(move || {
        let loss = net.forward(&x).and_then(|logits| cross_entropy(&logits, &y));
        loss.and_then(|loss| optimizer.backward_step(&loss)).expect("a step");
    }))
}

pub fn forward() -> Result<Run> {
    let vars = VarMap::new();
    let net = net(Kind::Gpt, &VarBuilder::from_varmap(&vars, F32, &CPU))?;
    // Without variables nothing is recorded for a backward pass.
    let (x, _) = data(Kind::Gpt)?;
    Ok(Box::new(move || {
        net.forward(&x).expect("a pass");
    }))
}
