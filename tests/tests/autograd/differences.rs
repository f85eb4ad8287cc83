//! Gradients and second derivatives against float64 differences, operator by operator.

use taper::autograd::{Function, FunctionCtx, GradCheck, gradcheck, gradgradcheck};
use taper::loss::{self, Reduction};
use taper::{BagMode, DType, Device, EmbeddingBag, GridMode, GridPadding, Interpolation, InterpolationMode, Result, Tensor};
use taper_tests::Rng;

type Call = fn(&[Tensor]) -> Result<Tensor>;

/// Values away from the points where a function has no derivative.
fn values(shape: &[usize], seed: u64, low: f64, high: f64) -> Result<Tensor> {
    let mut rng = Rng(seed);
    let n = shape.iter().product();
    let t = Tensor::from_vec((0..n).map(|_| rng.uniform(low, high)).collect::<Vec<f64>>(), shape, &Device::cpu())?;
    t.requires_grad_(true)?;
    Ok(t)
}

/// Distinct values, half of them negative, none near 0: no ties, no kinks.
fn distinct(shape: &[usize], seed: u64) -> Result<Tensor> {
    let mut rng = Rng(seed);
    let n: usize = shape.iter().product();
    let mut list: Vec<f64> = (0..n).map(|i| (i as f64 + 0.6) / n as f64 * if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
    for i in (1..n).rev() {
        list.swap(i, rng.below(i + 1));
    }
    let t = Tensor::from_vec(list, shape, &Device::cpu())?;
    t.requires_grad_(true)?;
    Ok(t)
}

fn ints(list: &[i64], shape: &[usize]) -> Result<Tensor> {
    Tensor::from_vec(list.to_vec(), shape, &Device::cpu())
}

/// Checks every row of a table and names all that fail.
fn check_all(table: &[(&str, Vec<Tensor>, Call)], check: impl Fn(Call, &[&Tensor]) -> Result<()>) {
    let mut failures = Vec::new();
    for (name, inputs, call) in table {
        let inputs: Vec<&Tensor> = inputs.iter().collect();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(*call, &inputs)));
        match outcome {
            Ok(Ok(())) => {}
            Ok(Err(e)) => failures.push(format!("{name}: {e}")),
            Err(_) => failures.push(format!("{name}: panicked")),
        }
    }
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), table.len(), failures.join("\n"));
}

fn unary() -> Result<Vec<(&'static str, Vec<Tensor>, Call)>> {
    let x = || Ok::<_, taper::Error>(vec![distinct(&[2, 3], 1)?]);
    let positive = || Ok::<_, taper::Error>(vec![values(&[2, 3], 2, 0.3, 1.7)?]);
    let above = || Ok::<_, taper::Error>(vec![values(&[2, 3], 3, 1.2, 2.5)?]);
    Ok(vec![
        ("neg", x()?, |x| x[0].neg()),
        ("abs", x()?, |x| x[0].abs()),
        ("exp", x()?, |x| x[0].exp()),
        ("exp2", x()?, |x| x[0].exp2()),
        ("expm1", x()?, |x| x[0].expm1()),
        ("log", positive()?, |x| x[0].log()),
        ("log2", positive()?, |x| x[0].log2()),
        ("log10", positive()?, |x| x[0].log10()),
        ("log1p", positive()?, |x| x[0].log1p()),
        ("sqrt", positive()?, |x| x[0].sqrt()),
        ("rsqrt", positive()?, |x| x[0].rsqrt()),
        ("reciprocal", positive()?, |x| x[0].reciprocal()),
        ("square", x()?, |x| x[0].square()),
        ("sin", x()?, |x| x[0].sin()),
        ("cos", x()?, |x| x[0].cos()),
        ("tan", x()?, |x| x[0].tan()),
        ("asin", x()?, |x| x[0].mul(0.8)?.asin()),
        ("acos", x()?, |x| x[0].mul(0.8)?.acos()),
        ("atan", x()?, |x| x[0].atan()),
        ("sinh", x()?, |x| x[0].sinh()),
        ("cosh", x()?, |x| x[0].cosh()),
        ("tanh", x()?, |x| x[0].tanh()),
        ("asinh", x()?, |x| x[0].asinh()),
        ("acosh", above()?, |x| x[0].acosh()),
        ("atanh", x()?, |x| x[0].mul(0.8)?.atanh()),
        ("sigmoid", x()?, |x| x[0].sigmoid()),
        ("relu", x()?, |x| x[0].relu()),
        ("gelu", x()?, |x| x[0].gelu("none")),
        ("gelu tanh", x()?, |x| x[0].gelu("tanh")),
        ("silu", x()?, |x| x[0].silu()),
        ("softplus", x()?, |x| x[0].softplus(1.3, 20.0)),
        ("elu", x()?, |x| x[0].elu(1.3)),
        ("leaky_relu", x()?, |x| x[0].leaky_relu(0.2)),
        ("hardtanh", x()?, |x| x[0].mul(2.0)?.hardtanh(-0.55, 0.55)),
        ("clamp", x()?, |x| x[0].clamp(Some(-0.5), Some(0.72))),
        ("erf", x()?, |x| x[0].erf()),
        ("erfc", x()?, |x| x[0].erfc()),
        ("floor", x()?, |x| x[0].floor()?.add(&x[0])),
        ("frac", positive()?, |x| x[0].frac()),
        ("sign", x()?, |x| x[0].sign()?.mul(&x[0])),
    ])
}

