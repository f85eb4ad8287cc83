//! Wrong arguments: every one is an error that says what was wrong.

use taper::autograd;
use taper::loss::{self, Reduction};
use taper::nn::{Conv2d, Linear};
use taper::optim::{Adam, Optimizer, Sgd};
use taper::{DType, Device, Error, Tensor, no_grad};
use taper_tests::refusals::{Refusals, used};
use taper_tests::{for_each_device, read};

use super::{data, ints};

const HUGE: usize = usize::MAX;

#[test]
fn wrong_shapes_and_dimensions_are_refused() {
    for_each_device(|d| {
        let (a, b) = (data(d, &[2, 3])?, data(d, &[4, 5])?);
        let mut r = Refusals::new(d);
        for (name, out) in [
            ("add", a.add(&b)),
            ("mul", a.mul(&b)),
            ("eq", a.eq(&b)),
            ("maximum", a.maximum(&b)),
            ("pow", a.pow(&b)),
            ("atan2", a.atan2(&b)),
        ] {
            r.tensor(name, &["[2, 3]", "[4, 5]"], || out);
        }
        r.tensor("matmul", &["[2, 3]", "[4, 5]", "3", "4"], || a.matmul(&b));
        r.tensor("matmul scalar", &[], || a.matmul(&data(d, &[])?));
        r.tensor("bmm", &["2"], || a.bmm(&b));
        r.tensor("mv", &[], || a.mv(&b));
        r.tensor("dot", &[], || a.dot(&b));
        r.tensor("outer", &[], || a.outer(&b));
        r.tensor("linear", &["3", "5"], || a.linear(&b, None));
        r.tensor("linear bias", &[], || a.linear(&data(d, &[4, 3])?, Some(&data(d, &[5])?)));
        r.tensor("addmm", &[], || a.addmm(&b, &a, 1.0, 1.0));
        r.tensor("einsum sizes", &[], || Tensor::einsum("ij,jk->ik", &[&a, &b]));
        for spec in ["", "->", "ij", "ij,jk", "ij,jk->iz", "ij->ij->", "i1,jk->ik", "ijk,jk->ik", "ij,jk->ii", "é,ü->é"] {
            r.tensor(&format!("einsum {spec}"), &[], || Tensor::einsum(spec, &[&a, &b]));
        }
        r.tensor("einsum none", &[], || Tensor::einsum("->", &[]));
        r.tensor("reshape", &["[2, 3]", "7"], || a.reshape([7]));
        r.tensor("reshape two unknown", &["-1"], || a.reshape([-1, -1]));
        r.tensor("reshape negative", &["-2"], || a.reshape([-2, 3]));
        r.tensor("reshape unknown", &[], || a.reshape([-1, 4]));
        r.tensor("reshape zero unknown", &[], || data(d, &[0, 2])?.reshape([0, -1]));
        r.tensor("reshape huge", &[], || a.reshape([isize::MAX, isize::MAX]));
        r.tensor("view of permuted", &[], || a.t()?.view([6]));
        r.tensor("permute", &["2"], || a.permute([0, 1, 2]));
        r.tensor("permute twice", &["twice"], || a.permute([0, 0]));
        r.tensor("transpose", &["5"], || a.transpose(0, 5));
        r.tensor("expand", &["[2, 3]"], || a.expand([2, 4]));
        r.tensor("expand shorter", &["[2, 3]"], || a.expand([3]));
        r.tensor("expand huge", &[], || data(d, &[1])?.expand([isize::MAX, isize::MAX]));
        r.tensor("expand negative", &[], || a.expand([-3, 2, 3]));
        r.tensor("squeeze", &["7"], || a.squeeze(7));
        r.tensor("unsqueeze", &["9"], || a.unsqueeze(9));
        r.tensor("slice dim", &["4"], || a.slice(4, 0, 1, 1));
        r.tensor("slice step 0", &["0"], || a.slice(0, 0, 1, 0));
        r.tensor("slice step min", &[], || a.slice(0, 0, 1, isize::MIN));
        r.tensor("narrow", &["3", "2"], || a.narrow(1, 2, 2));
        r.tensor("narrow overflow", &[], || a.narrow(1, HUGE, 2));
        r.tensor("select", &["3"], || a.select(1, 3));
        r.tensor("select min", &[], || a.select(1, isize::MIN));
        r.tensor("flip", &["2"], || a.flip([2]));
        r.tensor("movedim", &[], || a.movedim([0, 1], [0]));
        r.tensor("unfold", &[], || a.unfold(1, 4, 1));
        r.tensor("unfold step", &["0"], || a.unfold(1, 2, 0));
        r.tensor("as_strided", &[], || a.as_strided(&[3, 3], &[3, 1], 0));
        r.tensor("as_strided huge", &[], || a.as_strided(&[2], &[isize::MAX], 1));
        r.tensor("as_strided lengths", &[], || a.as_strided(&[2], &[1, 1], 0));
        r.tensor("as_strided offset", &[], || a.as_strided(&[1], &[1], HUGE));
        r.tensor("diagonal", &[], || a.diagonal(0, 1, 1));
        r.refused("split", &["0"], || a.split(0, 0).map(drop));
        r.refused("split_sizes", &["3"], || a.split_sizes(&[1, 1], 1).map(drop));
        r.refused("split_sizes overflow", &[], || a.split_sizes(&[HUGE, 4], 1).map(drop));
        r.refused("chunk", &["0"], || a.chunk(0, 0).map(drop));
        r.refused("unbind", &["5"], || a.unbind(5).map(drop));
        r.tensor("cat nothing", &[], || Tensor::cat::<Tensor>(&[], 0));
        r.tensor("cat", &["[2, 3]", "[4, 5]"], || Tensor::cat(&[&a, &b], 0));
        r.tensor("cat ranks", &[], || Tensor::cat(&[&a, &data(d, &[3])?], 0));
        r.tensor("stack", &["[2, 3]", "[4, 5]"], || Tensor::stack(&[&a, &b], 0));
        r.tensor("stack dim", &["4"], || Tensor::stack(&[&a, &a], 4));
        r.tensor("sum", &["2"], || a.sum(2));
        r.tensor("sum min", &[], || a.sum(isize::MIN));
        r.tensor("sum twice", &["twice"], || a.sum([0, 0]));
        r.tensor("softmax", &["-3"], || a.softmax(-3));
        r.tensor("argmax", &["2"], || a.argmax(Some(2), false));
        r.tensor("amax of nothing", &["0"], || data(d, &[2, 0])?.amax(1));
        r.tensor("max of nothing", &[], || data(d, &[0])?.max_all());
        r.tensor("argmin of nothing", &[], || data(d, &[0])?.argmin(None, false));
        r.tensor("layer_norm", &["[2, 3]", "4"], || a.layer_norm(&[4], None, None, 1e-5));
        r.tensor("layer_norm weight", &["3", "5"], || a.layer_norm(&[3], Some(&data(d, &[5])?), None, 1e-5));
        r.tensor("layer_norm nothing", &[], || a.layer_norm(&[], None, None, 1e-5));
        r.tensor("layer_norm rank", &[], || a.layer_norm(&[1, 2, 3], None, None, 1e-5));
        r.tensor("group_norm", &[], || a.group_norm(0, None, None, 1e-5));
        r.tensor("pad odd", &[], || a.pad([1], "constant", 0.0));
        r.tensor("pad too many", &[], || a.pad([1, 1, 1, 1, 1, 1], "constant", 0.0));
        r.tensor("pad mode", &["sideways"], || a.pad([1, 1], "sideways", 0.0));
        r.tensor("pad reflect", &[], || a.pad([3, 3], "reflect", 0.0));
        r.tensor("pad negative", &[], || a.pad([-9, 0], "constant", 0.0));
        r.tensor("pad huge", &[], || a.pad([isize::MAX, isize::MAX], "constant", 0.0));
        r.tensor("roll", &[], || a.roll([1, 2], [0]));
        r.tensor("repeat huge", &[], || a.repeat([isize::MAX, 2]));
        r.tensor("repeat short", &[], || a.repeat([2]));
        r.tensor("tril vector", &[], || data(d, &[3])?.tril(0));
        r.tensor("t of rank 3", &[], || data(d, &[2, 2, 2])?.t());
        r.tensor("where", &[], || a.where_(&b.gt(0)?, &a));
        r.tensor("masked_fill", &[], || a.masked_fill(&b.gt(0)?, 0.0));
        r.refused("item", &["[2, 3]"], || a.item::<f32>().map(drop));
        r.refused("add_ grows", &["[3]", "[2, 3]"], || data(d, &[3])?.add_(&a).map(drop));
        r.refused("copy_", &["[2, 3]"], || a.copy_(&b).map(drop));
        r.tensor("i too many", &["2"], || a.i((0, 0, 0)));
        r.tensor("i out of range", &["7"], || a.i((0, 7)));
        r.tensor("slice_assign", &[], || a.slice_assign((.., 0..2), &b));
        r.refused("set", &[], || a.set((0, ..), &b).map(drop));
        r.end();
        Ok(())
    });
}

