use super::{noise, size, tensor};
use crate::testing::{assert_close, assert_gradients, for_each_device};
use crate::{DType, Device, Tensor};

struct Case {
    b: usize,
    h: usize,
    g: usize,
    l: usize,
    s: usize,
    d: usize,
    e: usize,
    causal: bool,
    /// A mask value for `(batch, head, query, key)`, of shape `[b, 1, l, s]`.
    mask: Option<fn(usize, usize, usize) -> f64>,
}

const PLAIN: Case = Case { b: 1, h: 1, g: 1, l: 1, s: 1, d: 1, e: 1, causal: false, mask: None };

fn cases() -> Vec<Case> {
    let some = |_: usize, q: usize, k: usize| if (q + 2 * k) % 3 == 0 { f64::NEG_INFINITY } else { (q as f64 - k as f64) * 0.1 };
    let none = |b: usize, q: usize, k: usize| if b == 1 && q == 2 || k == 0 { f64::NEG_INFINITY } else { 0.0 };
    vec![
        Case { l: 5, s: 7, d: 4, e: 4, ..PLAIN },
        Case { b: 2, h: 3, g: 3, l: 9, s: 6, d: 8, e: 12, ..PLAIN },
        Case { b: 2, h: 4, g: 2, l: 70, s: 300, d: 16, e: 16, ..PLAIN },
        Case { b: 1, h: 2, g: 2, l: 130, s: 130, d: 8, e: 8, causal: true, ..PLAIN },
        Case { b: 1, h: 2, g: 1, l: 6, s: 11, d: 5, e: 7, causal: true, ..PLAIN },
        Case { b: 2, h: 2, g: 2, l: 10, s: 9, d: 12, e: 4, mask: Some(some), ..PLAIN },
        Case { b: 2, h: 2, g: 2, l: 5, s: 8, d: 4, e: 4, mask: Some(none), ..PLAIN },
        Case { b: 1, h: 1, g: 1, l: 3, s: 4, d: 130, e: 70, ..PLAIN },
        Case { b: 1, h: 1, g: 1, l: 5, s: 6, d: 200, e: 256, ..PLAIN },
    ]
}

struct Reference {
    y: Vec<f64>,
    dq: Vec<f64>,
    dk: Vec<f64>,
    dv: Vec<f64>,
}

impl Case {
    fn q(&self) -> [usize; 4] {
        [self.b, self.h, self.l, self.d]
    }
    fn k(&self) -> [usize; 4] {
        [self.b, self.g, self.s, self.d]
    }
    fn v(&self) -> [usize; 4] {
        [self.b, self.g, self.s, self.e]
    }
    fn y(&self) -> [usize; 4] {
        [self.b, self.h, self.l, self.e]
    }

    fn mask_values(&self) -> Option<Vec<f64>> {
        let f = self.mask?;
        Some((0..self.b * self.l * self.s).map(|i| f(i / (self.l * self.s), i / self.s % self.l, i % self.s)).collect())
    }

    /// Row by row, with all scores.
    fn reference(&self, q: &[f64], k: &[f64], v: &[f64], dy: &[f64]) -> Reference {
        let Case { h, g, l, s, d, e, .. } = *self;
        let scale = 1.0 / (d as f64).sqrt();
        let mut r = Reference { y: vec![0.0; size(&self.y())], dq: vec![0.0; q.len()], dk: vec![0.0; k.len()], dv: vec![0.0; v.len()] };
        for row in 0..self.b * h * l {
            let (b, head, i) = (row / (h * l), row / l % h, row % l);
            let kv = (b * g + head / (h / g)) * s;
            let scores: Vec<f64> = (0..s)
                .map(|j| {
                    if self.causal && j > i {
                        return f64::NEG_INFINITY;
                    }
                    let dot: f64 = (0..d).map(|c| q[row * d + c] * k[(kv + j) * d + c]).sum();
                    dot * scale + self.mask.map_or(0.0, |m| m(b, i, j))
                })
                .collect();
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            if most == f64::NEG_INFINITY {
                continue;
            }
            let sum: f64 = scores.iter().map(|x| (x - most).exp()).sum();
            let p: Vec<f64> = scores.iter().map(|x| (x - most).exp() / sum).collect();
            let dp: Vec<f64> = (0..s).map(|j| (0..e).map(|c| dy[row * e + c] * v[(kv + j) * e + c]).sum()).collect();
            let delta: f64 = p.iter().zip(&dp).map(|(p, dp)| p * dp).sum();
            for j in 0..s {
                for c in 0..e {
                    r.y[row * e + c] += p[j] * v[(kv + j) * e + c];
                    r.dv[(kv + j) * e + c] += p[j] * dy[row * e + c];
                }
                let ds = p[j] * (dp[j] - delta) * scale;
                for c in 0..d {
                    r.dq[row * d + c] += ds * k[(kv + j) * d + c];
                    r.dk[(kv + j) * d + c] += ds * q[row * d + c];
                }
            }
        }
        r
    }
}

