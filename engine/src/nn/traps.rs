//! Where networks go wrong quietly: each test is one way, and that it is closed here.

use super::*;
use crate::loss::{self, Ctc, Mining, Reduction};
use crate::testing::{assert_close, assert_gradients, for_each_device};
use crate::{DType, Device, Error, Result, Tensor};

fn noise(n: usize, seed: usize) -> Vec<f64> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 1000) as f64 / 500.0 - 1.0).collect()
}

fn wave(shape: &[usize], seed: usize, device: &Device) -> Result<Tensor> {
    Tensor::from_vec(noise(shape.iter().product(), seed).iter().map(|&v| v as f32).collect::<Vec<_>>(), shape, device)
}

/// Packed sequences give what each sequence gives alone, whatever the order they come in.
#[test]
fn packed_sequences_are_each_sequence_alone() {
    for_each_device(|dev| {
        let lengths = [2, 4, 1, 3];
        let x = wave(&[4, 4, 3], 1, dev)?;
        let lstm = LSTM::builder(3, 5).num_layers(2).bidirectional(true).build(dev)?;
        let gru = GRU::new(3, 5, dev)?;
        let packed = pack_padded_sequence(&x, &lengths, true, false)?;
        assert_eq!((packed.batch_sizes.clone(), packed.lengths()), (vec![4, 3, 2, 1], lengths.to_vec()));
        let (y, (h, c)) = lstm.forward_packed(&packed, None)?;
        let (y, back) = pad_packed_sequence(&y, true, 0.0, None)?;
        assert_eq!((y.shape(), back), (&[4, 4, 10][..], lengths.to_vec()));
        let (_, g) = gru.forward_packed(&packed, None)?;
        for (i, &length) in lengths.iter().enumerate() {
            let own = x.select(0, i as isize)?.narrow(0, 0, length)?;
            let (alone, (h_alone, c_alone)) = lstm.forward(&own, None)?;
            let padded = y.select(0, i as isize)?;
            let close = |a: &Tensor, b: &Tensor| assert!(a.allclose(b, 1e-4, 1e-5, false).unwrap_or(false));
            close(&padded.narrow(0, 0, length)?, &alone);
            close(&h.select(1, i as isize)?, &h_alone);
            close(&c.select(1, i as isize)?, &c_alone);
            close(&g.select(1, i as isize)?, &gru.forward(&own, None)?.1);
            assert_eq!(padded.narrow(0, length, 4 - length)?.abs()?.sum_all()?.item::<f32>()?, 0.0);
        }
        Ok(())
    });
}

/// What is padding has no gradient.
#[test]
fn padding_does_not_learn() -> Result<()> {
    let cpu = Device::cpu();
    let x = wave(&[3, 2, 2], 2, &cpu)?;
    x.requires_grad_(true)?;
    let packed = pack_padded_sequence(&x, &[3, 1], false, true)?;
    let (y, _) = LSTM::new(2, 3, &cpu)?.forward_packed(&packed, None)?;
    y.data.sum_all()?.backward()?;
    let g: Vec<f32> = x.grad().map_or(Ok(vec![]), |g| g.select(1, 1)?.to_vec())?;
    assert!(g[..2].iter().any(|&v| v != 0.0) && g[2..].iter().all(|&v| v == 0.0), "{g:?}");
    Ok(())
}