#[test]
fn wrong_types_and_indices_are_refused() {
    for_each_device(|d| {
        let a = data(d, &[2, 3])?;
        let int = Tensor::new([[1, 2, 3], [4, 5, 6]], d)?;
        let bool = a.gt(0)?;
        let mut r = Refusals::new(d);
        r.tensor("softmax of ints", &["i64"], || int.softmax(0));
        r.tensor("layer_norm of ints", &["i64"], || int.layer_norm(&[3], None, None, 1e-5));
        r.tensor("mean of ints", &["i64"], || int.mean(0));
        r.tensor("var of ints", &["i64"], || int.var(0, 1.0));
        r.tensor("neg of bool", &["bool"], || bool.neg());
        r.tensor("sub of bool", &["bool"], || bool.sub(&bool));
        r.tensor("matmul of types", &["f32", "i64"], || a.matmul(&int.t()?));
        r.tensor("matmul of bool", &["bool"], || bool.matmul(&bool.t()?));
        r.tensor("bitwise of floats", &["f32"], || a.bitwise_and(&a));
        r.tensor("gather with floats", &["f32"], || a.gather(0, &a));
        r.tensor("index_select with floats", &["f32"], || a.index_select(0, &data(d, &[1])?));
        r.tensor("where without bool", &["f32"], || a.where_(&a, &a));
        r.tensor("masked_fill without bool", &[], || a.masked_fill(&a, 0.0));
        r.refused("to_vec of another type", &["f32", "i64"], || a.to_vec::<i64>().map(drop));
        r.refused("requires_grad of ints", &["i64"], || int.requires_grad_(true).map(drop));
        r.refused("requires_grad of bool", &["bool"], || bool.requires_grad_(true).map(drop));
        r.refused("add_ of a float to ints", &["i64", "f32"], || int.add_(0.5).map(drop));
        r.refused("div_ of ints", &["i64"], || int.div_(2).map(drop));
        r.tensor("gelu", &["loud"], || a.gelu("loud"));
        r.tensor("clamp", &[], || a.clamp(None, None));
        r.tensor("one_hot", &["6", "3"], || int.one_hot(3));
        r.tensor("embedding index", &["9"], || a.embedding(&ints(d, &[9])?, None));
        r.tensor("embedding negative", &["-1"], || a.embedding(&ints(d, &[-1])?, None));
        r.tensor("index_select index", &["5", "2"], || a.index_select(0, &ints(d, &[0, 5])?));
        r.tensor("index_select matrix", &[], || a.index_select(0, &int));
        r.tensor("gather index", &["7"], || a.gather(1, &Tensor::new([[7]], d)?));
        r.tensor("gather rank", &[], || a.gather(1, &ints(d, &[0])?));
        r.tensor("gather size", &[], || a.gather(1, &Tensor::zeros([3, 3], (DType::I64, d))?));
        r.tensor("scatter index", &["-4"], || a.scatter(1, &Tensor::new([[-4]], d)?, &a));
        r.tensor("scatter size", &[], || a.scatter(1, &Tensor::zeros([3, 3], (DType::I64, d))?, &a));
        r.tensor("scatter_add type", &[], || a.scatter_add(1, &Tensor::zeros([2, 3], (DType::I64, d))?, &int));
        r.tensor("index_add", &["4"], || a.index_add(0, &ints(d, &[4])?, &data(d, &[1, 3])?));
        r.tensor("take", &["6"], || a.take(&ints(d, &[6])?));
        r.tensor("i index", &["3"], || a.i((.., &ints(d, &[3])?)));
        r.tensor("i mask", &[], || a.i(&data(d, &[5])?.gt(0)?));
        r.tensor("i float", &["f32"], || a.i(&data(d, &[2])?));
        r.tensor("cross_entropy class", &["12", "3"], || loss::cross_entropy(&a, &ints(d, &[0, 12])?));
        r.tensor("cross_entropy count", &[], || loss::cross_entropy(&a, &ints(d, &[0, 1, 2])?));
        r.tensor("cross_entropy of ints", &[], || loss::cross_entropy(&int, &ints(d, &[0, 1])?));
        r.tensor("mse_loss", &["[2, 3]"], || loss::mse_loss(&a, &data(d, &[3])?, Reduction::Mean));
        r.refused("reduction", &["all"], || "all".parse::<Reduction>().map(drop));
        r.refused("dtype", &["f8"], || "f8".parse::<DType>().map(drop));
        for name in ["", "cuda", "gpu:99", "gpu:no such adapter", "gpu:", "cpu:1", "gpu:-1", ":"] {
            r.refused(&format!("device {name}"), &[], || name.parse::<Device>().map(drop));
        }
        r.refused("gpu(99)", &[], || Device::gpu(99).map(drop));
        if !d.is_cpu() {
            r.tensor("f64", &["f64"], || Tensor::zeros([2], (DType::F64, d)));
            r.tensor("to f64", &["f64"], || a.to_dtype(DType::F64));
            r.tensor("f64 from the cpu", &["f64"], || Tensor::zeros([2], (DType::F64, &Device::cpu()))?.to(d));
            r.tensor("i64 out of range", &[], || ints(d, &[1 << 40]));
            r.tensor("another device", &["cpu"], || a.add(&data(&Device::cpu(), &[2, 3])?));
            r.tensor("matmul devices", &["cpu"], || a.matmul(&data(&Device::cpu(), &[3, 2])?));
            r.tensor("cat devices", &["cpu"], || Tensor::cat(&[&a, &data(&Device::cpu(), &[2, 3])?], 0));
            r.tensor("index devices", &["cpu"], || a.index_select(0, &ints(&Device::cpu(), &[0])?));
            r.refused("copy_ devices", &["cpu"], || a.add_(&data(&Device::cpu(), &[2, 3])?).map(drop));
        }
        r.end();
        Ok(())
    });
}

