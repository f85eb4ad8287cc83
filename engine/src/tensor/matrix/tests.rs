//! Decompositions multiply back, for every size and for degenerate matrices; gradients agree with differences, twice.

use crate::autograd::{gradcheck, gradgradcheck};
use crate::testing::for_each_device;
use crate::{ComplexTensor, DType, Device, MatrixNorm, Result, Tensor};

/// Numbers without a pattern, from 0 on an arbitrary but fixed sequence.
fn numbers(shape: &[usize], seed: u64) -> Result<Tensor> {
    let n = shape.iter().product::<usize>() as u64;
    let draw = |i: u64| {
        let mut x = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed.wrapping_mul(0xd1b5_4a32_d192_ed03);
        x = (x ^ x >> 31).wrapping_mul(0x94d0_49bb_1331_11eb);
        (x ^ x >> 29) as f64 / u64::MAX as f64 * 2.0 - 1.0
    };
    Tensor::from_vec((0..n).map(draw).collect::<Vec<f64>>(), shape, &Device::cpu())
}

fn leaf(shape: &[usize], seed: u64) -> Result<Tensor> {
    let t = numbers(shape, seed)?;
    t.requires_grad_(true)?;
    Ok(t)
}

/// Symmetric and positive definite.
fn definite(a: &Tensor) -> Result<Tensor> {
    let n = a.size(-1)?;
    a.matmul(&a.mt()?)?.add(&Tensor::eye(n, (a.dtype(), a.device()))?)
}

#[track_caller]
fn same(a: &Tensor, b: &Tensor) {
    let off = a.sub(b).and_then(|d| d.abs()).and_then(|d| if d.numel() == 0 { d.sum_all() } else { d.max_all() });
    let off = off.and_then(|d| d.item::<f64>()).unwrap_or(f64::NAN);
    assert!(off < 1e-9, "{:?}: off by {off}", a.shape());
}

fn orthonormal(q: &Tensor) -> Result<()> {
    same(&q.mt()?.matmul(q)?, &Tensor::eye(q.size(-1)?, (q.dtype(), q.device()))?.expand(q.mt()?.matmul(q)?.shape())?);
    Ok(())
}

#[test]
fn factors_multiply_back_whatever_the_sizes() -> Result<()> {
    for (m, n) in [(1, 1), (2, 2), (3, 5), (5, 3), (7, 1), (1, 7), (12, 3), (3, 14), (8, 8), (40, 33), (33, 40), (90, 20)] {
        let a = numbers(&[2, m, n], (m * 100 + n) as u64)?;
        let (p, l, u) = a.lu()?;
        same(&p.matmul(&l)?.matmul(&u)?, &a);
        for mode in ["reduced", "complete"] {
            let (q, r) = a.qr(mode)?;
            same(&q.matmul(&r)?, &a);
            orthonormal(&q)?;
        }
        for full in [false, true] {
            let (u, s, vh) = a.svd(full)?;
            let k = m.min(n);
            same(&u.narrow(-1, 0, k)?.mul(&s.unsqueeze(-2)?)?.matmul(&vh.narrow(-2, 0, k)?)?, &a);
            orthonormal(&u)?;
            orthonormal(&vh.mt()?)?;
            let values = s.to_vec::<f64>()?;
            assert!(values.chunks(k).all(|s| s.windows(2).all(|w| w[0] >= w[1]) && s.iter().all(|&v| v >= 0.0)), "{values:?}");
        }
        let (raw, tau) = a.geqrf()?;
        if m >= n {
            same(&raw.householder_product(&tau)?, &a.qr("reduced")?.0);
            same(&raw.ormqr(&tau, &a, true, true)?, &a.qr("complete")?.1);
            let (u, h) = a.polar()?;
            same(&u.matmul(&h)?, &a);
        }
    }
    Ok(())
}