#[test]
fn attention_and_its_gradients_match_the_matrix_of_scores() {
    for_each_device(|dev| {
        for case in cases() {
            let [q, k, v, dy] = [(case.q(), 1), (case.k(), 2), (case.v(), 3), (case.y(), 4)].map(|(s, seed)| noise(size(&s), seed));
            let want = case.reference(&q, &k, &v, &dy);
            let leaf = |data: &[f64], shape: &[usize]| -> crate::Result<Tensor> {
                let t = tensor(data, shape, dev)?;
                t.requires_grad_(true)?;
                Ok(t)
            };
            let (qt, kt, vt) = (leaf(&q, &case.q())?, leaf(&k, &case.k())?, leaf(&v, &case.v())?);
            let mask = case.mask_values().map(|m| tensor(&m, &[case.b, 1, case.l, case.s], dev)).transpose()?;
            let y = qt.scaled_dot_product_attention(&kt, &vt, mask.as_ref(), 0.0, case.causal, None)?;
            assert_eq!(y.shape(), case.y());
            assert_close(&y, &want.y, 1e-4, 1e-5);
            y.mul(&tensor(&dy, &case.y(), dev)?)?.sum_all()?.backward()?;
            assert_close(&qt.grad().unwrap(), &want.dq, 1e-4, 2e-5);
            assert_close(&kt.grad().unwrap(), &want.dk, 1e-4, 2e-5);
            assert_close(&vt.grad().unwrap(), &want.dv, 1e-4, 2e-5);
        }
        Ok(())
    });
}

#[test]
fn a_bool_mask_lets_attend_where_it_is_true() {
    for_each_device(|dev| {
        let q = tensor(&noise(2 * 4, 1), &[1, 2, 4], dev)?;
        let k = tensor(&noise(3 * 4, 2), &[1, 3, 4], dev)?;
        let mask = Tensor::from_vec(vec![true, false, false, false, false, false], [2, 3], dev)?;
        let y = q.scaled_dot_product_attention(&k, &k, Some(&mask), 0.0, false, None)?;
        let first: Vec<f64> = noise(12, 2)[..4].to_vec();
        // The second query attends to nothing.
        assert_close(&y, &[first, vec![0.0; 4]].concat(), 1e-6, 1e-6);
        Ok(())
    });
}

#[test]
fn operands_may_be_views_and_broadcast() {
    for_each_device(|dev| {
        // [N, L, heads, features], as a projection leaves it.
        let data = noise(2 * 6 * 3 * 8, 1);
        let x = tensor(&data, &[2, 6, 3, 8], dev)?.permute([0, 2, 1, 3])?;
        let own = x.contiguous()?;
        let (a, b) = (
            x.scaled_dot_product_attention(&x, &x, None, 0.0, true, None)?,
            own.scaled_dot_product_attention(&own, &own, None, 0.0, true, None)?,
        );
        assert_close(&a, &b.to_vec::<f32>()?.iter().map(|&v| v as f64).collect::<Vec<_>>(), 1e-5, 1e-6);
        // One head of keys for all queries, no batch.
        let key = own.select(0, 0)?.narrow(0, 0, 1)?;
        let y = own.scaled_dot_product_attention(&key, &key, None, 0.0, false, Some(0.5))?;
        assert_eq!(y.shape(), [2, 3, 6, 8]);
        Ok(())
    });
}

#[test]
fn attention_differentiates_twice() {
    let (q, k, v) = (noise(2 * 3 * 2, 1), noise(2 * 4 * 2, 2), noise(2 * 4 * 3, 3));
    let inputs: [(&[f64], &[usize]); 3] = [(&q, &[2, 3, 2]), (&k, &[2, 4, 2]), (&v, &[2, 4, 3])];
    assert_gradients(&inputs, |x| x[0].scaled_dot_product_attention(&x[1], &x[2], None, 0.0, true, None));
    let shared: [(&[f64], &[usize]); 3] = [(&q, &[2, 3, 2]), (&k[..8], &[1, 4, 2]), (&v[..12], &[1, 4, 3])];
    assert_gradients(&shared, |x| x[0].scaled_dot_product_attention(&x[1], &x[2], None, 0.0, false, Some(0.7)));
}