#[test]
fn huge_sizes_are_refused() {
    for_each_device(|d| {
        let mut r = Refusals::new(d);
        let shapes: [&[usize]; 6] = [&[HUGE], &[HUGE, HUGE], &[1 << 32, 1 << 32], &[isize::MAX as usize], &[1 << 60], &[3, HUGE / 2]];
        for shape in shapes {
            r.tensor(&format!("zeros {shape:?}"), &[], || Tensor::zeros(shape, d));
            r.tensor(&format!("empty {shape:?}"), &[], || Tensor::empty(shape, d));
            r.tensor(&format!("full {shape:?}"), &[], || Tensor::full(shape, 1.5, d));
            r.tensor(&format!("rand {shape:?}"), &[], || Tensor::rand(shape, d));
            r.tensor(&format!("from_vec {shape:?}"), &[], || Tensor::from_vec(vec![1.0f32], shape, d));
        }
        r.tensor("from_vec", &["3", "[2, 2]"], || Tensor::from_vec(vec![1.0f32; 3], [2, 2], d));
        r.tensor("eye", &[], || Tensor::eye(HUGE, d));
        r.tensor("arange", &[], || Tensor::arange(0, i64::MAX, 1, d));
        r.tensor("arange min", &[], || Tensor::arange(i64::MIN, i64::MAX, 1, d));
        r.tensor("arange step 0", &["0"], || Tensor::arange(0, 5, 0, d));
        r.tensor("arange wrong way", &[], || Tensor::arange(0, 5, -1, d));
        r.tensor("arange NaN", &[], || Tensor::arange(0.0, f64::NAN, 1.0, d));
        r.tensor("arange infinite", &[], || Tensor::arange(0.0, f64::INFINITY, 1.0, d));
        r.tensor("linspace", &[], || Tensor::linspace(0.0, 1.0, HUGE, d));
        r.tensor("randperm", &[], || Tensor::randperm(HUGE, d));
        r.tensor("randint", &[], || Tensor::randint(5, 5, [2], d));
        let one = data(d, &[1])?;
        r.tensor("expand and compute", &[], || one.expand([1usize << 40])?.add(1.0));
        r.tensor("expand and copy", &[], || one.expand([1usize << 40])?.contiguous());
        r.tensor("repeat", &[], || one.repeat([1usize << 45]));
        r.tensor("repeat_interleave", &[], || one.repeat_interleave(HUGE, 0));
        r.tensor("outer", &[], || one.expand([1usize << 30])?.outer(&one.expand([1usize << 30])?));
        r.tensor("pad", &[], || one.pad([1isize << 45, 0], "constant", 0.0));
        r.tensor("one_hot", &[], || ints(d, &[0])?.one_hot(HUGE));
        r.tensor("diag_embed", &[], || one.diag_embed(isize::MAX, 0, 1));
        r.tensor("matmul", &[], || one.expand([1usize << 22, 1])?.matmul(&one.expand([1, 1usize << 22])?));
        r.refused("Linear", &[], || Linear::new(HUGE, HUGE, d).map(drop));
        r.refused("Conv2d", &[], || Conv2d::builder(HUGE, 2, 3).build(d).map(drop));
        r.tensor("conv2d padding", &[], || data(d, &[1, 1, 3, 3])?.conv2d(&data(d, &[1, 1, 3, 3])?, None, 1, HUGE, 1, 1));
        r.tensor("conv2d dilation", &[], || data(d, &[1, 1, 3, 3])?.conv2d(&data(d, &[1, 1, 3, 3])?, None, 1, 1, HUGE, 1));
        r.tensor("max_pool2d kernel", &[], || data(d, &[1, 1, 3, 3])?.max_pool2d(HUGE, 1, 0, 1, false));
        r.tensor("adaptive", &[], || data(d, &[1, 1, 3, 3])?.adaptive_avg_pool2d(HUGE));
        r.tensor("adaptive maxima", &[], || data(d, &[1, 1, 3, 3])?.adaptive_max_pool2d(1usize << 30));
        r.tensor("max_pool3d stride", &[], || data(d, &[1, 1, 3, 3, 3])?.max_pool3d(2, HUGE, 1, 1, false));
        let nearest = |size: usize| taper::Interpolation::to_size(taper::InterpolationMode::Nearest, &[size]);
        r.tensor("interpolate", &[], || data(d, &[1, 1, 3])?.interpolate(&nearest(HUGE)));
        r.tensor("interpolate 0", &[], || data(d, &[1, 1, 3])?.interpolate(&nearest(0)));
        r.tensor("im2col", &[], || data(d, &[1, 1, 3, 3])?.im2col(2, 1, HUGE, 1));
        r.tensor("fold", &[], || data(d, &[1, 4, 4])?.fold(HUGE, 2, 1, 0, 1));
        r.tensor("pixel_shuffle", &[], || data(d, &[1, 4, 4])?.pixel_shuffle(HUGE));
        r.tensor("affine_grid", &[], || data(d, &[1, 2, 3])?.affine_grid(&[1, 1, HUGE, HUGE], true));
        r.tensor("max_unpool", &[], || data(d, &[1, 1, 2])?.max_unpool(&ints(d, &[0, 1])?.reshape([1, 1, 2])?, [2], [HUGE], [0], None));
        // Empty ones of any size exist.
        r.survived("empty", || used(Tensor::zeros([0, HUGE, HUGE], d)?));
        r.survived("arange(usize)", || used(Tensor::arange(0.0, 1e300, 1e299, d)?));
        r.survived("slices", || {
            for (start, end, step) in
                [(isize::MIN, isize::MAX, 1), (isize::MAX, isize::MIN, isize::MAX), (0, isize::MAX, isize::MAX), (-1, isize::MIN, 1)]
            {
                used(data(d, &[5])?.slice(0, start, end, step)?)?;
            }
            Ok(())
        });
        r.survived("roll", || used(data(d, &[5])?.roll([isize::MIN], [0])?));
        r.survived("tril", || used(data(d, &[3, 3])?.tril(isize::MAX)?.triu(isize::MIN)?));
        r.end();
        Ok(())
    });
}