fn binary() -> Result<Vec<(&'static str, Vec<Tensor>, Call)>> {
    let two = |a: &[usize], b: &[usize]| Ok::<_, taper::Error>(vec![values(a, 4, 0.3, 1.5)?, values(b, 5, 0.4, 1.6)?]);
    Ok(vec![
        ("add broadcast", two(&[2, 3], &[3])?, |x| x[0].add(&x[1])),
        ("sub broadcast", two(&[2, 1], &[1, 3])?, |x| x[0].sub(&x[1])),
        ("mul broadcast", two(&[3], &[2, 3])?, |x| x[0].mul(&x[1])),
        ("mul itself", two(&[3], &[])?, |x| x[0].mul(&x[0])?.mul(&x[1])),
        ("div", two(&[2, 3], &[2, 1])?, |x| x[0].div(&x[1])),
        ("pow", two(&[2, 3], &[3])?, |x| x[0].pow(&x[1])),
        ("pow number", two(&[2, 3], &[])?, |x| x[0].pow(2.5)?.mul(&x[1])),
        ("number minus", two(&[2, 3], &[])?, |x| (2.0 - &x[0]).mul(&x[1])),
        ("maximum", vec![distinct(&[2, 3], 6)?, distinct(&[2, 3], 17)?.mul(0.9)?.detach()?], |x| x[0].maximum(&x[1])),
        ("minimum", two(&[2, 3], &[2, 3])?, |x| x[0].minimum(&x[1])),
        ("atan2", two(&[2, 3], &[3])?, |x| x[0].atan2(&x[1])),
        ("fmod", two(&[2, 3], &[])?, |x| x[0].mul(3.1)?.fmod(0.7)?.add(&x[1])),
        ("remainder", two(&[2, 3], &[])?, |x| x[0].mul(-3.1)?.remainder(0.7)?.add(&x[1])),
        ("lerp", two(&[2, 3], &[2, 3])?, |x| x[0].lerp(&x[1], 0.3)),
        ("where", two(&[2, 3], &[2, 3])?, |x| x[0].where_(&Tensor::from_vec(vec![true, false, true], [3], &Device::cpu())?, &x[1])),
        ("masked_fill", two(&[2, 3], &[])?, |x| {
            x[0].masked_fill(&Tensor::from_vec(vec![true, false, true], [3], &Device::cpu())?, 2.0)?.mul(&x[1])
        }),
    ])
}