#[test]
fn symmetric_matrices_come_apart_and_together() -> Result<()> {
    for n in [1, 2, 3, 5, 8, 26, 61] {
        let a = numbers(&[2, n, n], n as u64)?;
        let a = a.add(&a.mt()?)?;
        for upper in [false, true] {
            let (l, v) = a.eigh(upper)?;
            same(&v.mul(&l.unsqueeze(-2)?)?.matmul(&v.mt()?)?, &a);
            orthonormal(&v)?;
            same(&a.eigvalsh(upper)?, &l);
        }
        let positive = definite(&a)?;
        let l = positive.cholesky(false)?;
        same(&l.matmul(&l.mt()?)?, &positive);
        same(&positive.cholesky(true)?, &l.mt()?);
        let root = positive.matrix_sqrth(false)?;
        same(&root.matmul(&root)?, &positive);
        let b = numbers(&[2, n, 3], 5)?;
        let (ld, pivots) = a.ldl_factor()?;
        same(&a.matmul(&ld.ldl_solve(&pivots, &b)?)?, &b);
        same(&positive.matmul(&b.cholesky_solve(&l, false)?)?, &b);
        same(&l.cholesky_inverse(false)?, &positive.inv()?);
    }
    Ok(())
}

/// `A V = V diag(L)`, and the vectors have length 1.
fn eigenvectors(a: &Tensor, vectors_of_full_rank: bool) -> Result<()> {
    let (l, v) = a.eig()?;
    let left = ComplexTensor::from_real(a)?.matmul(&v)?;
    same(left.view_as_real(), v.mul(&l.unsqueeze(-2)?)?.view_as_real());
    let lengths = v.abs()?.square()?.sum(-2)?;
    same(&lengths, &lengths.ones_like()?);
    same(l.view_as_real(), a.eigvals()?.view_as_real());
    if vectors_of_full_rank {
        same(&l.sum(-1)?.real()?, &a.diagonal(0, -2, -1)?.sum(-1)?);
    }
    Ok(())
}

#[test]
fn general_matrices_have_complex_eigenvalues() -> Result<()> {
    for n in [1, 2, 3, 4, 5, 8, 13, 40] {
        eigenvectors(&numbers(&[3, n, n], n as u64)?, true)?;
        // Large and small rows: what balancing is for.
        let scale = Tensor::arange(0, n, 1, (DType::F64, &Device::cpu()))?.mul(2)?.exp()?;
        let scaled = numbers(&[n, n], 7 * n as u64)?.mul(&scale)?.div(&scale.unsqueeze(-1)?)?;
        let pairs = |a: &Tensor| a.eigvals()?.view_as_real().to_vec::<f64>();
        let (plain, values) = (pairs(&numbers(&[n, n], 7 * n as u64)?)?, pairs(&scaled)?);
        for z in values.chunks_exact(2) {
            assert!(plain.chunks_exact(2).any(|w| (z[0] - w[0]).hypot(z[1] - w[1]) < 1e-9), "{z:?} is none of {plain:?}");
        }
    }
    let cpu = Device::cpu();
    // A cyclic shift has the roots of unity; they are as far apart as they can be, and all of them of one size.
    let shift = Tensor::eye(12, (DType::F64, &cpu))?.roll(&[1][..], &[0][..])?;
    eigenvectors(&shift, true)?;
    same(&shift.eigvals()?.abs()?, &Tensor::ones([12], (DType::F64, &cpu))?);
    let angles = shift.eigvals()?.angle()?.to_vec::<f64>()?;
    for k in -5..=6 {
        let root = k as f64 * std::f64::consts::TAU / 12.0;
        assert!(angles.iter().any(|angle| ((angle - root) / 2.0).sin().abs() < 1e-12), "{k} of {angles:?}");
    }
    // Numbers whose squares no type holds.
    for size in [1e-200, 1e200] {
        let a = numbers(&[5, 5], 5)?;
        let (l, v) = a.mul(size)?.eig()?;
        let left = ComplexTensor::from_real(&a)?.matmul(&v)?;
        same(left.view_as_real(), v.mul(&l.scale(1.0 / size)?.unsqueeze(-2)?)?.view_as_real());
    }
    let triangle = numbers(&[6, 6], 4)?.triu(0)?;
    eigenvectors(&triangle, true)?;
    same(&triangle.eigvals()?.real()?, &triangle.diagonal(0, 0, 1)?);
    // Without enough vectors, without any structure, and with a pair that is one number twice.
    eigenvectors(&Tensor::new([[2.0, 1.0], [0.0, 2.0]], (DType::F64, &cpu))?, true)?;
    eigenvectors(&Tensor::zeros([3, 3], (DType::F64, &cpu))?, true)?;
    eigenvectors(&Tensor::new([[0.0, 0.0], [3.0, 0.0]], (DType::F64, &cpu))?, false)?;
    assert!(triangle.mul(f64::NAN)?.eigvals()?.abs()?.to_vec::<f64>()?.iter().all(|v| v.is_nan()));
    Ok(())
}