#[test]
fn convolution_and_pooling_check_their_arguments() {
    for_each_device(|d| {
        let (x, w) = (data(d, &[1, 2, 4, 4])?, data(d, &[3, 2, 3, 3])?);
        let mut r = Refusals::new(d);
        r.tensor("channels", &["3", "2"], || x.conv2d(&data(d, &[4, 3, 3, 3])?, None, 1, 1, 1, 1));
        r.tensor("bias", &["3", "5"], || x.conv2d(&w, Some(&data(d, &[5])?), 1, 1, 1, 1));
        r.tensor("stride 0", &["0"], || x.conv2d(&w, None, 0, 1, 1, 1));
        r.tensor("dilation 0", &["0"], || x.conv2d(&w, None, 1, 1, 0, 1));
        r.tensor("groups 0", &["0"], || x.conv2d(&w, None, 1, 1, 1, 0));
        r.tensor("groups 5", &["5"], || x.conv2d(&w, None, 1, 1, 1, 5));
        r.tensor("kernel too large", &[], || x.conv2d(&data(d, &[1, 2, 6, 6])?, None, 1, 0, 1, 1));
        r.tensor("rank", &["[3]"], || data(d, &[3])?.conv2d(&w, None, 1, 0, 1, 1));
        r.tensor("weight rank", &[], || x.conv2d(&data(d, &[3, 2])?, None, 1, 0, 1, 1));
        r.tensor("ints", &[], || x.to_dtype(DType::I64)?.conv2d(&w, None, 1, 0, 1, 1));
        r.tensor("output_padding", &[], || x.conv_transpose2d(&data(d, &[2, 1, 3, 3])?, None, 1, 0, 5, 1, 1));
        r.tensor("pool kernel 0", &["0"], || x.max_pool2d(0, 1, 0, 1, false));
        r.tensor("pool stride 0", &[], || x.max_pool2d(2, 0, 0, 1, false));
        r.tensor("pool padding", &[], || x.max_pool2d(2, 1, 2, 1, false));
        r.tensor("pool kernel", &[], || x.avg_pool2d(9, 1, 0, false, true, None));
        r.tensor("pool divisor", &["0"], || x.avg_pool2d(2, 1, 0, false, true, Some(0)));
        r.tensor("pool rank", &[], || data(d, &[4])?.max_pool2d(2, 2, 0, 1, false));
        r.tensor("adaptive 0", &[], || {
            x.adaptive_avg_pool2d([0, 0])
                .and_then(|t| if t.numel() == 0 { Err(Error::argument("adaptive", "an empty result")) } else { Ok(t) })
        });
        let q = data(d, &[1, 2, 3, 4])?;
        r.tensor("attention sizes", &[], || q.scaled_dot_product_attention(&data(d, &[1, 2, 3, 5])?, &q, None, 0.0, false, None));
        r.tensor("attention dropout", &["1.5"], || q.scaled_dot_product_attention(&q, &q, None, 1.5, false, None));
        r.tensor("attention mask", &[], || q.scaled_dot_product_attention(&q, &q, Some(&data(d, &[7])?), 0.0, false, None));
        r.end();
        Ok(())
    });
}

