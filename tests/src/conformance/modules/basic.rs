//! Layers that are none of the other families.

use taper::nn;

use super::{Built, classes};

classes! {
    Identity() |_a| nn::Identity;
    Flatten(start_dim, end_dim) |a| nn::Flatten::dims(a.int("start_dim", 1)? as isize, a.int("end_dim", -1)? as isize);
    Linear(in_features, out_features, bias, device, dtype) |a| {
        let (i, o) = (a.size("in_features")?, a.size("out_features")?);
        if a.flag("bias", true)? { nn::Linear::new(i, o, a.options()?)? } else { nn::Linear::no_bias(i, o, a.options()?)? }
    };
    Embedding(num_embeddings, embedding_dim, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse) |a| {
        let (n, d) = (a.size("num_embeddings")?, a.size("embedding_dim")?);
        let table = match a.row("padding_idx", n)? {
            None => nn::Embedding::new(n, d, a.options()?)?,
            Some(row) => nn::Embedding::with_padding(n, d, row, a.options()?)?,
        };
        let table = table.scale_grad_by_freq(a.flag("scale_grad_by_freq", false)?);
        if a.given("max_norm").is_some() { table.max_norm(a.float("max_norm", 0.0)?, a.float("norm_type", 2.0)?) } else { table }
    };
    Bilinear(in1_features, in2_features, out_features, bias) |a| {
        let (i, j, o) = (a.size("in1_features")?, a.size("in2_features")?, a.size("out_features")?);
        let layer = nn::Bilinear::new(i, j, o, a.flag("bias", true)?, a.options()?)?;
        Built::with(layer, |l, i| Ok(l.forward(i.needed(0, "input1")?, i.needed(1, "input2")?)?.into()))
    };
    CosineSimilarity(dim, eps) |a| {
        let layer = nn::CosineSimilarity::new(a.int("dim", 1)? as isize, a.float("eps", 1e-8)?);
        Built::with(layer, |l, i| Ok(l.forward(i.needed(0, "x1")?, i.needed(1, "x2")?)?.into()))
    };
    PairwiseDistance(p, eps, keepdim) |a| {
        let layer = nn::PairwiseDistance::new(a.float("p", 2.0)?, a.float("eps", 1e-6)?, a.flag("keepdim", false)?);
        Built::with(layer, |l, i| Ok(l.forward(i.needed(0, "x1")?, i.needed(1, "x2")?)?.into()))
    };
}
