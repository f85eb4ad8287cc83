//! Modules: what they show, load and convert, and what layers compute.

use super::init::{self, Fan, Nonlinearity};
use super::*;
use crate::testing::{assert_close, for_each_device};
use crate::{DType, Device, Error, Result, Tensor, no_grad};

#[derive(Module)]
struct Net {
    first: Linear,
    norm: BatchNorm1d,
    blocks: Vec<Block>,
    maybe: Option<Linear>,
    mask: Buffer,
    scale: Param,
    #[module(skip)]
    _teacher: Linear,
    #[module(rename = "output")]
    last: Box<Linear>,
    _width: usize,
    _name: String,
}

#[derive(Module)]
struct Block(Linear, Dropout);

#[derive(Module)]
struct Wrapper<M: Module> {
    inner: M,
}

fn net(device: &Device) -> Result<Net> {
    Ok(Net {
        first: Linear::new(3, 4, device)?,
        norm: BatchNorm1d::new(4, device)?,
        blocks: vec![Block(Linear::no_bias(4, 4, device)?, Dropout::new(0.5)?), Block(Linear::no_bias(4, 4, device)?, Dropout::new(0.5)?)],
        maybe: None,
        mask: Buffer::transient(Tensor::ones([4], device)?),
        scale: Param::new(&Tensor::ones([], device)?)?,
        _teacher: Linear::new(9, 9, device)?,
        last: Box::new(Linear::new(4, 2, device)?),
        _width: 4,
        _name: "net".into(),
    })
}