/// The gradient by hand is the derivative, and so is its own.
#[test]
fn recurrent_gradients() {
    let cpu = Device::cpu();
    let f64s = || (DType::F64, &cpu);
    let lengths = [3, 1];
    let run = |module: &dyn Module, forward: &dyn Fn(&PackedSequence) -> Result<Tensor>| {
        let params: Vec<Param> = module.parameters();
        let x = noise(3 * 2 * 2, 3);
        let inputs: [(&[f64], &[usize]); 1] = [(&x, &[3, 2, 2])];
        assert_gradients(&inputs, |t| forward(&pack_padded_sequence(&t[0], &lengths, false, true)?));
        // One weight at a time, in the place of the parameter.
        for p in params {
            let old: Vec<f64> = p.to_vec().unwrap();
            let shape = p.shape().to_vec();
            let x = Tensor::from_vec(x.clone(), [3, 2, 2], &cpu).unwrap();
            let eps = 1e-6;
            let value = |shift: Option<(usize, f64)>| -> f64 {
                let mut values = old.clone();
                if let Some((i, by)) = shift {
                    values[i] += by;
                }
                p.set(&Tensor::from_vec(values, &shape, &cpu).unwrap()).unwrap();
                let y = forward(&pack_padded_sequence(&x, &lengths, false, true).unwrap()).unwrap();
                y.square().unwrap().sum_all().unwrap().item::<f64>().unwrap()
            };
            let wanted: Vec<f64> = (0..old.len()).map(|i| (value(Some((i, eps))) - value(Some((i, -eps)))) / (2.0 * eps)).collect();
            value(None);
            module.zero_grad();
            let y = forward(&pack_padded_sequence(&x, &lengths, false, true).unwrap()).unwrap();
            y.square().unwrap().sum_all().unwrap().backward().unwrap();
            assert_close(&p.grad().unwrap(), &wanted, 1e-5, 1e-7);
        }
    };
    for reverse in [false, true] {
        let lstm = LSTM::builder(2, 3).bidirectional(reverse).proj_size(2).build(f64s()).unwrap();
        run(&lstm, &|x| {
            let (y, (h, c)) = lstm.forward_packed(x, None)?;
            Tensor::cat(&[y.data.flatten(0, -1)?, h.flatten(0, -1)?, c.flatten(0, -1)?], 0)
        });
        let gru = GRU::builder(2, 3).bidirectional(reverse).build(f64s()).unwrap();
        run(&gru, &|x| {
            let (y, h) = gru.forward_packed(x, None)?;
            Tensor::cat(&[y.data.flatten(0, -1)?, h.flatten(0, -1)?], 0)
        });
    }
    let rnn = RNN::builder(2, 3).num_layers(2).build(f64s()).unwrap();
    run(&rnn, &|x| rnn.forward_packed(x, None).map(|(y, _)| y.data));
}

/// A forget gate that starts open: its biases sum to what was asked for, the others stay.
#[test]
fn forget_gates_start_open() -> Result<()> {
    let lstm = LSTM::new(2, 3, &Device::cpu())?;
    lstm.set_forget_bias(1.0)?;
    let state = lstm.state_dict();
    let sum: Vec<f32> = state["bias_ih_l0"].add(&state["bias_hh_l0"])?.to_vec()?;
    assert!(sum[3..6].iter().all(|&b| b == 1.0) && sum[..3].iter().chain(&sum[6..]).all(|&b| b != 1.0));
    Ok(())
}

/// `true` hides in PyTorch's module and lets attend in its function: each method says which it means.
#[test]
fn boolean_masks_mean_what_the_method_says() {
    for_each_device(|dev| {
        let attention = MultiheadAttention::builder(4, 2).batch_first(true).build(dev)?;
        let x = wave(&[1, 3, 4], 4, dev)?;
        let hidden = Tensor::new([[false, true, true], [false, false, true], [false, false, false]], dev)?;
        let masks = Masks { attn: Some(&hidden), ..Masks::default() };
        let (a, _) = attention.attend(&x, &x, &x, masks, Weights::None)?;
        let b = attention.forward(&x, &x, &x, Some(&hidden.logical_not()?), false)?;
        let (c, w) = attention.attend(&x, &x, &x, Masks::causal(), Weights::Averaged)?;
        assert!(a.allclose(&b, 1e-5, 1e-6, false)? && a.allclose(&c, 1e-4, 1e-5, false)?);
        let w: Vec<f32> = w.map_or(Ok(vec![]), |w| w.to_vec())?;
        assert_eq!((w[1], w[2], w[5]), (0.0, 0.0, 0.0));
        Ok(())
    });
}

/// A query that may attend to nothing gives zeros in place of NaN, and its gradient is finite.
#[test]
fn a_row_that_is_masked_throughout_is_no_nan() {
    for_each_device(|dev| {
        let attention = MultiheadAttention::builder(4, 2).batch_first(true).build(dev)?;
        let x = wave(&[1, 2, 4], 5, dev)?;
        x.requires_grad_(true)?;
        let all = Tensor::new([[true, true]], dev)?;
        let y = attention.attend(&x, &x, &x, Masks { key_padding: Some(&all), ..Masks::default() }, Weights::None)?.0;
        y.sum_all()?.backward()?;
        assert!(y.isfinite()?.all(..)?.item::<bool>()?);
        assert!(x.grad().expect("a gradient, if only of zeros").isfinite()?.all(..)?.item::<bool>()?);
        Ok(())
    });
}