#[test]
fn degenerate_matrices_have_decompositions_too() -> Result<()> {
    let cpu = Device::cpu();
    let eye = Tensor::eye(6, (DType::F64, &cpu))?;
    let rank_one = Tensor::ones([6, 6], (DType::F64, &cpu))?;
    let graded = Tensor::new([[1e150, 1.0, 0.0], [1.0, 1e-150, 0.0], [0.0, 0.0, 0.0]], (DType::F64, &cpu))?;
    for a in [&eye, &rank_one, &eye.zeros_like()?, &graded.mul(1e-150)?] {
        let (u, s, vh) = a.svd(true)?;
        same(&u.mul(&s)?.matmul(&vh)?, a);
        orthonormal(&u)?;
        let (l, v) = a.eigh(false)?;
        same(&v.mul(&l)?.matmul(&v.mt()?)?, a);
        let p = a.pinv()?;
        same(&a.matmul(&p)?.matmul(a)?, a);
    }
    assert_eq!(rank_one.matrix_rank(None, None, false)?.item::<i64>()?, 1);
    assert_eq!(rank_one.det()?.item::<f64>()?, 0.0);
    assert_eq!(rank_one.cond(Some(MatrixNorm::Frobenius))?.item::<f64>()?, f64::INFINITY);
    Ok(())
}

#[test]
fn what_cannot_be_is_an_error_and_never_a_panic() -> Result<()> {
    let cpu = Device::cpu();
    let a = Tensor::new([[1.0, 2.0], [2.0, 4.0]], &cpu)?;
    assert!(a.inv().is_err() && a.solve(&a, true).is_err());
    assert_eq!(a.inv_ex(false)?.1.item::<i32>()?, 2);
    assert!(a.neg()?.cholesky(false).is_err());
    assert_eq!(a.neg()?.cholesky_ex(false, false)?.1.item::<i32>()?, 1);
    let nan = a.mul(f64::NAN)?;
    assert!(nan.eigh(false)?.0.to_vec::<f32>()?[0].is_nan() && nan.svd(true)?.1.to_vec::<f32>()?[0].is_nan());
    assert!(nan.lu()?.1.to_vec::<f32>().is_ok() && nan.det()?.item::<f32>()?.is_nan());
    assert!(a.matrix_exp()?.to_vec::<f32>().is_ok() && nan.matrix_exp()?.to_vec::<f32>().is_ok());
    for t in [Tensor::ones([2, 3], &cpu)?, Tensor::ones([3], &cpu)?, Tensor::ones([2, 2], (DType::I64, &cpu))?] {
        assert!(t.inv().is_err() && t.cholesky(false).is_err() && t.eigh(false).is_err() && t.det().is_err(), "{:?}", t.shape());
        assert!(t.matrix_power(2).is_err() || t.dtype() == DType::I64);
    }
    let pivots = Tensor::from_vec(vec![7i32, 1], [2], &cpu)?;
    assert!(a.lu_unpack(&pivots)?.0.to_vec::<f32>()?[0].is_nan());
    assert!(a.ldl_solve(&pivots, &a)?.to_vec::<f32>()?[0].is_nan());
    Ok(())
}

#[test]
fn an_empty_matrix_has_determinant_one_and_an_empty_inverse() -> Result<()> {
    for_each_device(|dev| {
        let none = Tensor::zeros([2, 0, 0], dev)?;
        assert_eq!(none.det()?.to_vec::<f32>()?, [1.0, 1.0]);
        assert_eq!(none.inv()?.shape(), [2, 0, 0]);
        assert!(none.svd(true)?.1.to_vec::<f32>()?.is_empty());
        assert!(Tensor::zeros([0, 3, 3], dev)?.eigh(false)?.1.to_vec::<f32>()?.is_empty());
        assert_eq!(Tensor::zeros([3, 0], dev)?.qr("complete")?.0.to_vec::<f32>()?.len(), 9);
        Ok(())
    });
    Ok(())
}

