//! Where models are put together and go wrong quietly: ties, hooks, types, directions, what a layer takes its input for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::optim::{Optimizer, Sgd};
use crate::testing::{assert_close, for_each_device};
use crate::{DType, Device, Result, Tensor};

#[derive(Module)]
struct Tied {
    table: Embedding,
    head: Linear,
}

/// Loading writes into the one parameter that has two names; it does not make two of it. Both uses add to its gradient.
#[test]
fn a_tie_survives_loading() -> Result<()> {
    let device = Device::cpu();
    let table = Embedding::new(3, 2, &device)?;
    let head = Linear { weight: table.weight.clone(), bias: None };
    let model = Tied { table, head };
    let mut optimizer = Sgd::new(model.parameters(), 0.5)?;
    let full = |v: f64| Tensor::full([3, 2], v, &device);
    model.load_state_dict(&[("table.weight".to_string(), full(1.0)?), ("head.weight".into(), full(2.0)?)].into(), true)?;
    assert!(model.table.weight.ptr_eq(&model.head.weight));
    assert_eq!(model.table.weight.to_vec::<f32>()?, [2.0; 6]);
    // One of its names is enough.
    model.load_state_dict(&[("table.weight".to_string(), full(1.0)?)].into(), false)?;
    assert_eq!(model.head.weight.to_vec::<f32>()?, [1.0; 6]);
    model.head.forward(&model.table.forward(&Tensor::new([0], &device)?)?)?.sum_all()?.backward()?;
    optimizer.step()?;
    // The product with every row has a slope of 1 in each, and of 3 in the row that was looked up.
    assert_eq!(model.head.weight.to_vec::<f32>()?, [-1.0, -1.0, 0.5, 0.5, 0.5, 0.5]);
    Ok(())
}

/// Whoever calls the layer: a hook that only a direct call reaches would miss every layer of a model.
#[test]
fn hooks_fire_inside_of_other_modules() -> Result<()> {
    let device = Device::cpu();
    let inner = Hooked::new(Linear::new(2, 2, &device)?);
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let handle = inner.register_forward_hook(move |_, y| {
        counter.fetch_add(1, Ordering::Relaxed);
        y.mul(0.0)?.add(3.0).map(Some)
    });
    let model = Sequential::new().add(Sequential::new().add(inner)).add(ReLU);
    let x = Tensor::ones([1, 2], &device)?;
    assert_eq!(model.forward(&x)?.to_vec::<f32>()?, [3.0, 3.0]);
    handle.remove();
    model.forward(&x)?;
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    Ok(())
}

/// A model in half precision still counts its batches in integers.
#[test]
fn counters_stay_integers_when_a_model_changes_type() {
    for_each_device(|device| {
        let mut norm = BatchNorm1d::new(2, device)?;
        norm.forward(&Tensor::ones([3, 2], device)?)?;
        norm.to_dtype(DType::F16)?;
        let state = norm.state_dict();
        let types = ["weight", "running_mean", "num_batches_tracked"].map(|name| state[name].dtype());
        assert_eq!(types, [DType::F16, DType::F16, DType::I64]);
        assert_eq!(state["num_batches_tracked"].item::<i64>()?, 1);
        Ok(())
    });
}

/// A model as a function of its state has buffers in it too: its own are neither what the call reads nor what it moves.
#[test]
fn a_functional_call_takes_buffers_along() {
    for_each_device(|device| {
        let norm = BatchNorm1d::new(1, device)?;
        let mut state = norm.state_dict();
        state.insert("running_mean".into(), Tensor::full([1], 5.0, device)?);
        norm.eval();
        let call = |x: &[f32]| functional_call(&norm, &state, || norm.forward(&Tensor::from_slice(x, [x.len(), 1], device)?));
        assert_close(&call(&[7.0])?, &[2.0], 1e-4, 0.0);
        norm.train(true);
        assert_close(&call(&[1.0, 3.0])?, &[-1.0, 1.0], 1e-4, 0.0);
        let own = norm.state_dict();
        assert_eq!((own["running_mean"].to_vec::<f32>()?, own["num_batches_tracked"].item::<i64>()?), (vec![0.0], 0));
        Ok(())
    });
}

/// A picture as files have it, its channels behind, is not one with other channels.
#[test]
fn pictures_have_their_channels_first() -> Result<()> {
    let device = Device::cpu();
    let conv = Conv2d::new(3, 4, 3, &device)?;
    assert!(conv.forward(&Tensor::ones([1, 8, 8, 3], &device)?).is_err());
    assert!(conv.forward(&Tensor::ones([8, 8, 3], &device)?).is_err());
    assert_eq!(conv.forward(&Tensor::ones([3, 8, 8], &device)?)?.shape(), [4, 6, 6]);
    Ok(())
}