/// An initialiser nobody knows is an error, not a weight left as it was.
#[test]
fn unknown_initialisers_are_refused() -> Result<()> {
    let w = Tensor::zeros([6, 4], &Device::cpu())?;
    assert!(matches!(init::by_name(&w, "glorot"), Err(Error::Argument { .. })));
    for name in ["xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal", "variance_scaling", "ones"] {
        init::zeros_(&w)?;
        init::by_name(&w, name)?;
        assert!(w.abs()?.sum_all()?.item::<f32>()? > 0.0, "{name}");
    }
    for shape in [[6, 4], [4, 6], [3, 3]] {
        let w = Tensor::zeros(shape, &Device::cpu())?;
        init::orthogonal_(&w, 2.0)?;
        let w = if shape[0] <= shape[1] { w } else { w.t()?.contiguous()? };
        let n = shape[0].min(shape[1]);
        assert!(w.matmul(&w.t()?)?.allclose(&Tensor::eye(n, &Device::cpu())?.mul(4.0)?, 1e-5, 1e-5, false)?);
    }
    let conv = Tensor::zeros([4, 2, 3], &Device::cpu())?;
    init::dirac_(&conv, 2)?;
    assert_eq!(conv.select(2, 1)?.to_vec::<f32>()?, [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
    Ok(())
}

/// A column beside a row would broadcast to a matrix and train on nonsense.
#[test]
fn shapes_that_would_broadcast_are_refused() -> Result<()> {
    let cpu = Device::cpu();
    let (column, row) = (Tensor::ones([4, 1], &cpu)?, Tensor::ones([4], &cpu)?);
    let m = Reduction::Mean;
    assert!(loss::mse_loss(&column, &row, m).is_err() && loss::l1_loss(&column, &row, m).is_err());
    assert!(loss::huber_loss(&column, &row, 1.0, m).is_err() && loss::soft_margin_loss(&column, &row, m).is_err());
    assert!(loss::hinge_embedding_loss(&column, &row, 1.0, m).is_err() && loss::log_cosh_loss(&column, &row, m).is_err());
    assert!(loss::margin_ranking_loss(&column, &column, &row, 0.0, m).is_err() && loss::quantile_loss(&column, &row, 0.5, m).is_err());
    assert!(loss::binary_cross_entropy_with_logits(&column, &row, None, None, m).is_err());
    Ok(())
}

/// Large differences, sure predictions, equal points: nothing overflows, nothing is NaN, forwards or backwards.
#[test]
fn losses_are_finite_where_formulas_are_not() {
    for_each_device(|dev| {
        let finite = |inputs: &[f32], f: &dyn Fn(&Tensor) -> Result<Tensor>| -> Result<()> {
            let x = Tensor::from_slice(inputs, [inputs.len()], dev)?;
            x.requires_grad_(true)?;
            let y = f(&x)?;
            y.sum_all()?.backward()?;
            let g: Vec<f32> = x.grad().expect("the loss depends on it").to_vec()?;
            assert!(y.to_vec::<f32>()?.iter().chain(&g).all(|v| v.is_finite()), "{:?} {g:?}", y.to_vec::<f32>());
            Ok(())
        };
        let n = Reduction::None;
        finite(&[1000.0, -1000.0, 0.0], &|x| loss::log_cosh_loss(x, &x.zeros_like()?, n))?;
        finite(&[200.0, -200.0, 0.0], &|x| loss::sigmoid_focal_loss(x, &Tensor::new([1.0, 1.0, 0.0], dev)?, Some(0.25), 2.0, n))?;
        finite(&[300.0, 0.0, -300.0], &|x| loss::focal_loss(&x.reshape([1, 3])?, &Tensor::new([0], dev)?, None, 2.0, n))?;
        finite(&[300.0, -300.0], &|x| loss::soft_margin_loss(x, &Tensor::new([-1.0, -1.0], dev)?, n))?;
        finite(&[0.0, 0.0, 0.0, 0.0], &|x| {
            let labels = Tensor::new([0, 0], dev)?;
            loss::mined_triplet_loss(&x.reshape([2, 2])?, &labels, 0.5, Mining::Hard)
        })?;
        // The slope of a difference at 0 is 0.
        let x = Tensor::zeros([2], dev)?;
        x.requires_grad_(true)?;
        loss::l1_loss(&x, &x.detach()?, Reduction::Sum)?.backward()?;
        assert_eq!(x.grad().map_or(Ok(vec![]), |g| g.to_vec::<f32>())?, [0.0, 0.0]);
        Ok(())
    });
}

/// One row without another of its label does not switch the whole loss off.
#[test]
fn contrast_counts_the_rows_that_have_partners() {
    for_each_device(|dev| {
        let x = wave(&[5, 3], 6, dev)?;
        let labels = Tensor::new([0, 1, 0, 1, 2], dev)?;
        let value = loss::supervised_contrastive_loss(&x, &labels, 0.07)?.item::<f32>()?;
        assert!(value.is_finite() && value > 0.0, "{value}");
        for mining in [Mining::Hard, Mining::SemiHard, Mining::All] {
            assert!(loss::mined_triplet_loss(&x, &labels, 1.0, mining)?.item::<f32>()? > 0.0);
        }
        let none = Tensor::new([0, 1, 2, 3, 4], dev)?;
        assert_eq!(loss::supervised_contrastive_loss(&x, &none, 0.07)?.item::<f32>()?, 0.0);
        assert_eq!(loss::mined_triplet_loss(&x, &none, 1.0, Mining::Hard)?.item::<f32>()?, 0.0);
        assert!(loss::info_nce_loss(&x, &x, 0.07, true)?.item::<f32>()? >= 0.0);
        Ok(())
    });
}

/// The penalty on a critic's slope has a gradient itself: a linear critic's is known.
#[test]
fn the_slope_of_a_critic_learns() -> Result<()> {
    let cpu = Device::cpu();
    let w = Tensor::new([[3.0], [4.0]], &cpu)?;
    w.requires_grad_(true)?;
    let (a, b) = (wave(&[3, 2], 7, &cpu)?, wave(&[3, 2], 8, &cpu)?);
    let penalty = loss::gradient_penalty(|x| x.matmul(&w), &a, &b)?;
    penalty.backward()?;
    assert_close(&penalty, &[16.0], 1e-5, 0.0);
    // d (|w| - 1)^2 / dw = 2 (|w| - 1) w / |w|
    assert_close(&w.grad().map_or_else(|| w.zeros_like(), Ok)?, &[8.0 * 0.6, 8.0 * 0.8], 1e-4, 1e-5);
    Ok(())
}

/// Every alignment counted by hand.
#[test]
fn ctc_is_the_sum_over_alignments() {
    let (steps, classes) = (4, 3);
    let x = noise(steps * classes, 9);
    let log_p: Vec<f64> = x
        .chunks(classes)
        .flat_map(|row| {
            let sum: f64 = row.iter().map(|v| v.exp()).sum();
            row.iter().map(move |v| v - sum.ln()).collect::<Vec<_>>()
        })
        .collect();
    for target in [vec![1i64, 2], vec![1, 1], vec![2], vec![]] {
        let mut total = 0.0;
        for path in 0..classes.pow(steps as u32) {
            let at = |t: usize| path / classes.pow(t as u32) % classes;
            let mut spelled: Vec<i64> = (0..steps).map(|t| at(t) as i64).collect();
            spelled.dedup();
            spelled.retain(|&c| c != 0);
            if spelled == target {
                total += (0..steps).map(|t| log_p[t * classes + at(t)]).sum::<f64>().exp();
            }
        }
        for_each_device(|dev| {
            let lp = Tensor::from_vec(log_p.iter().map(|&v| v as f32).collect::<Vec<_>>(), [steps, classes], dev)?;
            let t = Tensor::from_vec(target.clone(), [target.len()], dev)?;
            let options = Ctc { reduction: Reduction::Sum, ..Ctc::default() };
            assert_close(&loss::ctc_loss(&lp, &t, &[steps], &[target.len()], options)?, &[-total.ln()], 1e-5, 1e-5);
            Ok(())
        });
    }
}

/// Rows of frequent and rare classes get what all classes' probabilities say, and these sum to 1.
#[test]
fn adaptive_softmax_is_a_softmax() {
    for_each_device(|dev| {
        let loss = AdaptiveLogSoftmaxWithLoss::new(6, 9, &[3, 6], 2.0, false, dev)?;
        let (x, target) = (wave(&[4, 6], 10, dev)?, Tensor::new([0, 4, 8, 5], dev)?);
        let (rows, _) = loss.forward(&x, &target)?;
        let all = loss.log_prob(&x)?;
        let own = all.gather(1, &target.unsqueeze(1)?)?.squeeze(1)?;
        assert!(rows.allclose(&own, 1e-5, 1e-5, false)?);
        assert_close(&all.exp()?.sum(1)?, &[1.0; 4], 1e-5, 0.0);
        assert!(loss.forward(&x, &Tensor::new([0, 1, 2, 9], dev)?).is_err());
        Ok(())
    });
}

/// Turned queries and keys know their distance and nothing else.
#[test]
fn rotary_products_depend_on_distance() -> Result<()> {
    let cpu = Device::cpu();
    let rope = RotaryEmbedding::new(8, 10000.0)?;
    let (q, k) = (wave(&[1, 8], 11, &cpu)?, wave(&[1, 8], 12, &cpu)?);
    let product = |i: usize, j: usize| rope.forward(&q, i)?.mul(&rope.forward(&k, j)?)?.sum_all()?.item::<f32>();
    assert!((product(3, 1)? - product(103, 101)?).abs() < 1e-4);
    assert!((product(3, 1)? - product(3, 2)?).abs() > 1e-3);
    let bias: Vec<f32> = alibi_bias(8, 1, 2, &cpu)?.to_vec()?;
    assert_eq!((bias[0], bias[1], bias[14]), (-0.5, 0.0, -1.0 / 256.0));
    let window: Vec<bool> = sliding_window_mask(3, 3, 2, &cpu)?.to_vec()?;
    assert_eq!(window, [true, false, false, true, true, false, false, true, true]);
    let p = sinusoidal_positions(2, 4, &cpu)?;
    assert_close(&p, &[0.0, 1.0, 0.0, 1.0, 1f64.sin(), 1f64.cos(), 0.01f64.sin(), 0.01f64.cos()], 1e-6, 1e-7);
    assert_eq!(RelativePositionBias::new(2, 8, 16, true, &cpu)?.forward(3, 5)?.shape(), [2, 3, 5]);
    Ok(())
}

/// A router that chooses all experts is their weighted sum.
#[test]
fn experts_add_up() {
    for_each_device(|dev| {
        let experts = vec![Linear::new(3, 3, dev)?, Linear::new(3, 3, dev)?];
        let moe = MixtureOfExperts::new(3, experts, 2, dev)?;
        let x = wave(&[4, 3], 13, dev)?;
        let (y, balance) = moe.forward(&x)?;
        let p = moe.gate.forward(&x)?.softmax(1)?;
        let part = |i: usize| moe.experts[i].forward(&x)?.mul(&p.narrow(1, i, 1)?);
        assert!(y.allclose(&part(0)?.add(&part(1)?)?, 1e-4, 1e-5, false)?);
        assert!((balance.item::<f32>()? - 1.0).abs() < 1e-5);
        Ok(())
    });
}

/// Normalised weights start as the weight they were made of, and scale as they should.
#[test]
fn normalised_weights_keep_their_value() {
    for_each_device(|dev| {
        let w = wave(&[4, 3], 14, dev)?;
        assert!(WeightNorm::new(&w)?.weight()?.allclose(&w, 1e-5, 1e-6, false)?);
        let norm = SpectralNorm::new(&w, 5)?;
        let n = norm.weight()?;
        let twice = SpectralNorm::new(&n, 5)?.weight()?;
        assert!(twice.allclose(&n, 1e-2, 1e-3, false)?, "its largest singular value is 1");
        Ok(())
    });
}

/// Containers name their members as PyTorch does.
#[test]
fn containers_name_their_members() -> Result<()> {
    let cpu = Device::cpu();
    let list: ModuleList<Linear> = [Linear::no_bias(2, 2, &cpu)?, Linear::no_bias(2, 2, &cpu)?].into_iter().collect();
    let mut dict: ModuleDict<Linear> = ModuleDict::new();
    dict.insert("head", Linear::no_bias(2, 2, &cpu)?);
    let names = |m: &dyn Module| m.named_parameters().into_iter().map(|(n, _)| n).collect::<Vec<_>>();
    assert_eq!((names(&list), names(&dict)), (vec!["0.weight".to_string(), "1.weight".into()], vec!["head.weight".to_string()]));
    let params: ParameterDict = [("a", Param::new(&Tensor::ones([1], &cpu)?)?)].into_iter().collect();
    assert_eq!(names(&params), ["a"]);
    Ok(())
}
