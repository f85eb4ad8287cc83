use super::{noise, size, tensor};
use crate::Device;
use crate::dtype::DType;
use crate::error::Error;
use crate::tensor::Tensor;
use crate::testing::{assert_close, assert_gradients, for_each_device};

/// `[batch, m, k] x [batch, k, n]` in loops.
fn product(a: &[f64], b: &[f64], batch: usize, m: usize, k: usize, n: usize) -> Vec<f64> {
    let mut out = vec![0.0; batch * m * n];
    for z in 0..batch {
        for r in 0..m {
            for c in 0..n {
                out[(z * m + r) * n + c] = (0..k).map(|s| a[(z * m + r) * k + s] * b[(z * k + s) * n + c]).sum();
            }
        }
    }
    out
}

fn transposed(a: &[f64], rows: usize, cols: usize) -> Vec<f64> {
    (0..rows * cols).map(|i| a[i % rows * cols + i / rows]).collect()
}

/// Every alignment class of every operand, sizes around the tiles' edges, and all four ways of transposing.
#[test]
fn every_layout_multiplies_alike() {
    let sizes = [
        (1, 1, 1),
        (3, 5, 7),
        (8, 8, 8),
        (12, 4, 20),
        (9, 17, 10),
        (65, 16, 66),
        (64, 68, 128),
        (37, 41, 45),
        (36, 10, 40),
        (1, 33, 40),
        (70, 130, 1),
    ];
    for_each_device(|dev| {
        for (m, k, n) in sizes {
            let (a, b) = (noise(m * k, 1), noise(k * n, 2));
            let want = product(&a, &b, 1, m, k, n);
            let (rows, cols) = (tensor(&a, &[m, k], dev)?, tensor(&b, &[k, n], dev)?);
            let rows_t = tensor(&transposed(&a, m, k), &[k, m], dev)?.t()?;
            let cols_t = tensor(&transposed(&b, k, n), &[n, k], dev)?.t()?;
            for x in [&rows, &rows_t] {
                for y in [&cols, &cols_t] {
                    assert_close(&x.matmul(y)?, &want, 1e-5, 1e-5);
                }
            }
        }
        Ok(())
    });
}

/// The sum is cut into pieces, with and without 4-vectors.
#[test]
fn long_sums_with_small_results() {
    for_each_device(|dev| {
        for (m, k, n) in [(8, 4096, 12), (5, 2048, 7), (3, 3001, 2)] {
            let (a, b) = (noise(m * k, 1), noise(k * n, 2));
            let want = product(&a, &b, 1, m, k, n);
            let y = tensor(&a, &[m, k], dev)?.matmul(&tensor(&b, &[k, n], dev)?)?.add(1.0)?;
            assert_close(&y, &want.iter().map(|v| v + 1.0).collect::<Vec<_>>(), 1e-5, 1e-4);
            let turned = tensor(&transposed(&a, m, k), &[k, m], dev)?.t()?;
            assert_close(&turned.matmul(&tensor(&b, &[k, n], dev)?)?, &want, 1e-5, 1e-4);
        }
        Ok(())
    });
}

#[test]
fn views_with_offsets_steps_and_flips_are_read_in_place() {
    for_each_device(|dev| {
        let (a, b) = (noise(12 * 20, 3), noise(16 * 24, 4));
        let (x, y) = (tensor(&a, &[12, 20], dev)?, tensor(&b, &[16, 24], dev)?);
        let x = x.slice(0, 1, 12, 2)?.narrow(1, 3, 8)?.flip(0)?;
        let y = y.slice(0, 0, 16, 2)?.narrow(1, 5, 9)?;
        let xs: Vec<f64> = (0..6).rev().flat_map(|r| (0..8).map(move |c| (2 * r + 1) * 20 + 3 + c)).map(|i| a[i]).collect();
        let ys: Vec<f64> = (0..8).flat_map(|r| (0..9).map(move |c| 2 * r * 24 + 5 + c)).map(|i| b[i]).collect();
        assert_close(&x.matmul(&y)?, &product(&xs, &ys, 1, 6, 8, 9), 1e-5, 1e-5);
        Ok(())
    });
}

