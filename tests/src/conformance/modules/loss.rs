//! Losses.

use taper::nn;

use super::Built;
use super::classes;

classes! {
    CrossEntropyLoss(weight, size_average, ignore_index, reduce, reduction, label_smoothing) |a| {
        let loss = nn::CrossEntropyLoss::new().ignore_index(a.int("ignore_index", -100)?).reduction(a.reduction()?);
        let loss = loss.label_smoothing(a.float("label_smoothing", 0.0)?);
        let loss = match a.given("weight") {
            Some(w) => loss.weight(w.tensor()?),
            None => loss,
        };
        Built::loss(move |x, target| loss.forward(x, target))
    };
    MSELoss(size_average, reduce, reduction) |a| {
        let loss = nn::MSELoss::new().reduction(a.reduction()?);
        Built::loss(move |x, target| loss.forward(x, target))
    };
}