/// Three gates are sigmoids; the candidate is a hyperbolic tangent and not the cell, whose tangent the output gate lets through.
#[test]
fn a_step_of_long_short_term_memory_is_its_formulas() {
    for_each_device(|device| {
        let cell = LSTMCell::new(1, 1, true, device)?;
        let (w, u, b) = ([0.5f32, -0.3, 0.8, 1.1], [0.2f32, 0.7, -0.4, 0.6], [0.1f32, -0.2, 0.3, 0.4]);
        for (name, values, shape) in
            [("weight_ih", w, &[4usize, 1][..]), ("weight_hh", u, &[4, 1]), ("bias_ih", b, &[4]), ("bias_hh", [0.0; 4], &[4])]
        {
            cell.get_parameter(name)?.set(&Tensor::from_slice(&values, shape, device)?)?;
        }
        let (x, h, c) = (0.9, -0.5, 0.7);
        let z = |k: usize| f64::from(w[k]) * x + f64::from(u[k]) * h + f64::from(b[k]);
        let gate = |k: usize| 1.0 / (1.0 + (-z(k)).exp());
        let next = gate(1) * c + gate(0) * z(2).tanh();
        let one = |v: f64| Tensor::full([1, 1], v, device);
        let (state, cells) = cell.forward(&one(x)?, Some((&one(h)?, &one(c)?)))?;
        assert_close(&cells, &[next], 1e-5, 0.0);
        assert_close(&state, &[gate(3) * next.tanh()], 1e-5, 0.0);
        Ok(())
    });
}

/// Sequences that grow are refused where they should shrink: sorted silently, they would come back in another order.
#[test]
fn unsorted_lengths_are_refused_or_sorted_back() -> Result<()> {
    let x = Tensor::from_vec((0..12).map(|i| i as f32).collect::<Vec<_>>(), [2, 3, 2], &Device::cpu())?;
    assert!(pack_padded_sequence(&x, &[1, 3], true, true).is_err());
    assert!(pack_padded_sequence(&x, &[0, 3], true, false).is_err());
    let packed = pack_padded_sequence(&x, &[1, 3], true, false)?;
    assert_eq!(packed.data.to_vec::<f32>()?, [6.0, 7.0, 0.0, 1.0, 8.0, 9.0, 10.0, 11.0]);
    let (y, lengths) = pad_packed_sequence(&packed, true, -1.0, None)?;
    assert_eq!(y.to_vec::<f32>()?, [0.0, 1.0, -1.0, -1.0, -1.0, -1.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
    assert_eq!(lengths, [1, 3]);
    Ok(())
}

/// Twice the features: the second half is a network of its own that reads from the end, and ends at the first step.
#[test]
fn both_directions_stand_side_by_side() {
    for_each_device(|device| {
        let both = GRU::builder(2, 3).bidirectional(true).build(device)?;
        let x = Tensor::from_vec((0..8).map(|i| (i as f32).sin()).collect::<Vec<_>>(), [4, 1, 2], device)?;
        let (y, h) = both.forward(&x, None)?;
        assert_eq!((y.shape(), h.shape()), (&[4, 1, 6][..], &[2, 1, 3][..]));
        let backward = GRU::new(2, 3, device)?;
        let state = both.state_dict();
        let own = state.iter().filter_map(|(name, t)| Some((name.strip_suffix("_reverse")?.to_string(), t.clone())));
        backward.load_state_dict(&own.collect(), true)?;
        let (back, end) = backward.forward(&x.flip(0)?, None)?;
        assert!(y.narrow(2, 3, 3)?.allclose(&back.flip(0)?, 1e-5, 1e-6, false)?);
        assert!(h.select(0, 1)?.allclose(&end.select(0, 0)?, 1e-5, 1e-6, false)?);
        assert!(h.select(0, 1)?.allclose(&y.select(0, 0)?.narrow(1, 3, 3)?, 1e-5, 1e-6, false)?);
        Ok(())
    });
}

/// `1 / (1 - p)` is infinite where everything goes: zeros, forwards and backwards.
#[test]
fn nothing_survives_a_dropout_of_everything() {
    for_each_device(|device| {
        let x = Tensor::ones([2, 3, 4], device)?;
        x.requires_grad_(true)?;
        for (name, f) in [
            ("dropout", dropout as fn(&Tensor, f64, bool) -> Result<Tensor>),
            ("dropout1d", dropout1d),
            ("alpha_dropout", alpha_dropout),
            ("feature_alpha_dropout", feature_alpha_dropout),
        ] {
            x.zero_grad();
            let y = f(&x, 1.0, true)?;
            y.sum_all()?.backward()?;
            let g = x.grad().map_or(Ok(vec![0.0; 24]), |g| g.to_vec::<f32>())?;
            assert_eq!((y.to_vec::<f32>()?, g), (vec![0.0; 24], vec![0.0; 24]), "{name}");
        }
        Ok(())
    });
}

/// Two formulas have one name and differ in the fourth digit: the exact one is meant unless the other is asked for.
#[test]
fn gelu_is_the_exact_one_unless_asked() {
    for_each_device(|device| {
        let x = Tensor::new([1.0, -2.0], device)?;
        assert_close(&GELU::new().forward(&x)?, &[0.841_344_746, -0.045_500_264], 1e-5, 1e-6);
        assert_close(&GELU::tanh().forward(&x)?, &[0.841_191_991, -0.045_402_306], 1e-5, 1e-6);
        Ok(())
    });
}