#[test]
fn batches_broadcast_without_copies() {
    for_each_device(|dev| {
        let (a, b) = (noise(2 * 3 * 4 * 5, 5), noise(3 * 5 * 6, 6));
        let y = tensor(&a, &[2, 3, 4, 5], dev)?.matmul(&tensor(&b, &[3, 5, 6], dev)?)?;
        assert_eq!(y.shape(), [2, 3, 4, 6]);
        let both: Vec<f64> = b.iter().chain(&b).copied().collect();
        assert_close(&y, &product(&a, &both, 6, 4, 5, 6), 1e-5, 1e-5);
        // Heads between batch and rows: strides that no two dimensions share.
        let q = tensor(&a, &[2, 4, 3, 5], dev)?.permute([0, 2, 1, 3])?;
        let own = q.contiguous()?.to_vec::<f32>()?.into_iter().map(f64::from).collect::<Vec<_>>();
        let scores = q.matmul(&q.transpose(-2, -1)?)?;
        let turned: Vec<f64> = own.chunks(20).flat_map(|c| transposed(c, 4, 5)).collect();
        assert_close(&scores, &product(&own, &turned, 6, 4, 5, 4), 1e-5, 1e-5);
        // A batch of vectors against one matrix is one product.
        let w = tensor(&b, &[6, 15], dev)?.t()?;
        let x = noise(4 * 2 * 15, 7);
        let turned = transposed(&b, 6, 15);
        assert_close(&tensor(&x, &[4, 2, 15], dev)?.matmul(&w)?, &product(&x, &turned, 1, 8, 15, 6), 1e-5, 1e-5);
        Ok(())
    });
}

#[test]
fn vectors_lose_their_dimension() {
    for_each_device(|dev| {
        let m = tensor(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[2, 3], dev)?;
        let (v, u) = (tensor(&[1.0, 0.0, -1.0], &[3], dev)?, tensor(&[1.0, -1.0], &[2], dev)?);
        assert_eq!(m.matmul(&v)?.to_vec::<f32>()?, [-2.0, -2.0]);
        assert_eq!(u.matmul(&m)?.to_vec::<f32>()?, [-3.0, -3.0, -3.0]);
        assert_eq!(v.dot(&v)?.shape(), [0usize; 0]);
        assert_eq!(v.dot(&v)?.item::<f32>()?, 2.0);
        assert_eq!(u.outer(&v)?.to_vec::<f32>()?, [1.0, 0.0, -1.0, -1.0, 0.0, 1.0]);
        Ok(())
    });
}

#[test]
fn an_inner_size_of_nothing_gives_zeros() {
    for_each_device(|dev| {
        let y = Tensor::ones([2, 0], dev)?.matmul(&Tensor::ones([0, 3], dev)?)?;
        assert_eq!(y.to_vec::<f32>()?, [0.0; 6]);
        assert_eq!(Tensor::ones([0, 4], dev)?.matmul(&Tensor::ones([4, 3], dev)?)?.shape(), [0, 3]);
        Ok(())
    });
}

#[test]
fn low_precision_sums_in_f32() {
    for_each_device(|dev| {
        for dtype in [DType::F16, DType::BF16] {
            // 4096 ones summed in f16 would stop at 2048, in bf16 at 256.
            let ones = Tensor::ones([2, 4096], (dtype, dev))?;
            let y = ones.matmul(&ones.t()?)?;
            assert_eq!(y.dtype(), dtype);
            assert_close(&y, &[4096.0; 4], 0.0, 0.0);
        }
        Ok(())
    });
}

#[test]
fn integers_multiply_exactly_and_wrap() {
    for_each_device(|dev| {
        let a = Tensor::from_vec(vec![1i32 << 20, 3, -5, 1 << 12], [2, 2], dev)?;
        let y = a.matmul(&a)?;
        let wide: Vec<i64> = vec![(1 << 40) - 15, (3 << 20) + (3 << 12), -(5 << 20) - (5 << 12), -15 + (1 << 24)];
        assert_eq!(y.to_vec::<i32>()?, wide.iter().map(|&v| v as i32).collect::<Vec<_>>());
        Ok(())
    });
    let a = Tensor::from_vec(vec![i64::MAX, 1, 2, 3], [2, 2], &Device::cpu()).unwrap();
    assert_eq!(a.matmul(&a).unwrap().to_vec::<i64>().unwrap()[3], 11);
}