#[test]
fn a_learned_mask_gets_its_gradient() {
    let (q, k, m) = (noise(6, 1), noise(8, 2), noise(12, 3));
    assert_gradients(&[(&q, &[3, 2]), (&k, &[4, 2]), (&m, &[3, 4])], |x| {
        x[0].scaled_dot_product_attention(&x[1], &x[1], Some(&x[2]), 0.0, false, None)
    });
}

#[test]
fn low_precision_is_rounded_once() {
    for_each_device(|dev| {
        let x = tensor(&noise(2 * 5 * 8, 1), &[2, 5, 8], dev)?.to_dtype(DType::F16)?;
        x.requires_grad_(true)?;
        let y = x.scaled_dot_product_attention(&x, &x, None, 0.0, false, None)?;
        assert_eq!(y.dtype(), DType::F16);
        let wide = x.detach()?.to_dtype(DType::F32)?;
        let want = wide.scaled_dot_product_attention(&wide, &wide, None, 0.0, false, None)?.to_vec::<f32>()?;
        assert_close(&y, &want.iter().map(|&v| v as f64).collect::<Vec<_>>(), 1e-3, 1e-3);
        y.to_dtype(DType::F32)?.sum_all()?.backward()?;
        assert_eq!(x.grad().unwrap().dtype(), DType::F16);
        Ok(())
    });
}

/// 8 heads of 4,096 positions would have 512 MiB of scores.
#[test]
fn long_sequences_need_no_matrix_of_scores() {
    let dev = Device::cpu();
    let leaf = |seed| {
        let t = tensor(&noise(8 * 4096 * 8, seed), &[1, 8, 4096, 8], &dev).unwrap();
        t.requires_grad_(true).unwrap();
        t
    };
    let (q, k, v) = (leaf(1), leaf(2), leaf(3));
    let y = q.scaled_dot_product_attention(&k, &v, None, 0.0, true, None).unwrap();
    y.sum_all().unwrap().backward().unwrap();
    assert!(q.grad().unwrap().to_vec::<f32>().unwrap().iter().all(|g| g.is_finite()));
}

#[test]
fn errors_say_what_does_not_fit() {
    let dev = &Device::cpu();
    let t = |shape: &[usize]| Tensor::ones(shape, dev).unwrap();
    let attend =
        |q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>, causal| q.scaled_dot_product_attention(k, v, mask, 0.0, causal, None);
    let q = t(&[2, 4, 3, 8]);
    assert!(attend(&q, &t(&[2, 4, 5, 7]), &t(&[2, 4, 5, 7]), None, false).is_err());
    assert!(attend(&q, &t(&[2, 3, 5, 8]), &t(&[2, 3, 5, 8]), None, false).is_err());
    assert!(attend(&q, &q, &q, Some(&t(&[3, 3])), true).is_err());
    assert!(attend(&q, &q, &q, Some(&t(&[3, 4])), false).is_err());
    assert!(attend(&q, &q.to_dtype(DType::F16).unwrap(), &q, None, false).is_err());
}

/// Without features every key counts the same.
#[test]
fn rows_without_features_attend_evenly() {
    for_each_device(|dev| {
        let none = |rows: usize| Tensor::zeros([1, 1, rows, 0], (DType::F32, dev));
        let v = Tensor::from_vec(vec![1.0f32, 2.0, 3.0, 4.0, 8.0, 6.0], [1, 1, 3, 2], dev)?;
        v.requires_grad_(true)?;
        let y = none(4)?.scaled_dot_product_attention(&none(3)?, &v, None, 0.0, false, Some(1.0))?;
        assert_close(&y, &[4.0, 4.0].repeat(4), 1e-6, 1e-6);
        y.sum_all()?.backward()?;
        assert_close(&v.grad().expect("a gradient"), &[4.0 / 3.0; 6], 1e-6, 1e-6);
        let empty = none(3)?;
        let q = Tensor::ones([1, 1, 4, 2], (DType::F32, dev))?;
        let y = q.scaled_dot_product_attention(&v, &empty, None, 0.0, false, None)?;
        assert_eq!((y.shape(), y.to_vec::<f32>()?.len()), (&[1, 1, 4, 0][..], 0));
        Ok(())
    });
}