fn reductions() -> Result<Vec<(&'static str, Vec<Tensor>, Call)>> {
    let x = || Ok::<_, taper::Error>(vec![distinct(&[2, 3, 2], 7)?]);
    let norm = || Ok::<_, taper::Error>(vec![distinct(&[3, 4], 8)?, values(&[4], 9, 0.5, 1.5)?, values(&[4], 10, -1.0, 1.0)?]);
    Ok(vec![
        ("sum", x()?, |x| x[0].sum([0, 2])),
        ("sum keepdim", x()?, |x| x[0].sum_keepdim(1)?.mul(&x[0])),
        ("sum all", x()?, |x| x[0].sum_all()?.square()),
        ("mean", x()?, |x| x[0].mean(1)?.square()),
        ("prod", x()?, |x| x[0].prod(1)),
        ("prod all", vec![values(&[3], 11, 0.5, 1.5)?], |x| x[0].prod_all()),
        ("amax", x()?, |x| x[0].amax([1, 2])),
        ("amin", x()?, |x| x[0].amin(0)),
        ("max dim", x()?, |x| Ok(x[0].max(1)?.0)),
        ("min all", x()?, |x| x[0].min_all()),
        ("var", x()?, |x| x[0].var([0, 1], 1.0)),
        ("std", x()?, |x| x[0].std(1, 0.0)),
        ("norm 2", x()?, |x| x[0].norm(2.0, [1, 2], false)),
        ("norm 1", x()?, |x| x[0].norm(1.0, .., false)),
        ("logsumexp", x()?, |x| x[0].logsumexp([0, 2])),
        ("softmax", x()?, |x| x[0].softmax(1)),
        ("log_softmax", x()?, |x| x[0].log_softmax(-1)),
        ("layer_norm", norm()?, |x| x[0].layer_norm(&[4], Some(&x[1]), Some(&x[2]), 1e-3)),
        ("layer_norm plain", x()?, |x| x[0].layer_norm(&[3, 2], None, None, 1e-3)),
        ("softmax of scaled", norm()?, |x| x[0].mul(&x[1])?.add(&x[2])?.softmax(-1)),
    ])
}