#[test]
fn devices_agree() -> Result<()> {
    for_each_device(|dev| {
        let a = numbers(&[2, 4, 4], 3)?.to_dtype(DType::F32)?.to(dev)?;
        let (l, v) = a.add(&a.mt()?)?.eigh(false)?;
        let back = v.mul(&l.unsqueeze(-2)?)?.matmul(&v.mt()?)?;
        assert!(back.allclose(&a.add(&a.mt()?)?, 1e-4, 1e-5, false)?);
        let b = a.narrow(-1, 0, 2)?;
        assert!(a.matmul(&a.solve(&b, true)?)?.allclose(&b, 1e-4, 1e-5, false)?);
        Ok(())
    });
    Ok(())
}

/// First and second derivatives of a function of some matrices.
fn check(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[&Tensor]) -> Result<()> {
    gradcheck(&f, inputs)?;
    gradgradcheck(&f, inputs)
}

#[test]
fn factorizations_differentiate_twice() -> Result<()> {
    let (square, tall, wide) = (leaf(&[3, 3], 1)?, leaf(&[4, 2], 2)?, leaf(&[2, 4], 3)?);
    check(|x| definite(&x[0])?.cholesky(false), &[&square])?;
    check(|x| definite(&x[0])?.cholesky(true), &[&square])?;
    for a in [&square, &tall, &wide] {
        check(|x| x[0].lu_factor().map(|f| f.0), &[a])?;
        check(|x| x[0].qr("reduced").map(|f| f.0), &[a])?;
        check(|x| x[0].qr("reduced").map(|f| f.1), &[a])?;
    }
    check(|x| x[0].qr("complete").map(|f| f.1), &[&wide])?;
    let tau = leaf(&[2], 9)?;
    check(|x| x[0].householder_product(&x[1]), &[&tall, &tau])
}

#[test]
fn spectra_differentiate_twice() -> Result<()> {
    let (square, tall, wide) = (leaf(&[3, 3], 1)?, leaf(&[4, 2], 2)?, leaf(&[2, 4], 3)?);
    check(
        |x| {
            let (l, v) = x[0].add(&x[0].mt()?)?.eigh(false)?;
            v.mul(&l.sin()?)?.matmul(&v.mt()?)
        },
        &[&square],
    )?;
    check(|x| x[0].add(&x[0].mt()?)?.eigvalsh(true), &[&square])?;
    for a in [&square, &tall, &wide] {
        for full in [false, true] {
            check(
                |x| {
                    let (u, s, vh) = x[0].svd(full)?;
                    let k = s.size(-1)?;
                    u.narrow(-1, 0, k)?.mul(&s.exp()?)?.matmul(&vh.narrow(-2, 0, k)?)
                },
                &[a],
            )?;
        }
        check(|x| x[0].svdvals(), &[a])?;
        check(|x| x[0].pinv(), &[a])?;
        check(|x| x[0].matrix_norm(MatrixNorm::Nuclear, [0, 1], true), &[a])?;
    }
    check(|x| x[0].polar().map(|f| f.0), &[&tall])?;
    check(|x| x[0].polar().map(|f| f.1), &[&square])?;
    check(|x| definite(&x[0])?.matrix_sqrth(false), &[&square])?;
    check(|x| x[0].matrix_exp(), &[&square])
}

/// The exponential of matrices by their eigenvalues.
fn exponential(a: &Tensor) -> Result<Tensor> {
    let (l, v) = a.eig()?;
    // M V⁻¹ = (V⁻ᴴ Mᴴ)ᴴ
    v.mh()?.solve(&v.mul(&l.exp()?.unsqueeze(-2)?)?.mh()?)?.mh()?.real()
}

#[test]
fn complex_eigenvalues_differentiate_twice() -> Result<()> {
    let a = leaf(&[2, 4, 4], 3)?;
    same(&exponential(&a.detach()?)?, &a.detach()?.matrix_exp()?);
    check(|x| exponential(&x[0]), &[&a.detach()?.narrow(0, 0, 1)?.clone_data()?.requires_grad_(true)?.clone()])?;
    check(|x| Ok(x[0].eigvals()?.exp()?.view_as_real().clone()), &[&leaf(&[4, 4], 3)?])
}