#[test]
fn gradients_that_do_not_exist_are_refused() {
    for_each_device(|d| {
        let x = data(d, &[2, 3])?;
        x.requires_grad_(true)?;
        let plain = data(d, &[2, 3])?;
        let mut r = Refusals::new(d);
        r.refused("backward of a matrix", &["[2, 3]"], || x.exp()?.backward());
        r.refused("backward of a constant", &["[2, 3]"], || plain.backward());
        r.refused("backward of a constant scalar", &[], || plain.sum_all()?.backward());
        r.refused("a gradient of another shape", &["[3]", "[2, 3]"], || x.exp()?.backward_with(Some(&data(d, &[3])?), false, false));
        r.refused("twice", &["retain_graph"], || {
            let y = x.exp()?.sum_all()?;
            y.backward()?;
            y.backward()
        });
        r.refused("grad of a constant", &["[2, 3]"], || autograd::grad(&[&x.sum_all()?], &[&plain], &[None], false, false).map(drop));
        r.refused("gradient count", &["2", "1"], || autograd::backward(&[&x.sum_all()?], &[None, None], false, false));
        r.refused("add_ on a leaf", &["leaf"], || x.add_(1.0).map(drop));
        r.refused("write through a view of a leaf", &["leaf"], || x.select(0, 0)?.zero_().map(drop));
        r.refused("fill_ on a leaf", &["leaf"], || x.fill_(0.0).map(drop));
        r.refused("copy_ on a leaf", &["leaf"], || x.copy_(&plain).map(drop));
        r.refused("set on a leaf", &["leaf"], || x.set(0, &plain.select(0, 0)?).map(drop));
        r.refused("requires_grad_(false) of a result", &["detach"], || x.exp()?.requires_grad_(false).map(drop));
        r.refused("set_grad", &["[3]", "[2, 3]"], || x.set_grad(Some(&data(d, &[3])?)));
        r.refused("hook on a constant", &[], || plain.register_hook(|_| Ok(None)).map(drop));
        r.survived("no outputs", || autograd::backward(&[], &[], false, false));
        r.end();
        // None of this changed anything.
        assert_eq!(read(&x)?, read(&plain)?);
        x.zero_grad();
        no_grad(|| x.select(0, 0)?.zero_().map(drop))?;
        assert_eq!(read(&x)?[..3], [0.0; 3]);
        Ok(())
    });
}