fn views() -> Result<Vec<(&'static str, Vec<Tensor>, Call)>> {
    let x = || Ok::<_, taper::Error>(vec![distinct(&[2, 3, 4], 12)?]);
    let two = || Ok::<_, taper::Error>(vec![distinct(&[2, 3], 13)?, distinct(&[2, 3], 14)?]);
    Ok(vec![
        ("reshape", x()?, |x| x[0].reshape([6, -1])?.square()),
        ("reshape of permuted", x()?, |x| x[0].permute([2, 0, 1])?.reshape([4, 6])?.square()),
        ("permute", x()?, |x| x[0].permute([1, 2, 0])?.square()),
        ("transpose", x()?, |x| x[0].transpose(0, -1)?.square()),
        ("expand", vec![distinct(&[2, 1, 3], 15)?], |x| x[0].expand([2, 2, 4, 3])?.square()),
        ("slice step", x()?, |x| x[0].slice(2, 1, 4, 2)?.square()),
        ("slice of slice", x()?, |x| x[0].slice(1, 1, 3, 1)?.slice(2, 0, 3, 2)?.square()),
        ("select", x()?, |x| x[0].select(1, -1)?.square()),
        ("flip", x()?, |x| x[0].flip([0, 2])?.mul(&x[0])),
        ("squeeze", vec![distinct(&[2, 1, 3], 16)?], |x| x[0].squeeze(1)?.square()),
        ("unsqueeze", x()?, |x| x[0].unsqueeze(1)?.square()),
        ("movedim", x()?, |x| x[0].movedim([0], [2])?.square()),
        ("diagonal", vec![distinct(&[3, 4], 17)?], |x| x[0].diagonal(1, 0, 1)?.square()),
        ("unfold", vec![distinct(&[5], 18)?], |x| x[0].unfold(0, 3, 1)?.square()),
        ("as_strided", vec![distinct(&[6], 19)?], |x| x[0].as_strided(&[2, 3], &[1, 2], 0)?.square()),
        ("contiguous", x()?, |x| x[0].transpose(0, 1)?.contiguous()?.square()),
        ("split", x()?, |x| x[0].split(2, 2)?[1].square()),
        ("chunk", x()?, |x| x[0].chunk(2, 1)?[0].square()),
        ("cat", two()?, |x| Tensor::cat(&[&x[0], &x[1], &x[0]], 1)?.square()),
        ("stack", two()?, |x| Tensor::stack(&[&x[0], &x[1]], 1)?.square()),
        ("pad", two()?, |x| x[0].pad([1, 2], "constant", 0.5)?.square()?.sum_all()?.mul(&x[1])),
        ("roll", two()?, |x| x[0].roll([1], [1])?.mul(&x[1])),
        ("repeat", two()?, |x| x[0].repeat([2, 2])?.square()),
        ("tril", two()?, |x| x[0].tril(0)?.mul(&x[1])),
        ("gather", x()?, |x| x[0].gather(1, &ints(&[0, 2, 2, 1], &[1, 1, 4])?)?.square()),
        ("index_select", x()?, |x| x[0].index_select(2, &ints(&[3, 0, 3], &[3])?)?.square()),
        ("scatter", two()?, |x| x[0].scatter(1, &ints(&[2, 0], &[2, 1])?, &x[1].slice(1, 0, 1, 1)?)?.square()),
        ("scatter_add", two()?, |x| x[0].scatter_add(1, &ints(&[2, 0, 2, 1, 1, 1], &[2, 3])?, &x[1])?.square()),
        ("index_add", two()?, |x| x[0].index_add(0, &ints(&[1, 1], &[2])?, &x[1])?.square()),
        ("i", x()?, |x| x[0].i((1, .., 1..3))?.square()),
        ("i tensor", x()?, |x| x[0].i((.., &ints(&[2, 0, 2], &[3])?, 1))?.square()),
        ("slice_assign", two()?, |x| x[0].slice_assign((.., 1..3), &x[1].slice(1, 0, 2, 1)?)?.square()),
        ("index_put add", two()?, |x| x[0].index_put((&ints(&[1, 1], &[2])?,), &x[1], true)?.square()),
        ("embedding", vec![distinct(&[4, 3], 20)?], |x| x[0].embedding(&ints(&[1, 3, 1], &[3])?, None)?.square()),
        ("take", x()?, |x| x[0].take(&ints(&[23, 0, 5, 0], &[2, 2])?)?.square()),
    ])
}