#[test]
fn errors_name_the_shapes() {
    let dev = &Device::cpu();
    let t = |shape: &[usize]| Tensor::ones(shape, dev).unwrap();
    let message = |r: crate::Result<Tensor>| r.unwrap_err().to_string();
    assert_eq!(message(t(&[2, 3]).matmul(&t(&[4, 5]))), "matmul: [2, 3] x [4, 5]: inner sizes 3 and 4 differ");
    assert!(message(t(&[]).matmul(&t(&[2]))).contains("at least one dimension"));
    assert!(message(t(&[2, 2, 3]).matmul(&t(&[3, 3, 3]))).contains("broadcast"));
    assert!(message(t(&[2, 3]).bmm(&t(&[3, 2]))).contains("3 and 3 dimensions"));
    let half = t(&[3, 3]).to_dtype(DType::F16).unwrap();
    assert!(matches!(t(&[3, 3]).matmul(&half), Err(Error::DType { .. })));
}

#[test]
fn products_differentiate_twice() {
    let (a, b) = (noise(2 * 3 * 4, 8), noise(4 * 2, 9));
    assert_gradients(&[(&a, &[2, 3, 4]), (&b, &[4, 2])], |x| x[0].matmul(&x[1]));
    assert_gradients(&[(&a, &[2, 3, 4]), (&noise(8, 1), &[2, 4, 1])], |x| x[0].matmul(&x[1]));
    assert_gradients(&[(&a[..4], &[4]), (&b, &[4, 2])], |x| x[0].matmul(&x[1]));
    assert_gradients(&[(&a[..12], &[3, 4]), (&b, &[2, 4]), (&b[..2], &[2])], |x| x[0].linear(&x[1], Some(&x[2])));
    assert_gradients(&[(&a[..6], &[3, 2]), (&a[..12], &[3, 4]), (&b, &[4, 2])], |x| x[0].addmm(&x[1], &x[2], 0.5, -2.0));
}

#[test]
fn gradients_of_a_product_agree_on_every_device() {
    for_each_device(|dev| {
        let (a, b) = (noise(6 * 10, 1), noise(10 * 7, 2));
        let (x, y) = (tensor(&a, &[6, 10], dev)?, tensor(&b, &[10, 7], dev)?);
        x.requires_grad_(true)?;
        y.requires_grad_(true)?;
        x.matmul(&y)?.sum_all()?.backward()?;
        let want: Vec<f64> = (0..60).map(|i| b[i % 10 * 7..][..7].iter().sum()).collect();
        assert_close(&x.grad().unwrap(), &want, 1e-5, 1e-5);
        let want: Vec<f64> = (0..70).map(|i| (0..6).map(|r| a[r * 10 + i / 7]).sum()).collect();
        assert_close(&y.grad().unwrap(), &want, 1e-5, 1e-5);
        Ok(())
    });
}

#[test]
fn linear_adds_its_bias_in_one_pass() {
    for_each_device(|dev| {
        let x = tensor(&[1.0, 2.0, 3.0], &[1, 3], dev)?;
        let w = tensor(&[1.0, 0.0, 0.0, 0.0, 1.0, 1.0], &[2, 3], dev)?;
        let b = tensor(&[10.0, 20.0], &[2], dev)?;
        assert_eq!(x.linear(&w, Some(&b))?.relu()?.to_vec::<f32>()?, [11.0, 25.0]);
        assert!(x.linear(&b, None).is_err());
        assert!(x.linear(&w, Some(&tensor(&[1.0; 3], &[3], dev)?)).is_err());
        Ok(())
    });
}

#[test]
fn addmm_ignores_what_beta_0_hides() {
    for_each_device(|dev| {
        let nan = tensor(&[f64::NAN; 4], &[2, 2], dev)?;
        let one = tensor(&[1.0; 4], &[2, 2], dev)?;
        assert_eq!(nan.addmm(&one, &one, 0.0, 1.0)?.to_vec::<f32>()?, [2.0; 4]);
        assert_eq!(one.addmm(&one, &one, 2.0, 3.0)?.to_vec::<f32>()?, [8.0; 4]);
        Ok(())
    });
}

