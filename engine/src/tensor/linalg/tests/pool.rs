use super::{noise, size, tensor};
use crate::testing::{assert_close, assert_gradients, for_each_device};
use crate::{Device, Tensor};

/// The elements of each window: `(output index, input index)`, row by row; and windows' sizes with padding.
fn windows(x: [usize; 4], out: [usize; 2], place: impl Fn(usize, usize, usize) -> Vec<usize>) -> Vec<(usize, usize)> {
    let [n, c, h, w] = x;
    let mut all = Vec::new();
    for p in 0..n * c {
        for oy in 0..out[0] {
            for ox in 0..out[1] {
                for y in place(0, oy, h) {
                    for x in place(1, ox, w) {
                        all.push(((p * out[0] + oy) * out[1] + ox, (p * h + y) * w + x));
                    }
                }
            }
        }
    }
    all
}

fn regular(
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
) -> impl Fn(usize, usize, usize) -> Vec<usize> {
    move |d, o, size| (0..kernel[d]).map(|k| (o * stride[d] + k * dilation[d]).wrapping_sub(padding[d])).filter(|&i| i < size).collect()
}

#[test]
fn maxima_and_where_they_lie() {
    let x = [2, 3, 7, 8];
    let data = noise(size(&x), 1);
    let cases = [
        ([2, 2], [2, 2], [0, 0], [1, 1], false, [3, 4]),
        ([3, 3], [2, 1], [1, 1], [1, 1], false, [4, 8]),
        ([3, 2], [2, 3], [1, 0], [2, 2], true, [3, 3]),
    ];
    for_each_device(|dev| {
        for (kernel, stride, padding, dilation, ceil, out) in cases {
            let mut best: Vec<Option<(usize, f64)>> = vec![None; 6 * out[0] * out[1]];
            for (o, i) in windows(x, out, regular(kernel, stride, padding, dilation)) {
                if best[o].is_none_or(|(_, v)| data[i] > v) {
                    best[o] = Some((i % 56, data[i]));
                }
            }
            let (values, indices) = tensor(&data, &x, dev)?.max_pool2d_with_indices(kernel, stride, padding, dilation, ceil)?;
            assert_eq!(values.shape(), [2, 3, out[0], out[1]]);
            assert_close(&values, &best.iter().map(|b| b.unwrap().1).collect::<Vec<_>>(), 0.0, 0.0);
            assert_eq!(indices.to_vec::<i64>()?, best.iter().map(|b| b.unwrap().0 as i64).collect::<Vec<_>>());
        }
        Ok(())
    });
}

#[test]
fn a_nan_is_the_maximum_and_minus_infinity_is_no_padding() {
    for_each_device(|dev| {
        let x = tensor(&[1.0, f64::NAN, 3.0, 4.0], &[1, 1, 4], dev)?;
        assert_close(&x.max_pool1d(2, 2, 0, 1, false)?, &[f64::NAN, 4.0], 0.0, 0.0);
        let low = tensor(&[f64::NEG_INFINITY; 4], &[1, 1, 4], dev)?;
        let (values, indices) = low.max_pool1d_with_indices(2, 2, 1, 1, false)?;
        assert_close(&values, &[f64::NEG_INFINITY; 3], 0.0, 0.0);
        assert_eq!(indices.to_vec::<i64>()?, [0, 1, 3]);
        Ok(())
    });
}

#[test]
fn means_count_what_they_are_told_to() {
    let x = [1, 2, 5, 6];
    let data = noise(size(&x), 2);
    for_each_device(|dev| {
        for (include, divisor) in [(true, None), (false, None), (true, Some(5))] {
            for ceil in [false, true] {
                let (kernel, stride, padding) = ([3, 2], [2, 2], [1, 1]);
                let out = [3, 4];
                let (mut sums, mut counts) = (vec![0.0; 2 * out[0] * out[1]], vec![0; 2 * out[0] * out[1]]);
                for (o, i) in windows(x, out, regular(kernel, stride, padding, [1, 1])) {
                    sums[o] += data[i];
                    counts[o] += 1;
                }
                let plane = out[0] * out[1];
                let padded = |o: usize| {
                    let span = |d: usize, at: usize| (at * stride[d] + kernel[d]).min(x[2 + d] + 2 * padding[d]) - at * stride[d];
                    span(0, o % plane / out[1]) * span(1, o % out[1])
                };
                let want: Vec<f64> =
                    (0..sums.len()).map(|o| sums[o] / divisor.unwrap_or(if include { padded(o) } else { counts[o] }) as f64).collect();
                let y = tensor(&data, &x, dev)?.avg_pool2d(kernel, stride, padding, ceil, include, divisor)?;
                assert_eq!(y.shape(), [1, 2, out[0], out[1]]);
                assert_close(&y, &want, 1e-6, 1e-6);
            }
        }
        Ok(())
    });
}

