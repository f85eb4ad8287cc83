//! Layers whose names or formulas mislead, and what they compute here.

use super::*;
use crate::testing::{assert_close, for_each_device};
use crate::{DType, Device, Result, Tensor};

/// Two things are called a gated linear unit: one halves the features, one keeps them.
#[test]
fn gates_halve_the_features_or_keep_them() {
    for_each_device(|device| {
        let x = Tensor::new([[1.0, -2.0, 0.5, 3.0]], device)?;
        assert_eq!(GLU::new(-1).forward(&x)?.shape(), [1, 2]);
        let gate = GatedLinearUnit::new(4, device)?;
        gate.linear.weight.set(&Tensor::zeros([4, 4], device)?)?;
        gate.linear.bias.as_ref().map_or(Ok(()), |b| b.set(&Tensor::zeros([4], device)?))?;
        assert_close(&gate.forward(&x)?, &[0.5, -1.0, 0.25, 1.5], 1e-6, 0.0);
        Ok(())
    });
}

/// A learned `beta` learns, a fixed one does not; checkpoints have both.
#[test]
fn the_slope_of_swish_is_in_the_state_either_way() {
    for_each_device(|device| {
        let x = Tensor::new([0.5, -1.0], device)?;
        for learnable in [true, false] {
            let swish = Swish::new(1.0, learnable, device)?;
            assert!(swish.forward(&x)?.allclose(&x.silu()?, 1e-6, 1e-7, false)?);
            assert_eq!(swish.state_dict().keys().collect::<Vec<_>>(), ["beta"]);
            assert_eq!(swish.num_parameters(), usize::from(learnable));
        }
        Ok(())
    });
}

/// `softplus` inside `mish` would overflow, and its logarithm come back as infinity or NaN.
#[test]
fn activations_are_finite_far_out() {
    for_each_device(|device| {
        let x = Tensor::new([1e4, 100.0, 0.0, -100.0, -1e4], device)?;
        x.requires_grad_(true)?;
        for (name, f) in [
            ("mish", Tensor::mish as fn(&Tensor) -> Result<Tensor>),
            ("silu", Tensor::silu),
            ("log_sigmoid", Tensor::log_sigmoid),
            ("sigmoid", Tensor::sigmoid),
            ("softplus", |x| x.softplus(1.0, 20.0)),
            ("gelu", |x| x.gelu("tanh")),
        ] {
            x.zero_grad();
            let y = f(&x)?;
            y.sum_all()?.backward()?;
            let g = x.grad().map_or(Ok(vec![]), |g| g.to_vec::<f32>())?;
            assert!(y.to_vec::<f32>()?.iter().chain(&g).all(|v| v.is_finite()), "{name}: {:?} {g:?}", y.to_vec::<f32>());
        }
        assert_eq!(x.detach()?.mish()?.to_vec::<f32>()?[..2], [1e4, 100.0]);
        Ok(())
    });
}

/// Heads that do not divide the features are an error, not a truncated projection.
#[test]
fn heads_divide_the_features() {
    let cpu = Device::cpu();
    assert!(MultiheadAttention::builder(10, 3).build(&cpu).is_err());
    assert!(TransformerConfig::new(10, 4).encoder_layer(&cpu).is_err());
    assert!(MultiheadAttention::builder(4, 0).build(&cpu).is_err());
}

/// The update gate says how much of the old state stays (in the paper, how much of it goes), and the reset gate multiplies the state's
/// part after its product.
#[test]
fn an_open_update_gate_keeps_the_state() {
    for_each_device(|device| {
        let gru = GRU::new(2, 3, device)?;
        let bias = gru.get_parameter("bias_ih_l0")?;
        let set = |r: f32, z: f32| bias.set(&Tensor::from_vec(vec![r, r, r, z, z, z, 0.0, 0.0, 0.0], [9], device)?);
        let (x, h) = (Tensor::new([[0.3, -0.2]], device)?, Tensor::new([[0.7, -0.4, 0.1]], device)?);
        set(0.0, 50.0)?;
        assert_close(&gru.forward(&x, Some(&h))?.1, &[0.7, -0.4, 0.1], 1e-6, 1e-7);
        // A closed reset gate leaves the bias of the state's part out as well: it is inside of what is multiplied.
        set(-50.0, -50.0)?;
        let w = gru.get_parameter("weight_ih_l0")?.narrow(0, 6, 3)?;
        let fresh = x.linear(&w, None)?.tanh()?;
        assert!(gru.forward(&x, Some(&h))?.0.allclose(&fresh, 1e-5, 1e-6, false)?);
        Ok(())
    });
}

/// Both biases of a recurrent network exist, so that checkpoints fit.
#[test]
fn recurrent_networks_have_two_biases() -> Result<()> {
    let rnn = RNN::new(2, 3, &Device::cpu())?;
    let names: Vec<String> = rnn.named_parameters().into_iter().map(|(n, _)| n).collect();
    assert_eq!(names, ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]);
    Ok(())
}

/// Layer norm is over the last dimensions of each example; it is not over channels.
#[test]
fn layer_norm_is_over_the_last_dimensions() {
    for_each_device(|device| {
        let x = Tensor::from_vec((0..24).map(|i| (i * i % 17) as f32).collect::<Vec<_>>(), [2, 3, 4], device)?;
        let y = LayerNorm::new([4], device)?.forward(&x)?;
        assert_close(&y.mean(-1)?, &[0.0; 6], 0.0, 1e-5);
        let channels = y.mean([0, 2])?.to_vec::<f32>()?;
        assert_eq!(channels.len(), 3);
        assert!(y.mean(1)?.abs()?.sum_all()?.item::<f32>()? > 0.1);
        assert!(LayerNorm::new([3], device)?.forward(&x).is_err());
        Ok(())
    });
}