/// Index sums spelled out by brute force.
fn einsum(spec: &str, operands: &[(&[f64], &[usize])]) -> Vec<f64> {
    let (left, right) = spec.split_once("->").unwrap();
    let inputs: Vec<Vec<char>> = left.split(',').map(|s| s.chars().collect()).collect();
    let mut labels: Vec<char> = right.chars().collect();
    let mut sizes: Vec<usize> = Vec::new();
    for c in inputs.iter().flatten() {
        if !labels.contains(c) {
            labels.push(*c);
        }
    }
    for l in &labels {
        let seen = inputs.iter().zip(operands).flat_map(|(n, (_, s))| n.iter().zip(s.iter())).filter(|(c, _)| *c == l);
        sizes.push(seen.map(|(_, s)| *s).max().unwrap());
    }
    let total = size(&sizes);
    let mut out = vec![0.0; size(&sizes[..right.len()])];
    for flat in 0..total {
        let mut rest = flat;
        let mut at = vec![0; labels.len()];
        for d in (0..labels.len()).rev() {
            at[d] = rest % sizes[d];
            rest /= sizes[d];
        }
        let value: f64 = inputs
            .iter()
            .zip(operands)
            .map(|(names, (data, shape))| {
                let i = names.iter().zip(shape.iter()).fold(0, |i, (c, &s)| {
                    let x = at[labels.iter().position(|l| l == c).unwrap()];
                    i * s + if s == 1 { 0 } else { x }
                });
                data[i]
            })
            .product();
        let o = (0..right.len()).fold(0, |i, d| i * sizes[d] + at[d]);
        out[o] += value;
    }
    out
}

#[test]
fn einsum_is_a_sum_over_indices() {
    let specs: [(&str, &[&[usize]]); 12] = [
        ("ij,jk->ik", &[&[2, 3], &[3, 4]]),
        ("bij,bjk->bik", &[&[2, 3, 4], &[2, 4, 5]]),
        ("ij->ji", &[&[2, 3]]),
        ("ii->i", &[&[3, 3]]),
        ("iij->j", &[&[3, 3, 2]]),
        ("ij,ij->", &[&[2, 3], &[2, 3]]),
        ("i,j->ij", &[&[2], &[3]]),
        ("ij,kj,kl->il", &[&[2, 3], &[4, 3], &[4, 2]]),
        ("abc,cd,be->ade", &[&[2, 3, 4], &[4, 2], &[3, 2]]),
        ("bhld,bhsd->bhls", &[&[2, 2, 3, 4], &[2, 2, 5, 4]]),
        ("ij,jk->k", &[&[2, 3], &[3, 4]]),
        ("ij,jk->ik", &[&[2, 1], &[3, 4]]),
    ];
    for_each_device(|dev| {
        for (spec, shapes) in specs {
            let data: Vec<Vec<f64>> = shapes.iter().enumerate().map(|(i, s)| noise(size(s), i as u64 + 1)).collect();
            let tensors: Vec<Tensor> = data.iter().zip(shapes).map(|(d, s)| tensor(d, s, dev)).collect::<Result<_, _>>()?;
            let refs: Vec<&Tensor> = tensors.iter().collect();
            let named: Vec<(&[f64], &[usize])> = data.iter().zip(shapes).map(|(d, s)| (&d[..], *s)).collect();
            assert_close(&Tensor::einsum(spec, &refs)?, &einsum(spec, &named), 1e-5, 1e-5);
        }
        Ok(())
    });
}

#[test]
fn einsum_reads_ellipses_and_implicit_results() {
    let dev = &Device::cpu();
    let a = tensor(&noise(24, 1), &[2, 3, 4], dev).unwrap();
    let b = tensor(&noise(8, 2), &[4, 2], dev).unwrap();
    let y = Tensor::einsum("...j, jk", &[&a, &b]).unwrap();
    assert_eq!(y.to_vec::<f32>().unwrap(), a.matmul(&b).unwrap().to_vec::<f32>().unwrap());
    assert_eq!(Tensor::einsum("...ij->...ji", &[&a]).unwrap().shape(), [2, 4, 3]);
    assert_eq!(Tensor::einsum("ba", &[&b]).unwrap().shape(), [2, 4]);
    let wide = Tensor::einsum("...i,...i->...", &[&a, &tensor(&noise(12, 3), &[1, 3, 4], dev).unwrap()]).unwrap();
    assert_eq!(wide.shape(), [2, 3]);
    for (spec, n) in [("ij,jk->ik", 1), ("ij", 3), ("i1->i", 1), ("ijk->ii", 1), ("ijk->x", 1), ("ij,jk->ik", 2)] {
        let refs = vec![&a; n];
        assert!(Tensor::einsum(spec, &refs).is_err(), "{spec}");
    }
}

#[test]
fn a_kronecker_product_that_cannot_be_counted_is_an_error() {
    let long = Tensor::zeros([1], &Device::cpu()).unwrap().expand([1usize << 40]).unwrap();
    assert!(long.kron(&long).is_err());
}