fn names<T>(list: Vec<(String, T)>) -> Vec<String> {
    list.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn members_have_pytorchs_dotted_names_in_order() {
    let net = Wrapper { inner: net(&Device::cpu()).unwrap() };
    let parameters = "first.weight first.bias norm.weight norm.bias blocks.0.0.weight blocks.1.0.weight scale output.weight output.bias";
    let expected: Vec<String> = parameters.split(' ').map(|n| format!("inner.{n}")).collect();
    assert_eq!(names(net.named_parameters()), expected);
    let buffers = ["inner.norm.running_mean", "inner.norm.running_var", "inner.norm.num_batches_tracked", "inner.mask"];
    assert_eq!(names(net.named_buffers()), buffers);
    let state = net.state_dict();
    assert_eq!(state.len(), expected.len() + 3);
    assert!(!state.contains_key("inner.mask"));
    assert_eq!(state["inner.norm.num_batches_tracked"].dtype(), DType::I64);
    assert_eq!(net.num_parameters(), 12 + 4 + 4 + 4 + 16 + 16 + 1 + 8 + 2);
}

#[test]
fn training_reaches_every_layer() {
    let net = net(&Device::cpu()).unwrap();
    assert!(net.is_training());
    net.eval();
    assert!(!net.is_training() && !net.blocks[1].1.is_training());
    net.train(true);
    assert!(net.blocks[1].1.is_training());
}

#[test]
fn a_state_dict_is_a_snapshot_and_loads_back() {
    for_each_device(|device| {
        let (a, b) = (net(device)?, net(device)?);
        let state = a.state_dict();
        let before = state["first.weight"].to_vec::<f32>()?;
        a.first.weight.set(&Tensor::zeros([4, 3], device)?)?;
        assert_eq!(state["first.weight"].to_vec::<f32>()?, before);
        assert_eq!(b.load_state_dict(&state, true)?, LoadReport::default());
        assert_eq!(b.first.weight.to_vec::<f32>()?, before);
        assert!(b.first.weight.requires_grad());
        Ok(())
    });
}

#[test]
fn everything_that_does_not_fit_is_named_at_once_and_nothing_is_loaded() {
    let device = Device::cpu();
    let net = net(&device).unwrap();
    let mut state = net.state_dict();
    let before = net.scale.item::<f32>().unwrap();
    state.remove("first.bias");
    state.insert("extra".into(), Tensor::ones([1], &device).unwrap());
    state.insert("scale".into(), Tensor::zeros([], &device).unwrap());
    state.insert("output.weight".into(), Tensor::ones([2, 5], &device).unwrap());
    let error = net.load_state_dict(&state, true).unwrap_err().to_string();
    for part in ["first.bias is missing", "extra is unexpected", "output.weight is [2, 4] but the value is [2, 5]"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(net.load_state_dict(&state, false).is_err());
    assert_eq!(net.scale.item::<f32>().unwrap(), before);
    state.remove("output.weight");
    let report = net.load_state_dict(&state, false).unwrap();
    assert_eq!((report.missing, report.unexpected), (vec!["first.bias".to_string(), "output.weight".into()], vec!["extra".to_string()]));
    assert_eq!(net.scale.item::<f32>().unwrap(), 0.0);
}

#[derive(Module)]
struct Tied {
    encoder: Embedding,
    decoder: Linear,
}

#[test]
fn shared_parameters_count_once_and_stay_shared_when_they_move() {
    let device = Device::cpu();
    let encoder = Embedding::new(7, 3, &device).unwrap();
    let decoder = Linear { weight: encoder.weight.clone(), bias: None };
    let mut tied = Tied { encoder, decoder };
    assert_eq!(tied.num_parameters(), 21);
    assert_eq!(tied.state_dict().len(), 2);
    tied.to_dtype(DType::F64).unwrap();
    assert_eq!(tied.encoder.weight.dtype(), DType::F64);
    assert!(tied.encoder.weight.ptr_eq(&tied.decoder.weight));
    assert!(tied.encoder.weight.requires_grad());
}

#[test]
fn a_module_moves_to_every_device_with_its_gradients() {
    for_each_device(|device| {
        let mut layer = Linear::new(2, 1, &Device::cpu())?;
        layer.forward(&Tensor::ones([3, 2], &Device::cpu())?)?.sum_all()?.backward()?;
        let expected = layer.weight.to_vec::<f32>()?;
        layer.to(device)?;
        assert_eq!(layer.weight.device(), device);
        assert_eq!(layer.weight.to_vec::<f32>()?, expected);
        let grad = layer.weight.grad().ok_or_else(|| Error::argument("test", "no gradient"))?;
        assert_eq!(grad.to_vec::<f32>()?, [3.0, 3.0]);
        layer.zero_grad();
        layer.forward(&Tensor::ones([1, 2], device)?)?.sum_all()?.backward()?;
        assert!(layer.weight.grad().is_some());
        Ok(())
    });
}

#[test]
fn the_same_seed_draws_the_same_weights_on_every_device() {
    let draw = |device: &Device| -> Result<Vec<f32>> {
        crate::manual_seed(11);
        Conv2d::new(2, 3, 3, device)?.weight.to_vec()
    };
    // Other tests draw from the one global generator too, so that a single comparison may fail; not ten.
    let expected = |device: &Device| (0..10).any(|_| draw(device).unwrap() == draw(&Device::cpu()).unwrap());
    for_each_device(|device| {
        assert!(expected(device));
        Ok(())
    });
}

#[test]
fn default_weights_fill_their_bounds() {
    let device = Device::cpu();
    let within = |values: Vec<f32>, bound: f32| {
        let largest = values.iter().fold(0f32, |m, v| m.max(v.abs()));
        assert!(largest <= bound && largest > 0.97 * bound, "{largest} of {bound}");
    };
    let linear = Linear::new(400, 300, &device).unwrap();
    within(linear.weight.to_vec().unwrap(), 0.05);
    within(linear.bias.unwrap().to_vec().unwrap(), 0.05);
    let conv = Conv2d::builder(8, 400, 5).groups(2).build(&device).unwrap();
    within(conv.weight.to_vec().unwrap(), 0.1);
    within(conv.bias.unwrap().to_vec().unwrap(), 0.1);
    // The fan of a transposed convolution is counted from the second dimension, as in PyTorch.
    let transposed = ConvTranspose2d::new(64, 4, 5, &device).unwrap();
    assert_eq!(transposed.weight.shape(), [64, 4, 5, 5]);
    within(transposed.weight.to_vec().unwrap(), 0.1);
}

fn moments(t: &Tensor) -> (f64, f64) {
    let v = t.to_vec::<f32>().unwrap();
    let mean = v.iter().map(|&x| x as f64).sum::<f64>() / v.len() as f64;
    (mean, (v.iter().map(|&x| (x as f64 - mean).powi(2)).sum::<f64>() / v.len() as f64).sqrt())
}

#[test]
fn initial_values_have_the_moments_their_names_promise() {
    let device = &Device::cpu();
    let shape = [200, 300];
    let near = |t: &Tensor, std: f64| {
        let (mean, deviation) = moments(t);
        assert!(mean.abs() < 0.02 * std && (deviation / std - 1.0).abs() < 0.02, "{mean} {deviation} for {std}");
    };
    let relu = Nonlinearity::Relu;
    near(&init::kaiming_normal(&shape, Fan::In, relu, device).unwrap(), (2.0f64 / 300.0).sqrt());
    near(&init::kaiming_uniform(&shape, Fan::Out, relu, device).unwrap(), (2.0f64 / 200.0).sqrt());
    near(&init::xavier_normal(&shape, 1.0, device).unwrap(), (2.0f64 / 500.0).sqrt());
    near(&init::xavier_uniform(&shape, 2.0, device).unwrap(), 2.0 * (2.0f64 / 500.0).sqrt());
    near(&Embedding::new(200, 300, device).unwrap().weight, 1.0);
    // A normal distribution cut at two standard deviations has 0.8796 of one.
    let cut = init::trunc_normal(&shape, 0.0, 0.5, -1.0, 1.0, device).unwrap();
    near(&cut, 0.5 * 0.87962566);
    assert!(cut.to_vec::<f32>().unwrap().iter().all(|v| v.abs() <= 1.0));
    assert!(init::xavier_normal(&[3], 1.0, device).is_err());
}

#[test]
fn batch_norm_normalises_tracks_and_then_uses_what_it_tracked() {
    for_each_device(|device| {
        let x = Tensor::from_vec(vec![1.0f32, 10.0, 2.0, 20.0, 3.0, 60.0], [3, 2], device)?;
        let norm = BatchNorm1d::new(2, device)?;
        let s = |v: f64, mean: f64, var: f64| (v - mean) / (var + 1e-5).sqrt();
        let (v0, v1) = (2.0 / 3.0, 1400.0 / 3.0);
        let expected: Vec<f64> =
            [1.0, 2.0, 3.0].iter().zip([10.0, 20.0, 60.0]).flat_map(|(&a, b)| [s(a, 2.0, v0), s(b, 30.0, v1)]).collect();
        assert_close(&norm.forward(&x)?, &expected, 1e-5, 1e-6);
        let (mean, var) = (norm.running_mean.as_deref().unwrap(), norm.running_var.as_deref().unwrap());
        assert_close(mean, &[0.2, 3.0], 1e-6, 0.0);
        assert_close(var, &[0.9 + 0.1, 0.9 + 0.1 * 700.0], 1e-6, 0.0);
        assert_eq!(norm.num_batches_tracked.as_deref().unwrap().item::<i64>()?, 1);
        norm.eval();
        let expected: Vec<f64> =
            [1.0, 2.0, 3.0].iter().zip([10.0, 20.0, 60.0]).flat_map(|(&a, b)| [s(a, 0.2, 1.0), s(b, 3.0, 70.9)]).collect();
        assert_close(&norm.forward(&x)?, &expected, 1e-5, 1e-6);
        assert_eq!(norm.num_batches_tracked.as_deref().unwrap().item::<i64>()?, 1);
        assert!(norm.forward(&Tensor::ones([3, 4], device)?).is_err());
        Ok(())
    });
}

#[test]
fn batch_norm_without_momentum_averages_all_batches() {
    for_each_device(|device| {
        let norm = BatchNorm1d::builder(1).momentum(None).build(device)?;
        for values in [[1.0f32, 3.0], [5.0, 9.0], [0.0, 0.0]] {
            norm.forward(&Tensor::from_vec(values.to_vec(), [2, 1], device)?)?;
        }
        assert_close(norm.running_mean.as_deref().unwrap(), &[(2.0 + 7.0 + 0.0) / 3.0], 1e-6, 0.0);
        assert_close(norm.running_var.as_deref().unwrap(), &[(2.0 + 8.0 + 0.0) / 3.0], 1e-6, 0.0);
        Ok(())
    });
}

#[test]
fn dropout_keeps_the_expectation_and_its_gradient_has_the_same_mask() {
    for_each_device(|device| {
        let layer = Dropout::new(0.25)?;
        let x = Tensor::ones([1000], device)?;
        x.requires_grad_(true)?;
        let y = layer.forward(&x)?;
        y.sum_all()?.backward()?;
        let (values, grad) = (y.to_vec::<f32>()?, x.grad().unwrap().to_vec::<f32>()?);
        assert_eq!(values, grad);
        let kept = values.iter().filter(|&&v| v != 0.0).count();
        assert!((650..850).contains(&kept), "{kept}");
        assert!(values.iter().all(|&v| v == 0.0 || (v - 4.0 / 3.0).abs() < 1e-6));
        layer.eval();
        assert_eq!(layer.forward(&x)?.to_vec::<f32>()?, [1.0; 1000]);
        assert_eq!(dropout(&x, 1.0, true)?.to_vec::<f32>()?, [0.0; 1000]);
        assert!(Dropout::new(1.5).is_err());
        Ok(())
    });
}

#[test]
fn norms_agree_with_their_definitions() {
    for_each_device(|device| {
        let values: Vec<f32> = (0..24).map(|i| ((i * 7) % 11) as f32 - 3.0).collect();
        let x = Tensor::from_vec(values.clone(), [2, 4, 3], device)?;
        let normed = |rows: usize, eps: f64, centre: bool| -> Vec<f64> {
            let row = |r: &[f32]| {
                let n = r.len() as f64;
                let mean = if centre { r.iter().map(|&v| v as f64).sum::<f64>() / n } else { 0.0 };
                let var = r.iter().map(|&v| (v as f64 - mean).powi(2)).sum::<f64>() / n;
                r.iter().map(|&v| (v as f64 - mean) / (var + eps).sqrt()).collect::<Vec<_>>()
            };
            values.chunks(rows).flat_map(row).collect()
        };
        assert_close(&LayerNorm::new([3], device)?.forward(&x)?, &normed(3, 1e-5, true), 1e-5, 1e-6);
        assert_close(&LayerNorm::new([4, 3], device)?.plain().eps(0.1).forward(&x)?, &normed(12, 0.1, true), 1e-5, 1e-6);
        assert_close(&GroupNorm::new(2, 4, device)?.forward(&x)?, &normed(6, 1e-5, true), 1e-5, 1e-6);
        assert_close(&RMSNorm::new([3], device)?.eps(1e-3).forward(&x)?, &normed(3, 1e-3, false), 1e-5, 1e-6);
        assert!(LayerNorm::new([4], device)?.forward(&x).is_err());
        assert!(GroupNorm::new(3, 4, device).is_err());
        Ok(())
    });
}

#[test]
fn a_padding_row_is_zero_and_learns_nothing() {
    for_each_device(|device| {
        let table = Embedding::with_padding(4, 2, 1, device)?;
        let y = table.forward(&Tensor::from_vec(vec![1i64, 3, 1], [3], device)?)?;
        let values = y.to_vec::<f32>()?;
        assert_eq!((&values[..2], &values[4..]), (&[0.0, 0.0][..], &[0.0, 0.0][..]));
        y.sum_all()?.backward()?;
        assert_eq!(table.weight.grad().unwrap().to_vec::<f32>()?, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
        assert!(Embedding::with_padding(4, 2, 4, device).is_err());
        Ok(())
    });
}

#[test]
fn sequences_may_come_first_or_second_and_projections_may_be_separate() {
    for_each_device(|device| {
        let a = MultiheadAttention::builder(8, 2).batch_first(true).build(device)?;
        let b = MultiheadAttention::builder(8, 2).build(device)?;
        b.load_state_dict(&a.state_dict(), true)?;
        let x = Tensor::rand([3, 5, 8], device)?;
        let y = a.self_attention(&x, true)?;
        assert_eq!(y.shape(), [3, 5, 8]);
        let expected: Vec<f64> = y.to_vec::<f32>()?.into_iter().map(f64::from).collect();
        let swapped = b.self_attention(&x.transpose(0, 1)?, true)?.transpose(0, 1)?.contiguous()?;
        assert_close(&swapped, &expected, 1e-5, 1e-6);
        // A copy of the keys takes the path of three projections.
        let copy = x.add(0.0)?;
        assert_close(&a.forward(&x, &copy, &copy, None, true)?, &expected, 1e-5, 1e-6);
        assert_eq!(names(a.named_parameters()), ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]);
        Ok(())
    });
}

#[test]
fn a_sequential_of_an_image_network_runs_and_names_its_layers() {
    for_each_device(|device| {
        let model = Sequential::new()
            .add(Conv2d::builder(1, 4, 3).stride(2).padding(1).build(device)?)
            .add(BatchNorm2d::new(4, device)?)
            .add(ReLU)
            .add(MaxPool2d::new(2))
            .add(AdaptiveAvgPool2d::new(1))
            .add(Flatten::new())
            .add_named("head", Linear::new(4, 3, device)?)
            .add(LogSoftmax::new(-1));
        let y = model.forward(&Tensor::rand([2, 1, 8, 8], device)?)?;
        assert_eq!(y.shape(), [2, 3]);
        assert_close(&y.exp()?.sum(-1)?, &[1.0, 1.0], 1e-5, 0.0);
        assert!(model.state_dict().contains_key("head.weight") && model.state_dict().contains_key("1.running_var"));
        assert!(no_grad(|| model.forward(&Tensor::rand([2, 3, 8, 8], device)?)).is_err());
        Ok(())
    });
}

/// An even kernel needs one zero more behind than before.
#[test]
fn same_padding_keeps_the_size() {
    for_each_device(|device| {
        let x = Tensor::from_vec(vec![1.0f32, 2.0, 3.0], [1, 1, 3], device)?;
        for (kernel, dilation, expected) in [(3, 1, [3.0, 6.0, 5.0]), (2, 1, [3.0, 5.0, 3.0]), (2, 2, [2.0, 4.0, 2.0])] {
            let conv = Conv1d::builder(1, 1, kernel).padding_same().dilation(dilation).bias(false).build(device)?;
            conv.weight.set(&Tensor::ones([1, 1, kernel], device)?)?;
            assert_close(&conv.forward(&x)?, &expected, 0.0, 0.0);
        }
        assert!(Conv2d::builder(1, 1, 3).stride(2).padding_same().build(device).is_err());
        let pool = AdaptiveAvgPool2d::keeping([Some(1), None]);
        assert_eq!(pool.forward(&Tensor::ones([1, 2, 4, 5], device)?)?.shape(), [1, 2, 1, 5]);
        Ok(())
    });
}
