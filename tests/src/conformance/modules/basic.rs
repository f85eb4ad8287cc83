//! Layers that are none of the other families.

use taper::nn;

use super::classes;

classes! {
    Identity() |_a| nn::Identity;
    Flatten(start_dim, end_dim) |a| nn::Flatten::dims(a.int("start_dim", 1)? as isize, a.int("end_dim", -1)? as isize);
    Linear(in_features, out_features, bias, device, dtype) |a| {
        let (i, o) = (a.size("in_features")?, a.size("out_features")?);
        if a.flag("bias", true)? { nn::Linear::new(i, o, a.options()?)? } else { nn::Linear::no_bias(i, o, a.options()?)? }
    };
    Embedding(num_embeddings, embedding_dim, padding_idx) |a| {
        let (n, d) = (a.size("num_embeddings")?, a.size("embedding_dim")?);
        match a.given("padding_idx") {
            None => nn::Embedding::new(n, d, a.options()?)?,
            Some(_) => nn::Embedding::with_padding(n, d, a.size("padding_idx")?, a.options()?)?,
        }
    };
}
