//! Convolution, pooling, padding, resampling, dropout.

use taper::nn;
use taper::ops::registry::Value;

use super::Built;
use super::arguments::usize_of;
use super::classes;

classes! {
    Dropout(p, inplace) |a| nn::Dropout::new(a.float("p", 0.5)?)?;
    Conv1d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode) |a| {
        let b = nn::Conv1d::builder(a.size("in_channels")?, a.size("out_channels")?, a.sizes::<1>("kernel_size", None)?);
        let b = b.stride(a.sizes("stride", Some(1))?).dilation(a.sizes("dilation", Some(1))?);
        let b = match a.given("padding") {
            Some(Value::Str(same)) if same == "same" => b.padding_same(),
            Some(Value::Str(valid)) if valid == "valid" => b,
            _ => b.padding(a.sizes("padding", Some(0))?),
        };
        a.zeros_mode()?;
        b.groups(a.int("groups", 1)? as usize).bias(a.flag("bias", true)?).build(a.options()?)?
    };
    Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode) |a| {
        let b = nn::Conv2d::builder(a.size("in_channels")?, a.size("out_channels")?, a.sizes::<2>("kernel_size", None)?);
        let b = b.stride(a.sizes("stride", Some(1))?).dilation(a.sizes("dilation", Some(1))?);
        let b = match a.given("padding") {
            Some(Value::Str(same)) if same == "same" => b.padding_same(),
            Some(Value::Str(valid)) if valid == "valid" => b,
            _ => b.padding(a.sizes("padding", Some(0))?),
        };
        a.zeros_mode()?;
        b.groups(a.int("groups", 1)? as usize).bias(a.flag("bias", true)?).build(a.options()?)?
    };
    ConvTranspose1d(in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation) |a| {
        let b = nn::ConvTranspose1d::builder(a.size("in_channels")?, a.size("out_channels")?, a.sizes::<1>("kernel_size", None)?);
        let b = b.stride(a.sizes("stride", Some(1))?).padding(a.sizes("padding", Some(0))?).dilation(a.sizes("dilation", Some(1))?);
        let b = b.output_padding(a.sizes("output_padding", Some(0))?);
        b.groups(a.int("groups", 1)? as usize).bias(a.flag("bias", true)?).build(a.options()?)?
    };
    ConvTranspose2d(in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation) |a| {
        let b = nn::ConvTranspose2d::builder(a.size("in_channels")?, a.size("out_channels")?, a.sizes::<2>("kernel_size", None)?);
        let b = b.stride(a.sizes("stride", Some(1))?).padding(a.sizes("padding", Some(0))?).dilation(a.sizes("dilation", Some(1))?);
        let b = b.output_padding(a.sizes("output_padding", Some(0))?);
        b.groups(a.int("groups", 1)? as usize).bias(a.flag("bias", true)?).build(a.options()?)?
    };
    MaxPool2d(kernel_size, stride, padding, dilation, return_indices, ceil_mode) |a| {
        let kernel = a.sizes::<2>("kernel_size", None)?;
        let pool = nn::MaxPool2d::new(kernel).stride(a.strides(kernel)?).padding(a.sizes::<2>("padding", Some(0))?);
        let pool = pool.dilation(a.sizes::<2>("dilation", Some(1))?).ceil_mode(a.flag("ceil_mode", false)?);
        if !a.flag("return_indices", false)? {
            return Ok(pool.into());
        }
        Built::with(pool, |pool, inputs| {
            let (values, at) = pool.forward_with_indices(inputs.needed(0, "input")?)?;
            Ok(Value::List(vec![values.into(), at.into()]))
        })
    };
    AvgPool2d(kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override) |a| {
        let kernel = a.sizes::<2>("kernel_size", None)?;
        let pool = nn::AvgPool2d::new(kernel).stride(a.strides(kernel)?).padding(a.sizes::<2>("padding", Some(0))?);
        let pool = pool.ceil_mode(a.flag("ceil_mode", false)?).count_include_pad(a.flag("count_include_pad", true)?);
        if a.given("divisor_override").is_some() { pool.divisor_override(a.size("divisor_override")?) } else { pool }
    };
    AdaptiveAvgPool2d(output_size) |a| match a.given("output_size") {
        Some(Value::List(list)) if list.len() == 2 => nn::AdaptiveAvgPool2d::keeping([usize_of(&list[0]), usize_of(&list[1])]),
        _ => nn::AdaptiveAvgPool2d::new(a.sizes::<2>("output_size", None)?),
    };
}
