use super::{noise, size, tensor};
use crate::testing::{assert_close, assert_gradients, for_each_device};
use crate::{Device, Error, Tensor};

struct Case {
    x: [usize; 4],
    w: [usize; 4],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    groups: usize,
}

const fn case(x: [usize; 4], w: [usize; 4], stride: [usize; 2], padding: [usize; 2], dilation: [usize; 2], groups: usize) -> Case {
    Case { x, w, stride, padding, dilation, groups }
}

const CASES: [Case; 10] = [
    case([2, 3, 8, 8], [4, 3, 3, 3], [1, 1], [1, 1], [1, 1], 1),
    case([1, 1, 5, 7], [1, 1, 3, 2], [1, 1], [0, 0], [1, 1], 1),
    case([2, 2, 9, 8], [5, 2, 3, 3], [2, 2], [1, 1], [1, 1], 1),
    case([2, 4, 7, 9], [6, 2, 3, 2], [2, 1], [2, 0], [1, 2], 2),
    case([3, 4, 6, 6], [4, 1, 3, 3], [1, 1], [1, 1], [1, 1], 4),
    case([2, 8, 5, 4], [12, 8, 1, 1], [1, 1], [0, 0], [1, 1], 1),
    case([2, 6, 4, 4], [4, 3, 1, 1], [1, 1], [0, 0], [1, 1], 2),
    case([1, 3, 20, 20], [70, 3, 5, 5], [3, 2], [2, 4], [2, 1], 1),
    case([9, 2, 1, 30], [3, 2, 1, 5], [1, 2], [0, 2], [1, 1], 1),
    // Few pixels and a large weight: images go together.
    case([5, 64, 4, 3], [60, 64, 3, 3], [2, 1], [1, 1], [1, 1], 1),
];

impl Case {
    fn out(&self) -> [usize; 4] {
        let o = |d: usize| (self.x[2 + d] + 2 * self.padding[d] - self.dilation[d] * (self.w[2 + d] - 1) - 1) / self.stride[d] + 1;
        [self.x[0], self.w[0], o(0), o(1)]
    }

    /// Calls `f(output index, input index, weight index)` for every product the convolution sums.
    fn each(&self, mut f: impl FnMut(usize, usize, usize)) {
        let ([n, ci, h, w], [co, cg, kh, kw], [_, _, oh, ow]) = (self.x, self.w, self.out());
        let og = co / self.groups;
        for (b, o, y, x) in (0..n).flat_map(|b| (0..co).flat_map(move |o| (0..oh).flat_map(move |y| (0..ow).map(move |x| (b, o, y, x))))) {
            for (c, ky, kx) in (0..cg).flat_map(|c| (0..kh).flat_map(move |ky| (0..kw).map(move |kx| (c, ky, kx)))) {
                let iy = (y * self.stride[0] + ky * self.dilation[0]).wrapping_sub(self.padding[0]);
                let ix = (x * self.stride[1] + kx * self.dilation[1]).wrapping_sub(self.padding[1]);
                if iy < h && ix < w {
                    let channel = o / og * cg + c;
                    f(((b * co + o) * oh + y) * ow + x, ((b * ci + channel) * h + iy) * w + ix, ((o * cg + c) * kh + ky) * kw + kx);
                }
            }
        }
    }

