//! Attention and transformers.

use taper::nn::{self, Activation, Masks, TransformerConfig, Weights};
use taper::ops::registry::Value;

use super::super::outcome::{Outcome, Step};
use super::arguments::Arguments;
use super::{Built, Inputs, classes};

const LAYER: &[&str] = &[
    "d_model",
    "nhead",
    "dim_feedforward",
    "dropout",
    "activation",
    "layer_norm_eps",
    "batch_first",
    "norm_first",
    "bias",
    "device",
    "dtype",
];

classes! {
    MultiheadAttention(embed_dim, num_heads, dropout, bias, add_bias_kv, add_zero_attn, kdim, vdim, batch_first) |a| {
        let b = nn::MultiheadAttention::builder(a.size("embed_dim")?, a.size("num_heads")?).dropout(a.float("dropout", 0.0)?);
        let b = b.bias(a.flag("bias", true)?).add_bias_kv(a.flag("add_bias_kv", false)?).add_zero_attn(a.flag("add_zero_attn", false)?);
        let b = if a.given("kdim").is_some() { b.kdim(a.size("kdim")?) } else { b };
        let b = if a.given("vdim").is_some() { b.vdim(a.size("vdim")?) } else { b };
        Built::with(b.batch_first(a.flag("batch_first", false)?).build(a.options()?)?, |m, i| {
            let masks = Masks { attn: i.tensor(5, "attn_mask")?, key_padding: i.tensor(3, "key_padding_mask")?, causal: flag(i, 7, "is_causal", false) };
            let weights = match (flag(i, 4, "need_weights", true), flag(i, 6, "average_attn_weights", true)) {
                (false, _) => Weights::None,
                (true, true) => Weights::Averaged,
                (true, false) => Weights::PerHead,
            };
            let (y, weights) = m.attend(i.needed(0, "query")?, i.needed(1, "key")?, i.needed(2, "value")?, masks, weights)?;
            Ok(Value::List(vec![y.into(), weights.map_or(Value::None, Value::from)]))
        })
    };
    TransformerEncoderLayer(d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias) |a| {
        Built::layer_with(config(a)?.encoder_layer(a.options()?)?, |m, i| {
            Ok(m.forward(i.needed(0, "src")?, masks(i, (1, "src_mask"), (2, "src_key_padding_mask"), (3, "is_causal"))?)?.into())
        })
    };
    TransformerDecoderLayer(d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias) |a| {
        Built::with(config(a)?.decoder_layer(a.options()?)?, |m, i| Ok(m.forward(i.needed(0, "tgt")?, i.needed(1, "memory")?, tgt(i)?, memory(i)?)?.into()))
    };
    TransformerEncoder(encoder_layer, num_layers, norm) |a| {
        let (layer, options) = (nested(a, "encoder_layer")?, a.options()?);
        let mut encoder = config(&layer)?.encoder(a.size("num_layers")?, options.clone())?;
        encoder.norm = norm(a)?;
        Built::layer_with(encoder, |m, i| {
            Ok(m.forward(i.needed(0, "src")?, masks(i, (1, "mask"), (2, "src_key_padding_mask"), (3, "is_causal"))?)?.into())
        })
    };
    TransformerDecoder(decoder_layer, num_layers, norm) |a| {
        let (layer, options) = (nested(a, "decoder_layer")?, a.options()?);
        let mut decoder = config(&layer)?.decoder(a.size("num_layers")?, options.clone())?;
        decoder.norm = norm(a)?;
        Built::with(decoder, |m, i| Ok(m.forward(i.needed(0, "tgt")?, i.needed(1, "memory")?, tgt(i)?, memory(i)?)?.into()))
    };
    Transformer(d_model, nhead, num_encoder_layers, num_decoder_layers, dim_feedforward, dropout, activation, custom_encoder, custom_decoder,
        layer_norm_eps, batch_first, norm_first, bias) |a| {
        let layers = |name: &str| if a.given(name).is_some() { a.size(name) } else { Ok(6) };
        let model = config(a)?.transformer(layers("num_encoder_layers")?, layers("num_decoder_layers")?, a.options()?)?;
        Built::with(model, |m, i| {
            let src = masks(i, (2, "src_mask"), (5, "src_key_padding_mask"), (8, "src_is_causal"))?;
            let tgt = masks(i, (3, "tgt_mask"), (6, "tgt_key_padding_mask"), (9, "tgt_is_causal"))?;
            let memory = masks(i, (4, "memory_mask"), (7, "memory_key_padding_mask"), (10, "memory_is_causal"))?;
            Ok(m.forward(i.needed(0, "src")?, i.needed(1, "tgt")?, src, tgt, memory)?.into())
        })
    };
}

