//! Taper's workloads on candle's CPU device.

mod models;

use candle_core::{DType, Device, Result, Tensor, Var};
use protocol::Run;

const CPU: Device = Device::Cpu;

fn main() {
    protocol::serve(|name| make(name).unwrap_or_else(|e| panic!("{name}: {e}")));
}

fn random(shape: &[usize]) -> Result<Tensor> {
    Tensor::rand(-1f32, 1f32, shape, &CPU)
}

fn run<T>(f: impl Fn() -> Result<T> + 'static) -> Result<Option<Run>> {
    Ok(Some(Box::new(move || {
        f().expect("it ran before");
    })))
}

fn make(name: &str) -> Result<Option<Run>> {
    match name {
        "matmul_256" => product(&[256, 256], &[256, 256]),
        "matmul_512" => product(&[512, 512], &[512, 512]),
        "matmul_1024" => product(&[1024, 1024], &[1024, 1024]),
        "matmul_2048" => product(&[2048, 2048], &[2048, 2048]),
        "bmm_8x12x128x64x128" => product(&[8, 12, 128, 64], &[8, 12, 64, 128]),
        "gemv_2048" => product(&[2048, 2048], &[2048, 1]),
        "softmax_4096x1024" => {
            let x = random(&[4096, 1024])?;
            run(move || candle_nn::ops::softmax_last_dim(&x))
        }
        "layernorm_4096x1024" => {
            let (x, w, b) = (random(&[4096, 1024])?, random(&[1024])?, random(&[1024])?);
            run(move || candle_nn::ops::layer_norm(&x, &w, &b, 1e-5))
        }
        "sum_lastdim_4096x4096" => sum(Some(1)),
        "sum_dim0_4096x4096" => sum(Some(0)),
        "sum_all_4096x4096" => sum(None),
        "fma_16M" => {
            let n = [16 << 20];
            let (a, b, c) = (random(&n)?, random(&n)?, random(&n)?);
            run(move || (&a * &b)? + &c)
        }
        "conv3x3_8x64x56x56" => conv(&[8, 64, 56, 56], &[64, 64, 3, 3], 1, 1),
        "conv7x7s2_1x3x224x224" => conv(&[1, 3, 224, 224], &[64, 3, 7, 7], 2, 1),
        "depthwise3x3_8x128x56x56" => conv(&[8, 128, 56, 56], &[128, 1, 3, 3], 1, 128),
        "sdpa_1x8x1024x64" => attention(1024, false),
        "sdpa_causal_1x8x4096x64" => attention(4096, true),
        "sdpa_train_1x8x1024x64" => attention_grads(1024, false),
        "tiny_add_chain_1000" => {
            let (x, y) = (random(&[16])?, random(&[16])?);
            run(move || (0..1000).try_fold(x.clone(), |x, _| &x + &y))
        }
        "tiny_matmul_chain_1000" => {
            let (x, y) = (random(&[16, 16])?, random(&[16, 16])?);
            run(move || (0..1000).try_fold(x.clone(), |x, _| x.matmul(&y)))
        }
        "tiny_add_readback" => {
            let (x, y) = (random(&[16])?, random(&[16])?);
            run(move || (&x + &y)?.to_vec1::<f32>())
        }
        "embedding_8192of50k_x256" => {
            let (table, index) = (random(&[50_000, 256])?, indices(8192, 50_000)?);
            run(move || table.embedding(&index))
        }
        "embedding_grad_8192of50k_x256" => {
            let (table, index, g) = (Var::from_tensor(&random(&[50_000, 256])?)?, indices(8192, 50_000)?, random(&[8192, 256])?);
            run(move || (table.embedding(&index)? * &g)?.sum_all()?.backward())
        }
        "scatter_add_1M_into_100k" => {
            let (x, index, src) = (random(&[100_000])?, indices(1 << 20, 100_000)?, random(&[1 << 20])?);
            run(move || x.scatter_add(&index, &src, 0))
        }
        "sort_1M" => {
            let x = random(&[1 << 20])?;
            run(move || x.sort_last_dim(true))
        }
        "train_mlp_b128" => models::train(models::Kind::Mlp).map(Some),
        "train_lenet_b128" => models::train(models::Kind::LeNet).map(Some),
        "train_gpt_d256_l4_s128_b8" => models::train(models::Kind::Gpt).map(Some),
        "fwd_gpt_d256_l4_s128_b8" => models::forward().map(Some),
        _ => Ok(None),
    }
}

pub fn indices(n: usize, below: u32) -> Result<Tensor> {
    let values: Vec<u32> = (0..n as u64).map(|i| ((i * 2_654_435_761) % u64::from(below)) as u32).collect();
    Tensor::from_vec(values, n, &CPU)
}

fn product(a: &[usize], b: &[usize]) -> Result<Option<Run>> {
    let (a, b) = (random(a)?, random(b)?);
    run(move || a.matmul(&b))
}

fn sum(dim: Option<usize>) -> Result<Option<Run>> {
    let x = random(&[4096, 4096])?;
    run(move || match dim {
        Some(d) => x.sum(d),
        None => x.sum_all(),
    })
}

fn conv(x: &[usize], w: &[usize], stride: usize, groups: usize) -> Result<Option<Run>> {
    let (b, padding) = (random(&[1, w[0], 1, 1])?, w[2] / 2);
    let (x, w) = (random(x)?, random(w)?);
    run(move || x.conv2d(&w, padding, stride, 1, groups)?.broadcast_add(&b))
}

fn causal_mask(l: usize) -> Result<Tensor> {
    let values: Vec<f32> = (0..l * l).map(|i| if i % l > i / l { f32::NEG_INFINITY } else { 0.0 }).collect();
    Tensor::from_vec(values, (l, l), &CPU)
}

fn attend(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let scores = (q.matmul(&k.t()?)? * 0.125)?;
    let scores = mask.map_or(Ok(scores.clone()), |m| scores.broadcast_add(m))?;
    candle_nn::ops::softmax_last_dim(&scores)?.matmul(v)
}

fn attention(l: usize, causal: bool) -> Result<Option<Run>> {
    let make = || random(&[1, 8, l, 64]);
    let (q, k, v) = (make()?, make()?, make()?);
    let mask = causal.then(|| causal_mask(l)).transpose()?;
    run(move || attend(&q, &k, &v, mask.as_ref()))
}

/// Its fused softmax has no gradient, the composed one does.
fn attention_grads(l: usize, causal: bool) -> Result<Option<Run>> {
    let make = || Var::from_tensor(&random(&[1, 8, l, 64])?);
    let (q, k, v, g) = (make()?, make()?, make()?, random(&[1, 8, l, 64])?);
    let mask = causal.then(|| causal_mask(l)).transpose()?;
    run(move || {
        let scores = (q.matmul(&k.t()?)? * 0.125)?;
        let scores = mask.as_ref().map_or(Ok(scores.clone()), |m| scores.broadcast_add(m))?;
        let y = candle_nn::ops::softmax(&scores, 3)?.matmul(&v)?;
        (y * &g)?.sum_all()?.backward()
    })
}

pub const F32: DType = DType::F32;