/// A divisor that is no 32-bit word is not 0 in a kernel.
#[test]
fn means_are_divided_by_large_numbers() {
    for_each_device(|dev| {
        let x = tensor(&noise(4, 1), &[1, 1, 2, 2], dev)?;
        let sum: f64 = noise(4, 1).iter().sum();
        assert_close(&x.avg_pool2d(2, 2, 0, false, true, Some(1 << 32))?, &[sum / 4_294_967_296.0], 1e-5, 0.0);
        // Windows much larger than the image: their sizes do not multiply to anything that fits a word.
        let huge = [1usize << 40; 2];
        assert!(x.lp_pool(2.0, huge, huge, true)?.isfinite()?.all(..)?.item::<bool>()?);
        Ok(())
    });
}

#[test]
fn adaptive_windows_share_the_image() {
    let x = [2, 2, 7, 5];
    let data = noise(size(&x), 3);
    for_each_device(|dev| {
        for out in [[3, 2], [1, 1], [7, 5], [9, 4]] {
            let place = |d: usize, o: usize, size: usize| (o * size / out[d]..((o + 1) * size).div_ceil(out[d])).collect::<Vec<_>>();
            let n = 4 * out[0] * out[1];
            let (mut sums, mut counts, mut most) = (vec![0.0; n], vec![0.0; n], vec![f64::NEG_INFINITY; n]);
            for (o, i) in windows(x, out, place) {
                sums[o] += data[i];
                counts[o] += 1.0;
                most[o] = most[o].max(data[i]);
            }
            let t = tensor(&data, &x, dev)?;
            t.requires_grad_(true)?;
            let y = t.adaptive_avg_pool2d(out)?;
            assert_close(&y, &sums.iter().zip(&counts).map(|(s, c)| s / c).collect::<Vec<_>>(), 1e-6, 1e-6);
            assert_close(&t.adaptive_max_pool2d(out)?, &most, 0.0, 0.0);
            let g = noise(n, 4);
            let mut dx = vec![0.0; data.len()];
            windows(x, out, place).into_iter().for_each(|(o, i)| dx[i] += g[o] / counts[o]);
            y.mul(&tensor(&g, y.shape(), dev)?)?.sum_all()?.backward()?;
            assert_close(&t.grad().unwrap(), &dx, 1e-5, 1e-6);
        }
        Ok(())
    });
}

#[test]
fn pools_differentiate_twice() {
    let x = noise(2 * 5 * 4, 5);
    let shape: &[usize] = &[1, 2, 5, 4];
    assert_gradients(&[(&x, shape)], |t| t[0].square()?.avg_pool2d([3, 2], [2, 1], [1, 0], true, true, None));
    assert_gradients(&[(&x, shape)], |t| t[0].square()?.avg_pool2d(3, 2, 1, false, false, None));
    assert_gradients(&[(&x, shape)], |t| t[0].square()?.adaptive_avg_pool2d([2, 3]));
    assert_gradients(&[(&x, shape)], |t| t[0].square()?.max_pool2d(2, [2, 1], 0, 1, false));
    assert_gradients(&[(&x, &[2, 20])], |t| t[0].square()?.avg_pool1d(3, 2, 1, false, true));
}

#[test]
fn errors_say_what_does_not_fit() {
    let t = Tensor::ones([1, 1, 4, 4], &Device::cpu()).unwrap();
    let message = |r: crate::Result<Tensor>| r.unwrap_err().to_string();
    assert!(message(t.max_pool2d(2, 2, 2, 1, false)).contains("more than half"));
    assert!(message(t.max_pool2d(5, 1, 0, 1, false)).contains("does not fit"));
    assert!(message(t.avg_pool2d(2, 0, 0, false, true, None)).contains("at least 1"));
    assert!(message(t.avg_pool2d(2, 2, 0, false, true, Some(0))).contains("divisor"));
    assert!(message(t.flatten(0, -1).unwrap().max_pool2d(2, 2, 0, 1, false)).contains("dimensions"));
}