fn products() -> Result<Vec<(&'static str, Vec<Tensor>, Call)>> {
    let of = |shapes: &[&[usize]]| shapes.iter().enumerate().map(|(i, s)| distinct(s, 30 + i as u64)).collect::<Result<Vec<_>>>();
    let logits = || distinct(&[3, 4], 40);
    Ok(vec![
        ("matmul", of(&[&[2, 3], &[3, 4]])?, |x| x[0].matmul(&x[1])),
        ("matmul vector", of(&[&[2, 3], &[3]])?, |x| x[0].matmul(&x[1])),
        ("matmul vectors", of(&[&[3], &[3]])?, |x| x[0].matmul(&x[1])),
        ("matmul batched", of(&[&[2, 2, 3], &[3, 2]])?, |x| x[0].matmul(&x[1])),
        ("matmul broadcast", of(&[&[2, 1, 2, 3], &[2, 3, 2]])?, |x| x[0].matmul(&x[1])),
        ("matmul transposed", of(&[&[3, 2], &[4, 3]])?, |x| x[0].t()?.matmul(&x[1].t()?)),
        ("bmm", of(&[&[2, 2, 3], &[2, 3, 2]])?, |x| x[0].bmm(&x[1])),
        ("linear", of(&[&[2, 3], &[4, 3], &[4]])?, |x| x[0].linear(&x[1], Some(&x[2]))),
        ("linear relu", of(&[&[2, 3], &[4, 3], &[4]])?, |x| x[0].linear(&x[1], Some(&x[2]))?.relu()),
        ("outer", of(&[&[2], &[3]])?, |x| x[0].outer(&x[1])),
        ("addmm", of(&[&[2, 2], &[2, 3], &[3, 2]])?, |x| x[0].addmm(&x[1], &x[2], 0.5, 2.0)),
        ("einsum", of(&[&[2, 3], &[3, 4, 2]])?, |x| Tensor::einsum("ij,jki->ik", &[&x[0], &x[1]])),
        ("conv1d", of(&[&[1, 2, 5], &[3, 2, 3], &[3]])?, |x| x[0].conv1d(&x[1], Some(&x[2]), 2, 1, 1, 1)),
        ("conv2d", of(&[&[1, 2, 4, 4], &[2, 2, 3, 3], &[2]])?, |x| x[0].conv2d(&x[1], Some(&x[2]), 1, 1, 1, 1)),
        ("conv2d grouped", of(&[&[1, 2, 4, 4], &[2, 1, 2, 2]])?, |x| x[0].conv2d(&x[1], None, 2, 0, 1, 2)),
        ("conv2d dilated", of(&[&[1, 1, 5, 5], &[1, 1, 2, 2]])?, |x| x[0].conv2d(&x[1], None, 1, 0, 2, 1)),
        ("conv_transpose2d", of(&[&[1, 2, 2, 2], &[2, 1, 3, 3], &[1]])?, |x| x[0].conv_transpose2d(&x[1], Some(&x[2]), 2, 1, 1, 1, 1)),
        ("max_pool2d", of(&[&[1, 1, 4, 4]])?, |x| x[0].max_pool2d(2, 2, 0, 1, false)),
        ("avg_pool2d", of(&[&[1, 1, 4, 4]])?, |x| x[0].avg_pool2d(2, 1, 1, false, true, None)),
        ("adaptive_avg_pool2d", of(&[&[1, 1, 5, 4]])?, |x| x[0].adaptive_avg_pool2d([2, 3])),
        ("conv3d", of(&[&[1, 2, 3, 3, 4], &[2, 1, 2, 3, 2], &[2]])?, |x| {
            x[0].conv3d(&x[1], Some(&x[2]), [1, 2, 1], [0, 1, 1], [2, 1, 1], 2)
        }),
        ("conv_transpose3d", of(&[&[1, 1, 2, 2, 2], &[1, 2, 2, 1, 3]])?, |x| {
            x[0].conv_transpose3d(&x[1], None, [2, 1, 2], [1, 0, 1], [1, 0, 0], 1, 1)
        }),
        ("max_pool3d", of(&[&[1, 1, 3, 4, 2]])?, |x| x[0].max_pool3d(2, 1, [1, 0, 1], 1, true)),
        ("avg_pool3d", of(&[&[1, 1, 3, 4, 2]])?, |x| x[0].avg_pool3d(2, [1, 2, 1], 1, true, false, None)),
        ("interpolate", of(&[&[1, 1, 3, 4]])?, |x| {
            x[0].interpolate(&Interpolation::by_scale(InterpolationMode::Bicubic, &[1.7, 0.6]).align_corners(Some(false)))
        }),
        ("interpolate antialiased", of(&[&[1, 1, 5, 7]])?, |x| {
            x[0].interpolate(&Interpolation::to_size(InterpolationMode::Bilinear, &[2, 3]).antialias(true))
        }),
        ("grid_sample", of(&[&[1, 2, 3, 4], &[1, 2, 2, 2]])?, |x| x[0].grid_sample(&x[1], GridMode::Bicubic, GridPadding::Zeros, true)),
        ("fold", of(&[&[1, 4, 6]])?, |x| x[0].fold([3, 4], 2, 1, 0, 1)),
        ("im2col", of(&[&[1, 1, 3, 4]])?, |x| x[0].im2col(2, [1, 2], 1, [2, 1])),
        ("lp_pool", of(&[&[1, 1, 6]])?, |x| x[0].lp_pool(2.0, [2], [2], false)),
        ("local_response_norm", of(&[&[1, 4, 3]])?, |x| x[0].local_response_norm(3, 0.5, 0.75, 1.0)),
        ("embedding_bag", of(&[&[4, 3], &[2, 2]])?, |x| {
            let how = EmbeddingBag { per_sample_weights: Some(&x[1]), ..EmbeddingBag::new(BagMode::Sum) };
            x[0].embedding_bag(&ints(&[1, 3, 3, 0], &[2, 2])?, &how)
        }),
        ("attention", of(&[&[1, 2, 3, 2], &[1, 2, 4, 2], &[1, 2, 4, 2]])?, |x| {
            x[0].scaled_dot_product_attention(&x[1], &x[2], None, 0.0, false, None)
        }),
        ("attention causal", of(&[&[1, 1, 3, 2], &[1, 1, 3, 2], &[1, 1, 3, 2]])?, |x| {
            x[0].scaled_dot_product_attention(&x[1], &x[2], None, 0.0, true, Some(0.7))
        }),
        ("cross_entropy", vec![logits()?], |x| loss::cross_entropy(&x[0], &ints(&[1, 3, 0], &[3])?)),
        ("nll_loss", vec![logits()?], |x| loss::nll_loss(&x[0].log_softmax(1)?, &ints(&[1, 3, 0], &[3])?, None, -100, Reduction::Mean)),
        ("mse_loss", of(&[&[2, 3], &[2, 3]])?, |x| loss::mse_loss(&x[0], &x[1], Reduction::Mean)),
        ("l1_loss", of(&[&[2, 3]])?, |x| loss::l1_loss(&x[0], &x[0].zeros_like()?, Reduction::Sum)),
        ("smooth_l1_loss", of(&[&[2, 3]])?, |x| loss::smooth_l1_loss(&x[0], &x[0].zeros_like()?, 0.37, Reduction::Mean)),
        ("huber_loss", of(&[&[2, 3]])?, |x| loss::huber_loss(&x[0], &x[0].zeros_like()?, 0.37, Reduction::None)),
        ("bce with logits", of(&[&[2, 3]])?, |x| {
            loss::binary_cross_entropy_with_logits(&x[0], &x[0].detach()?.gt(0)?.to_dtype(DType::F64)?, None, None, Reduction::Mean)
        }),
    ])
}