#[test]
fn solutions_differentiate_twice() -> Result<()> {
    let (a, b, v) = (leaf(&[2, 3, 3], 1)?, leaf(&[3, 2], 2)?, leaf(&[3], 3)?);
    check(|x| x[0].solve(&x[1], true), &[&a, &b])?;
    check(|x| x[0].solve(&x[1], true), &[&a, &v])?;
    check(|x| x[0].solve(&x[1], false), &[&a, &leaf(&[4, 3], 7)?])?;
    check(|x| x[0].inv(), &[&a])?;
    check(|x| x[0].det(), &[&a])?;
    check(|x| x[0].slogdet().map(|s| s.1), &[&a])?;
    for (upper, left, unit) in [(true, true, false), (false, true, true), (true, false, true), (false, false, false)] {
        check(|x| x[0].solve_triangular(&if left { x[1].clone() } else { x[1].mt()? }, upper, left, unit), &[&a, &b])?;
    }
    let (_, pivots) = a.detach()?.lu_factor()?;
    for (left, adjoint) in [(true, false), (true, true), (false, false), (false, true)] {
        check(|x| x[0].lu_solve(&pivots, &if left { x[1].clone() } else { x[1].mt()? }, left, adjoint), &[&a, &b])?;
    }
    check(|x| x[1].cholesky_solve(&definite(&x[0])?.cholesky(false)?, false), &[&a, &b])?;
    check(|x| definite(&x[0])?.cholesky(true)?.cholesky_inverse(true), &[&a])?;
    let tall = leaf(&[4, 2], 5)?;
    check(|x| x[0].lstsq(&x[1], None, None).map(|s| s.solution), &[&tall, &leaf(&[4, 3], 6)?])?;
    check(|x| x[0].cond(None), &[&a])
}

/// Of a singular matrix the determinant's gradient is its cofactors.
#[test]
fn a_singular_determinant_has_a_gradient() -> Result<()> {
    let a = Tensor::new([[1.0, 2.0], [2.0, 4.0]], (DType::F64, &Device::cpu()))?;
    a.requires_grad_(true)?;
    a.det()?.backward()?;
    let g = a.grad().ok_or_else(|| crate::Error::argument("test", "no gradient"))?;
    same(&g, &Tensor::new([[4.0, -2.0], [-2.0, 1.0]], (DType::F64, &Device::cpu()))?);
    Ok(())
}

#[test]
fn equal_singular_values_leave_the_values_a_gradient() -> Result<()> {
    let eye = Tensor::eye(3, (DType::F64, &Device::cpu()))?;
    eye.requires_grad_(true)?;
    eye.matrix_norm(MatrixNorm::Nuclear, [-2, -1], false)?.backward()?;
    let g = eye.grad().ok_or_else(|| crate::Error::argument("test", "no gradient"))?;
    same(&g, &eye.detach()?);
    Ok(())
}

#[test]
fn chains_and_powers() -> Result<()> {
    let (a, b, c) = (numbers(&[4], 1)?, numbers(&[4, 6], 2)?, numbers(&[6, 2], 3)?);
    same(&Tensor::multi_dot(&[&a, &b, &c])?, &a.matmul(&b)?.matmul(&c)?);
    let m = numbers(&[2, 3, 3], 4)?;
    same(&m.matrix_power(5)?, &m.matmul(&m)?.matmul(&m)?.matmul(&m)?.matmul(&m)?);
    same(&m.matrix_power(-2)?.matmul(&m)?.matmul(&m)?, &m.matrix_power(0)?);
    same(&a.vander(Some(3))?.select(-1, 2)?, &a.square()?);
    let t = numbers(&[2, 3, 6], 7)?;
    same(&t.tensorinv(2)?.tensorinv(1)?, &t);
    let x = t.tensorsolve(&numbers(&[2, 3], 8)?, None)?;
    same(&t.reshape([6, 6])?.matmul(&x)?.reshape([2, 3])?, &numbers(&[2, 3], 8)?);
    Ok(())
}