type At = (usize, &'static str);

fn masks(i: &Inputs, attn: At, padding: At, causal: At) -> Step<Masks<'_>> {
    Ok(Masks { attn: i.tensor(attn.0, attn.1)?, key_padding: i.tensor(padding.0, padding.1)?, causal: flag(i, causal.0, causal.1, false) })
}

fn tgt(i: &Inputs) -> Step<Masks<'_>> {
    masks(i, (2, "tgt_mask"), (4, "tgt_key_padding_mask"), (6, "tgt_is_causal"))
}

fn memory(i: &Inputs) -> Step<Masks<'_>> {
    masks(i, (3, "memory_mask"), (5, "memory_key_padding_mask"), (7, "memory_is_causal"))
}

fn flag(i: &Inputs, position: usize, name: &str, default: bool) -> bool {
    match i.get(position, name) {
        Some(Value::Bool(b)) => *b,
        _ => default,
    }
}

fn config(a: &Arguments<'_>) -> Step<TransformerConfig> {
    let size = |name: &str, default: usize| if a.given(name).is_some() { a.size(name) } else { Ok(default) };
    let activation = match a.text("activation", "relu")?.as_str() {
        "relu" => Activation::Relu,
        "gelu" => Activation::Gelu,
        other => return Err(Outcome::by_type(format!("activation: '{other}'"))),
    };
    let c = TransformerConfig::new(size("d_model", 512)?, size("nhead", 8)?).dim_feedforward(size("dim_feedforward", 2048)?);
    let c = c.dropout(a.float("dropout", 0.1)?).activation(activation).layer_norm_eps(a.float("layer_norm_eps", 1e-5)?);
    Ok(c.batch_first(a.flag("batch_first", false)?).norm_first(a.flag("norm_first", false)?).bias(a.flag("bias", true)?))
}

/// The arguments of a layer that is an argument itself.
fn nested<'a>(a: &Arguments<'a>, name: &str) -> Step<Arguments<'a>> {
    let Some(Value::List(parts)) = a.given(name) else { return Err(Outcome::by_type(format!("argument {name} is missing"))) };
    let [_, Value::List(args), Value::List(kwargs)] = &parts[..] else {
        return Err(Outcome::by_type(format!("{name} cannot be {parts:?}")));
    };
    let mut given: std::collections::HashMap<String, Value> = LAYER.iter().map(|p| p.to_string()).zip(args.iter().cloned()).collect();
    for pair in kwargs {
        if let Value::List(pair) = pair
            && let [Value::Str(key), value] = &pair[..]
        {
            given.insert(key.clone(), value.clone());
        }
    }
    Ok(Arguments { given, device: a.device })
}

/// A layer norm as an argument.
fn norm(a: &Arguments<'_>) -> Step<Option<nn::LayerNorm>> {
    let shape = match a.given("norm") {
        None => return Ok(None),
        Some(Value::List(parts)) => match &parts[..] {
            [Value::Str(name), Value::List(args), _] if name == "nn.LayerNorm" => args.first().cloned(),
            _ => None,
        },
        _ => None,
    };
    let sizes = match shape {
        Some(Value::Int(n)) => vec![n as usize],
        Some(Value::List(list)) => list.iter().filter_map(super::arguments::usize_of).collect(),
        other => return Err(Outcome::by_type(format!("norm cannot be {other:?}"))),
    };
    Ok(Some(nn::LayerNorm::new(sizes, a.options()?)?))
}