    fn apply(&self, x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> crate::Result<Tensor> {
        x.conv2d(w, bias, self.stride, self.padding, self.dilation, self.groups)
    }
}

#[test]
fn convolution_and_its_gradients_are_sums_of_products() {
    for_each_device(|dev| {
        for case in &CASES {
            let (x, w, g) = (noise(size(&case.x), 1), noise(size(&case.w), 2), noise(size(&case.out()), 3));
            let bias = noise(case.w[0], 4);
            let plane = case.out()[2] * case.out()[3];
            let mut y: Vec<f64> = (0..g.len()).map(|i| bias[i / plane % case.w[0]]).collect();
            let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
            case.each(|o, i, k| {
                y[o] += x[i] * w[k];
                dx[i] += g[o] * w[k];
                dw[k] += g[o] * x[i];
            });
            let (xt, wt) = (tensor(&x, &case.x, dev)?, tensor(&w, &case.w, dev)?);
            xt.requires_grad_(true)?;
            wt.requires_grad_(true)?;
            let yt = case.apply(&xt, &wt, Some(&tensor(&bias, &[case.w[0]], dev)?))?;
            assert_eq!(yt.shape(), case.out());
            assert_close(&yt, &y, 1e-4, 1e-4);
            yt.mul(&tensor(&g, &case.out(), dev)?)?.sum_all()?.backward()?;
            assert_close(&xt.grad().unwrap(), &dx, 1e-4, 1e-4);
            assert_close(&wt.grad().unwrap(), &dw, 1e-4, 1e-4);
        }
        Ok(())
    });
}

#[test]
fn a_transposed_convolution_is_the_gradient_of_the_input() {
    for_each_device(|dev| {
        for case in &CASES {
            // The transposed convolution maps the output's shape back to the input's.
            let (out, w) = (case.out(), noise(size(&case.w), 2));
            let g = noise(size(&out), 3);
            let mut dx = vec![0.0; size(&case.x)];
            case.each(|o, i, k| dx[i] += g[o] * w[k]);
            let extra = |d: usize| {
                case.x[2 + d] + 2 * case.padding[d] - case.dilation[d] * (case.w[2 + d] - 1) - 1 - (out[2 + d] - 1) * case.stride[d]
            };
            let gt = tensor(&g, &out, dev)?;
            let y = gt.conv_transpose2d(
                &tensor(&w, &case.w, dev)?,
                None,
                case.stride,
                case.padding,
                [extra(0), extra(1)],
                case.groups,
                case.dilation,
            )?;
            assert_eq!(y.shape(), case.x);
            assert_close(&y, &dx, 1e-4, 1e-4);
        }
        Ok(())
    });
}

#[test]
fn convolutions_differentiate_twice() {
    let (x, w) = (noise(2 * 2 * 4 * 5, 1), noise(2 * 2 * 2 * 3, 2));
    assert_gradients(&[(&x[..40], &[1, 2, 4, 5]), (&w, &[2, 2, 2, 3])], |t| t[0].conv2d(&t[1], None, [2, 1], 1, 1, 1));
    assert_gradients(&[(&x[..24], &[2, 4, 3]), (&w[..8], &[4, 2, 1])], |t| t[0].conv1d(&t[1], None, 1, 0, 1, 2));
    assert_gradients(&[(&x[..12], &[1, 2, 2, 3]), (&w[..12], &[2, 1, 2, 3]), (&w[..1], &[1])], |t| {
        t[0].conv_transpose2d(&t[1], Some(&t[2]), 2, 1, [1, 0], 1, 1)
    });
}

#[test]
fn one_dimension_and_no_batch() {
    for_each_device(|dev| {
        let x = tensor(&[1.0, 2.0, 3.0, 4.0], &[1, 4], dev)?;
        let w = tensor(&[1.0, -1.0], &[1, 1, 2], dev)?;
        let y = x.conv1d(&w, None, 1, 0, 1, 1)?;
        assert_eq!((y.shape(), y.to_vec::<f32>()?), (&[1, 3][..], vec![-1.0; 3]));
        let up = x.conv_transpose1d(&w, None, 2, 0, 0, 1, 1)?;
        assert_eq!(up.to_vec::<f32>()?, [1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 4.0, -4.0]);
        Ok(())
    });
}

/// What the planner may not know: sizes that change under one plan.
#[test]
fn new_sizes_compile_nothing() {
    for_each_device(|dev| {
        let run = |n: usize, s: usize| -> crate::Result<Vec<f32>> {
            let x = tensor(&noise(n * 3 * s * s, 1), &[n, 3, s, s], dev)?;
            let w = tensor(&noise(4 * 27, 2), &[4, 3, 3, 3], dev)?;
            x.conv2d(&w, None, 1, 1, 1, 1)?.relu()?.to_vec()
        };
        run(2, 8)?;
        let before = dev.stats().pipelines_created;
        run(3, 8)?;
        run(2, 12)?;
        assert_eq!(dev.stats().pipelines_created, before);
        Ok(())
    });
}

#[test]
fn errors_say_what_does_not_fit() {
    let dev = &Device::cpu();
    let t = |shape: &[usize]| Tensor::ones(shape, dev).unwrap();
    let message = |r: crate::Result<Tensor>| r.unwrap_err().to_string();
    let x = t(&[8, 1, 28, 28]);
    assert_eq!(
        message(x.conv2d(&t(&[64, 3, 3, 3]), None, 1, 0, 1, 1)),
        "conv2d: weight [64, 3, 3, 3] takes 3 input channels, but the input [8, 1, 28, 28] has 1"
    );
    assert!(message(x.conv2d(&t(&[4, 1, 30, 3]), None, 1, 0, 1, 1)).contains("does not fit"));
    assert!(message(x.conv2d(&t(&[4, 1, 3, 3]), Some(&t(&[3])), 1, 0, 1, 1)).contains("bias"));
    assert!(message(x.conv2d(&t(&[4, 1, 3]), None, 1, 0, 1, 1)).contains("4 dimensions"));
    assert!(message(x.conv2d(&t(&[4, 1, 3, 3]), None, 0, 0, 1, 1)).contains("at least 1"));
    assert!(message(x.conv_transpose2d(&t(&[1, 1, 3, 3]), None, 1, 0, 1, 1, 1)).contains("output padding"));
    assert!(matches!(t(&[3]).conv2d(&t(&[4, 1, 3, 3]), None, 1, 0, 1, 1), Err(Error::Argument { .. })));
}