#[test]
fn optimizers_and_modules_check_their_options() {
    for_each_device(|d| {
        let x = data(d, &[3])?;
        x.requires_grad_(true)?;
        let params = || [x.clone()];
        let mut r = Refusals::new(d);
        for lr in [-1.0, f64::NAN] {
            r.refused(&format!("Sgd lr {lr}"), &["lr"], || Sgd::new(params(), lr).map(drop));
            r.refused(&format!("Adam lr {lr}"), &["lr"], || Adam::new(params(), lr).map(drop));
        }
        r.refused("momentum", &["momentum"], || Sgd::builder(0.1).momentum(-0.5).build(params()).map(drop));
        r.refused("nesterov", &[], || Sgd::builder(0.1).nesterov(true).build(params()).map(drop));
        r.refused("betas", &["beta"], || Adam::builder(0.1).betas(1.0, 0.9).build(params()).map(drop));
        r.refused("betas NaN", &["beta"], || Adam::builder(0.1).betas(0.9, f64::NAN).build(params()).map(drop));
        r.refused("eps", &["eps"], || Adam::builder(0.1).eps(-1.0).build(params()).map(drop));
        r.refused("weight decay", &["weight_decay"], || Adam::builder(0.1).weight_decay(-1.0).build(params()).map(drop));
        r.refused("no parameters", &[], || Sgd::new(Vec::<Tensor>::new(), 0.1).map(drop));
        r.refused("Dropout", &["1.5"], || taper::nn::Dropout::new(1.5).map(drop));
        r.refused("Dropout NaN", &[], || taper::nn::Dropout::new(f64::NAN).map(drop));
        r.refused("Linear input", &["3", "4"], || used(Linear::new(4, 2, d)?.forward(&x)?));
        r.survived("step without gradients", || Sgd::new(params(), 0.1)?.step());
        r.end();
        Ok(())
    });
}