fn in_place() -> Result<Vec<(&'static str, Vec<Tensor>, Call)>> {
    let two = || Ok::<_, taper::Error>(vec![distinct(&[2, 3], 50)?, distinct(&[2, 3], 51)?]);
    Ok(vec![
        ("add_", two()?, |x| {
            let y = x[0].mul(2.0)?;
            y.add_(&x[1])?.mul_(&x[0])?;
            y.square()
        }),
        ("saved value survives", two()?, |x| {
            let y = x[0].exp()?;
            let z = y.mul(&x[1])?;
            y.mul_(3.0)?;
            z.add(&y)
        }),
        ("write through a view", two()?, |x| {
            let y = x[0].square()?;
            y.select(0, 1)?.mul_(&x[1].select(0, 0)?)?;
            y.square()
        }),
        ("write through a strided view", two()?, |x| {
            let y = x[0].square()?;
            y.t()?.slice(0, 0, 3, 2)?.copy_(&x[1].t()?.slice(0, 1, 3, 1)?)?;
            y.mul(&x[0])
        }),
        ("view sees a later write", two()?, |x| {
            let y = x[0].square()?;
            let row = y.select(0, 1)?;
            y.mul_(&x[1])?;
            row.square()
        }),
        ("view of a view", two()?, |x| {
            let y = x[0].square()?;
            let view = y.reshape([3, 2])?.slice(0, 1, 3, 1)?.t()?;
            view.tanh_()?;
            y.mul(&x[1])
        }),
        ("fill_ cuts the gradient", two()?, |x| {
            let y = x[0].mul(&x[1])?;
            y.slice(1, 0, 2, 1)?.fill_(1.0)?;
            y.square()
        }),
        ("set", two()?, |x| {
            let y = x[0].mul(1.0)?;
            y.set((0, ..), &x[1].i((1, ..))?)?;
            y.square()
        }),
    ])
}

