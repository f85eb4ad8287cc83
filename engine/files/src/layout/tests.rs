use super::*;
use taper::Device;
use taper::nn::{GRU, LSTM, Module};

/// Numbers that are all different: a transposition that is wrong shows.
fn counted(shape: &[usize]) -> Tensor {
    let n: usize = shape.iter().product();
    Tensor::from_vec((0..n).map(|i| ((i * 37 + 11) % 101) as f32 / 100.0 - 0.5).collect(), shape, &Device::cpu()).unwrap()
}

fn state(entries: &[(&str, &[usize])]) -> StateDict {
    entries.iter().map(|(name, shape)| (name.to_string(), counted(shape))).collect()
}

fn keys(state: &StateDict) -> Vec<&str> {
    state.keys().map(String::as_str).collect()
}

fn vec(t: &Tensor) -> Vec<f32> {
    t.to_vec().unwrap()
}

#[test]
fn convolutions_and_dense_layers_compute_what_they_did() {
    let theirs = state(&[("conv/kernel:0", &[2, 3, 4, 5]), ("dw/depthwise_kernel:0", &[2, 2, 3, 2]), ("dense/kernel:0", &[3, 2])]);
    let ours = to_pytorch(&theirs).unwrap();
    let x = counted(&[1, 6, 7, 4]);
    // out[y, x, o] = sum of in[y + i, x + j, c] * kernel[i, j, c, o], written out.
    let y = x.permute([0, 3, 1, 2]).unwrap().conv2d(&ours["conv.weight"], None, 1, 0, 1, 1).unwrap();
    assert_eq!(y.shape(), [1, 5, 5, 5]);
    let (x, k) = (vec(&x), vec(&theirs["conv/kernel:0"]));
    let y = vec(&y);
    for (o, r, s) in [(0, 0, 0), (4, 4, 4), (2, 1, 3)] {
        let mut want = 0.0;
        for (i, j, c) in (0..2).flat_map(|i| (0..3).flat_map(move |j| (0..4).map(move |c| (i, j, c)))) {
            want += x[((r + i) * 7 + s + j) * 4 + c] * k[((i * 3 + j) * 4 + c) * 5 + o];
        }
        assert!((y[(o * 5 + r) * 5 + s] - want).abs() < 1e-5);
    }
    // Channel c, multiplier m is output c * times + m.
    let (w, k) = (&ours["dw.weight"], vec(&theirs["dw/depthwise_kernel:0"]));
    assert_eq!(w.shape(), [6, 1, 2, 2]);
    for (c, m, i, j) in [(0, 1, 0, 1), (2, 0, 1, 1), (1, 1, 1, 0)] {
        assert_eq!(vec(w)[((c * 2 + m) * 2 + i) * 2 + j], k[((i * 2 + j) * 3 + c) * 2 + m]);
    }
    assert_eq!(vec(&ours["dense.weight"]), vec(&theirs["dense/kernel:0"].t().unwrap()));
}