/// The gradient of a distance of nothing is nothing.
#[test]
fn equal_points_have_a_distance_without_slope() {
    for_each_device(|device| {
        let a = Tensor::new([[1.0, 2.0], [0.0, 0.0]], device)?;
        a.requires_grad_(true)?;
        let b = Tensor::new([[1.0, 2.0], [3.0, 4.0]], device)?;
        a.cdist(&b, 2.0)?.sum_all()?.backward()?;
        // Of the other points alone: unit vectors that lead away from them.
        let (root, five) = (0.5f64.sqrt(), 0.2f64.sqrt());
        assert_close(&a.grad().unwrap(), &[-root, -root, -five - 0.6, -2.0 * five - 0.8], 1e-5, 1e-6);
        Ok(())
    });
}

/// Compilers of shaders may assume that there are no NaNs: they are found by their bits.
#[test]
fn not_a_number_is_found_on_every_device() {
    for_each_device(|device| {
        let x = Tensor::new([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -f32::NAN], device)?;
        assert_eq!(x.isnan()?.to_vec::<bool>()?, [true, false, false, false, true]);
        assert_eq!(x.isinf()?.to_vec::<bool>()?, [false, true, true, false, false]);
        let low = x.to_dtype(DType::F16)?;
        assert_eq!(low.isnan()?.to_vec::<bool>()?, [true, false, false, false, true]);
        Ok(())
    });
}

/// Rows are scaled where they are looked up, in place; others stay as they are. Frequent rows learn no faster than rare ones if asked.
#[test]
fn embeddings_limit_norms_and_weigh_by_frequency() {
    for_each_device(|device| {
        let table = Tensor::new([[3.0, 4.0], [6.0, 8.0], [0.3, 0.4]], device)?;
        let limited = Embedding::from_pretrained(&table, false)?.max_norm(5.0, 2.0);
        let y = limited.forward(&Tensor::new([1, 2], device)?)?;
        assert_close(&y, &[3.0, 4.0, 0.3, 0.4], 1e-5, 0.0);
        assert_close(&limited.weight, &[3.0, 4.0, 3.0, 4.0, 0.3, 0.4], 1e-5, 0.0);
        let fair = Embedding::from_pretrained(&table, false)?.scale_grad_by_freq(true);
        fair.forward(&Tensor::new([[0, 1], [1, 1]], device)?)?.sum_all()?.backward()?;
        assert_close(&fair.weight.grad().unwrap(), &[1.0, 1.0, 1.0, 1.0, 0.0, 0.0], 1e-6, 0.0);
        Ok(())
    });
}

/// With room for all, routes do not matter; without it, the tokens that come last go without.
#[test]
fn experts_with_little_room_leave_tokens_out() {
    for_each_device(|device| {
        let moe = |capacity: Option<f64>| -> Result<MixtureOfExperts<Linear>> {
            crate::manual_seed(4);
            let experts = vec![Linear::new(3, 3, device)?, Linear::new(3, 3, device)?];
            let moe = MixtureOfExperts::new(3, experts, 1, device)?;
            // Everybody wants the first expert.
            moe.gate.weight.set(&Tensor::new([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]], device)?)?;
            let copy = moe.deep_copy()?;
            Ok(match capacity {
                Some(c) => copy.capacity(c),
                None => copy,
            })
        };
        let x = Tensor::from_vec((1..13).map(|i| i as f32 / 10.0).collect::<Vec<_>>(), [4, 3], device)?;
        let (all, balance) = moe(None)?.forward(&x)?;
        let (roomy, same) = moe(Some(2.0))?.forward(&x)?;
        assert!(roomy.allclose(&all, 1e-5, 1e-6, false)? && balance.allclose(&same, 1e-6, 0.0, false)?);
        let tight = moe(Some(1.0))?;
        x.requires_grad_(true)?;
        let (y, _) = tight.forward(&x)?;
        assert!(y.narrow(0, 0, 2)?.allclose(&all.narrow(0, 0, 2)?, 1e-5, 1e-6, false)?);
        assert_eq!(y.narrow(0, 2, 2)?.to_vec::<f32>()?, [0.0; 6]);
        y.sum_all()?.backward()?;
        let g = x.grad().map_or(Ok(vec![]), |g| g.to_vec::<f32>())?;
        assert!(g[..6].iter().any(|&v| v != 0.0) && g[6..].iter().all(|&v| v == 0.0), "{g:?}");
        Ok(())
    });
}

/// Each channel by itself.
#[test]
fn depthwise_filters_do_not_mix_channels() -> Result<()> {
    let cpu = Device::cpu();
    let layer = DepthwiseConv2d::new(2, 1, &cpu)?;
    let state = layer.state_dict();
    assert_eq!((state["weight"].shape(), state.len()), (&[2usize, 1, 1, 1][..], 2));
    let x = Tensor::new([[[[1.0]], [[0.0]]]], &cpu)?;
    let y = layer.forward(&x)?.to_vec::<f32>()?;
    assert_eq!(y[1], state["bias"].to_vec::<f32>()?[1]);
    Ok(())
}