fn all() -> Result<Vec<(&'static str, Vec<Tensor>, Call)>> {
    Ok([unary()?, binary()?, reductions()?, views()?, products()?, in_place()?].into_iter().flatten().collect())
}

#[test]
fn gradients_agree_with_differences() -> Result<()> {
    check_all(&all()?, |f, x| gradcheck(f, x));
    Ok(())
}

#[test]
fn second_derivatives_agree_with_differences() -> Result<()> {
    let names = [
        "exp",
        "log",
        "sqrt",
        "rsqrt",
        "reciprocal",
        "square",
        "sin",
        "tan",
        "atan",
        "tanh",
        "sigmoid",
        "gelu",
        "gelu tanh",
        "silu",
        "softplus",
        "elu",
        "erf",
        "asin",
        "acosh",
        "add broadcast",
        "mul broadcast",
        "mul itself",
        "div",
        "pow",
        "pow number",
        "atan2",
        "where",
        "maximum",
        "sum",
        "sum keepdim",
        "mean",
        "prod",
        "amax",
        "var",
        "std",
        "norm 2",
        "logsumexp",
        "softmax",
        "log_softmax",
        "layer_norm",
        "softmax of scaled",
        "reshape of permuted",
        "expand",
        "slice of slice",
        "flip",
        "unfold",
        "cat",
        "gather",
        "scatter_add",
        "index_select",
        "slice_assign",
        "i tensor",
        "matmul",
        "matmul broadcast",
        "linear",
        "linear relu",
        "einsum",
        "conv2d",
        "conv_transpose2d",
        "avg_pool2d",
        "max_pool2d",
        "conv3d",
        "interpolate",
        "grid_sample",
        "fold",
        "attention",
        "attention causal",
        "cross_entropy",
        "mse_loss",
        "bce with logits",
        "add_",
        "write through a strided view",
        "view sees a later write",
    ];
    let table: Vec<_> = all()?.into_iter().filter(|(name, ..)| names.contains(name)).collect();
    assert_eq!(table.len(), names.len());
    check_all(&table, |f, x| GradCheck { atol: 1e-4, ..GradCheck::default() }.check_twice(f, x));
    Ok(())
}

#[test]
fn gradcheck_finds_a_wrong_gradient() -> Result<()> {
    #[derive(Clone)]
    struct Wrong;
    impl Function for Wrong {
        fn forward(&self, _: &FunctionCtx, x: &[Tensor]) -> Result<Tensor> {
            x[0].square()
        }
        fn backward(&self, _: &FunctionCtx, dy: &Tensor) -> Result<Vec<Option<Tensor>>> {
            Ok(vec![Some(dy.mul(1.9)?)])
        }
    }
    let x = values(&[2], 1, 0.5, 1.0)?;
    let e = gradcheck(|x| Wrong.apply(&[&x[0]]), &[&x]).unwrap_err().to_string();
    assert!(e.contains("differences give"), "{e}");
    let single = Tensor::new([1.0], &Device::cpu())?;
    single.requires_grad_(true)?;
    let e = gradcheck(|x| x[0].exp(), &[&single]).unwrap_err().to_string();
    assert!(e.contains("f32") && e.contains("f64"), "{e}");
    assert!(gradcheck(|x| x[0].exp(), &[&x.detach()?]).is_err());
    assert!(gradgradcheck(|x| x[0].sin(), &[&x]).is_ok());
    Ok(())
}