#[test]
fn names_become_pytorchs() {
    let ours = to_pytorch(&state(&[
        ("bn/gamma:0", &[2]),
        ("bn/beta:0", &[2]),
        ("bn/moving_mean:0", &[2]),
        ("bn/moving_variance:0", &[2]),
        ("emb/embeddings:0", &[5, 2]),
        ("sep/depthwise_kernel:0", &[2, 2, 3, 1]),
        ("sep/pointwise_kernel:0", &[1, 1, 3, 4]),
        ("sep/bias:0", &[4]),
        ("params/BatchNorm_0/scale", &[2]),
        ("params/BatchNorm_0/bias", &[2]),
        ("batch_stats/BatchNorm_0/mean", &[2]),
        ("batch_stats/BatchNorm_0/var", &[2]),
        ("params/attn/query/kernel", &[6, 2, 3]),
        ("params/attn/query/bias", &[2, 3]),
        ("params/attn/out/kernel", &[2, 3, 6]),
        ("params/conv1/kernel", &[3, 4, 5]),
        ("other", &[1]),
    ]))
    .unwrap();
    let want = [
        ("BatchNorm_0.bias", &[2][..]),
        ("BatchNorm_0.running_mean", &[2]),
        ("BatchNorm_0.running_var", &[2]),
        ("BatchNorm_0.weight", &[2]),
        ("attn.out.weight", &[6, 6]),
        ("attn.query.bias", &[6]),
        ("attn.query.weight", &[6, 6]),
        ("bn.bias", &[2]),
        ("bn.running_mean", &[2]),
        ("bn.running_var", &[2]),
        ("bn.weight", &[2]),
        ("conv1.weight", &[5, 4, 3]),
        ("emb.weight", &[5, 2]),
        ("other", &[1]),
        ("sep.depthwise.weight", &[3, 1, 2, 2]),
        ("sep.pointwise.bias", &[4]),
        ("sep.pointwise.weight", &[4, 3, 1, 1]),
    ];
    assert_eq!(ours.iter().map(|(k, t)| (&k[..], t.shape())).collect::<Vec<_>>(), want);
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// `x k` for a row and a matrix of `n` columns, from column `at`, `size` of them.
fn product(x: &[f32], k: &[f32], n: usize, at: usize, size: usize) -> Vec<f32> {
    (at..at + size).map(|c| x.iter().enumerate().map(|(r, v)| v * k[r * n + c]).sum()).collect()
}

/// Two steps of Keras' own formulas, against the layer that loads what was converted.
#[test]
fn keras_recurrent_layers_compute_what_they_did() {
    let (inputs, size) = (3, 2);
    let steps = counted(&[1, 2, inputs]);
    let xs: Vec<Vec<f32>> = vec(&steps).chunks(inputs).map(<[f32]>::to_vec).collect();

    let theirs = state(&[("l/lstm_cell/kernel:0", &[3, 8]), ("l/lstm_cell/recurrent_kernel:0", &[2, 8]), ("l/lstm_cell/bias:0", &[8])]);
    let (k, r, b) =
        (vec(&theirs["l/lstm_cell/kernel:0"]), vec(&theirs["l/lstm_cell/recurrent_kernel:0"]), vec(&theirs["l/lstm_cell/bias:0"]));
    let (mut h, mut c) = (vec![0.0; size], vec![0.0; size]);
    for x in &xs {
        let z: Vec<Vec<f32>> = (0..4)
            .map(|g| {
                let (a, d) = (product(x, &k, 8, g * size, size), product(&h, &r, 8, g * size, size));
                (0..size).map(|u| a[u] + d[u] + b[g * size + u]).collect()
            })
            .collect();
        for u in 0..size {
            c[u] = sigmoid(z[1][u]) * c[u] + sigmoid(z[0][u]) * z[2][u].tanh();
            h[u] = sigmoid(z[3][u]) * c[u].tanh();
        }
    }
    let ours = to_pytorch(&theirs).unwrap();
    let lstm = LSTM::builder(inputs, size).batch_first(true).build(&Device::cpu()).unwrap();
    lstm.load_state_dict(&ours.into_iter().map(|(k, t)| (k.replace("l.", ""), t)).collect(), true).unwrap();
    let y = vec(&lstm.forward(&steps, None).unwrap().0);
    assert!(y[size..].iter().zip(&h).all(|(a, b)| (a - b).abs() < 1e-6), "{y:?} {h:?}");

    let theirs = state(&[("gru/kernel:0", &[3, 6]), ("gru/recurrent_kernel:0", &[2, 6]), ("gru/bias:0", &[2, 6])]);
    let (k, r, b) = (vec(&theirs["gru/kernel:0"]), vec(&theirs["gru/recurrent_kernel:0"]), vec(&theirs["gru/bias:0"]));
    let mut h = vec![0.0; size];
    for x in &xs {
        let part = |g: usize| (product(x, &k, 6, g * size, size), product(&h, &r, 6, g * size, size));
        let (z, reset, new) = (part(0), part(1), part(2));
        let next = (0..size).map(|u| {
            let bias = |g: usize| (b[g * size + u], b[6 + g * size + u]);
            let z = sigmoid(z.0[u] + bias(0).0 + z.1[u] + bias(0).1);
            let reset = sigmoid(reset.0[u] + bias(1).0 + reset.1[u] + bias(1).1);
            let new = (new.0[u] + bias(2).0 + reset * (new.1[u] + bias(2).1)).tanh();
            z * h[u] + (1.0 - z) * new
        });
        h = next.collect();
    }
    let ours = to_pytorch(&theirs).unwrap();
    let gru = GRU::builder(inputs, size).batch_first(true).build(&Device::cpu()).unwrap();
    gru.load_state_dict(&ours.into_iter().map(|(k, t)| (k.replace("gru.", ""), t)).collect(), true).unwrap();
    let y = vec(&gru.forward(&steps, None).unwrap().0);
    assert!(y[size..].iter().zip(&h).all(|(a, b)| (a - b).abs() < 1e-6), "{y:?} {h:?}");
}

#[test]
fn cells_of_flax_are_stacked_by_gate() {
    let gates = |sides: &[(&str, usize, bool)]| -> StateDict {
        let entry = |(name, rows, bias): &(&str, usize, bool)| {
            let mut out = vec![(format!("params/cell_0/{name}/kernel"), counted(&[*rows, 2]))];
            out.extend(bias.then(|| (format!("params/cell_0/{name}/bias"), Tensor::full([2], *rows as f32, &Device::cpu()).unwrap())));
            out
        };
        sides.iter().flat_map(entry).collect()
    };
    let lstm = [("ii", 3, false), ("if", 3, false), ("ig", 3, false), ("io", 3, false)];
    let lstm = to_pytorch(&gates(&[&lstm[..], &[("hi", 2, true), ("hf", 2, true), ("hg", 2, true), ("ho", 2, true)]].concat())).unwrap();
    assert_eq!(keys(&lstm), ["cell_0.bias_hh_l0", "cell_0.bias_ih_l0", "cell_0.weight_hh_l0", "cell_0.weight_ih_l0"]);
    assert_eq!((lstm["cell_0.weight_ih_l0"].shape(), vec(&lstm["cell_0.bias_ih_l0"])), (&[8, 3][..], vec![0.0; 8]));
    assert_eq!(vec(&lstm["cell_0.bias_hh_l0"]), [2.0; 8]);

    let gru = [("ir", 3, true), ("iz", 3, true), ("in", 3, true), ("hr", 2, false), ("hz", 2, false), ("hn", 2, true)];
    let gru = to_pytorch(&gates(&gru)).unwrap();
    assert_eq!(vec(&gru["cell_0.bias_ih_l0"]), [3.0; 6]);
    assert_eq!(vec(&gru["cell_0.bias_hh_l0"]), [0.0, 0.0, 0.0, 0.0, 2.0, 2.0]);
}

#[test]
fn halves_of_a_bidirectional_layer_are_one_and_what_does_not_fit_says_so() {
    let half = |side: &str| {
        [("kernel", vec![3, 8]), ("recurrent_kernel", vec![2, 8]), ("bias", vec![8])]
            .map(|(leaf, shape)| (format!("bi/{side}_lstm/lstm_cell_4/{leaf}:0"), counted(&shape)))
    };
    let both: StateDict = half("forward").into_iter().chain(half("backward")).collect();
    let ours = to_pytorch(&both).unwrap();
    assert_eq!(ours.len(), 8);
    assert_eq!((ours["bi.weight_ih_l0"].shape(), ours["bi.weight_hh_l0_reverse"].shape()), (&[8, 3][..], &[8, 2][..]));

    for (theirs, what) in [
        (state(&[("g/kernel", &[3, 6]), ("g/recurrent_kernel", &[2, 6]), ("g/bias", &[6])]), "reset_after=False"),
        (state(&[("g/kernel", &[3, 5]), ("g/recurrent_kernel", &[2, 5])]), "are no cell's"),
        (state(&[("g/recurrent_kernel", &[2, 5])]), "without a kernel"),
        (state(&[("a/kernel:0", &[1, 1]), ("a/kernel:1", &[1, 1])]), "two 'kernel'"),
        (state(&[("a/gamma", &[1]), ("a/weight", &[1])]), "would be a.weight"),
    ] {
        let why = to_pytorch(&theirs).unwrap_err().to_string();
        assert!(why.contains(what), "{what}: {why}");
    }
}
