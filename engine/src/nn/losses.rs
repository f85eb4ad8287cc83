//! Loss functions as structs with their options, from one table; what they compute is in [`crate::loss`].

use crate::Module;
use crate::error::Result;
use crate::loss::{self, Ctc, Poisson, Reduction, Triplet};
use crate::tensor::Tensor;

use super::Buffer;

/// `Name [tensors that belong to it] { options = PyTorch's defaults } (inputs) => loss;`
macro_rules! losses {
    ($($(#[$doc:meta])* $name:ident [$($(#[$tensor_doc:meta])* $tensor:ident),*] {$($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr),*}
        ($($input:ident),+) $options:ident => $value:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Module, Debug, Clone)]
        pub struct $name {
            $($tensor: Option<Buffer>,)*
            $($field: $type,)*
            reduction: Reduction,
        }

        impl $name {
            pub fn new() -> $name {
                $name { $($tensor: None,)* $($field: $default,)* reduction: Reduction::Mean }
            }

            $(
                $(#[$tensor_doc])*
                pub fn $tensor(mut self, value: &Tensor) -> $name {
                    self.$tensor = Some(Buffer::new(value.clone()));
                    self
                }
            )*

            $(
                $(#[$field_doc])*
                pub fn $field(mut self, value: $type) -> $name {
                    self.$field = value;
                    self
                }
            )*

            /// What becomes of the losses of the single elements; their mean unless said otherwise.
            pub fn reduction(mut self, reduction: Reduction) -> $name {
                self.reduction = reduction;
                self
            }

            /// # Errors
            /// Shapes or types that do not fit.
            #[track_caller]
            pub fn forward(&self, $($input: &Tensor),+) -> Result<Tensor> {
                let $options = self;
                $value
            }
        }

        /// PyTorch's defaults.
        impl Default for $name {
            fn default() -> $name {
                $name::new()
            }
        }
    )*};
}

losses! {
    /// Absolute differences.
    L1Loss [] {} (input, target) o => loss::l1_loss(input, target, o.reduction);
    /// Squared differences near 0, absolute ones elsewhere.
    SmoothL1Loss [] {
        /// Where near ends.
        beta: f64 = 1.0
    } (input, target) o => loss::smooth_l1_loss(input, target, o.beta, o.reduction);
    /// Squared differences near 0, absolute ones times `delta` elsewhere.
    HuberLoss [] {
        /// Where near ends.
        delta: f64 = 1.0
    } (input, target) o => loss::huber_loss(input, target, o.delta, o.reduction);
    /// Negative log-likelihood of classes under log-probabilities `[N, C, ..]`.
    NLLLoss [
        /// Weighs the classes, `[C]`.
        weight
    ] {
        /// Targets of this class do not count.
        ignore_index: i64 = -100
    } (input, target) o => loss::nll_loss(input, target, o.weight.as_deref(), o.ignore_index, o.reduction);
    /// Binary cross-entropy of probabilities; [`BCEWithLogitsLoss`] is the stable way from scores.
    BCELoss [
        /// Weighs the losses; broadcasts.
        weight
    ] {} (input, target) o => loss::binary_cross_entropy(input, target, o.weight.as_deref(), o.reduction);
    /// Binary cross-entropy of `sigmoid(input)`, stable for any input.
    BCEWithLogitsLoss [
        /// Weighs the losses; broadcasts.
        weight,
        /// Weighs the positive part; broadcasts over the classes.
        pos_weight
    ] {} (input, target) o =>
        loss::binary_cross_entropy_with_logits(input, target, o.weight.as_deref(), o.pos_weight.as_deref(), o.reduction);
    /// Kullback-Leibler divergence of the target from the distribution with log-probabilities `input`.
    KLDivLoss [] {
        /// The target holds log-probabilities, too.
        log_target: bool = false
    } (input, target) o => loss::kl_div(input, target, o.reduction, o.log_target);
    /// Negative log-likelihood of counts from Poisson distributions.
    PoissonNLLLoss [] {
        /// The input is the logarithm of the rate.
        log_input: bool = true,
        /// With Stirling's approximation of the constant term.
        full: bool = false,
        /// Added to a rate before its logarithm is taken.
        eps: f64 = 1e-8
    } (input, target) o => {
        let options = Poisson { log_input: o.log_input, full: o.full, eps: o.eps, reduction: o.reduction };
        loss::poisson_nll_loss(input, target, options)
    };
    /// Negative log-likelihood of values from normal distributions with means `input` and variances `var`.
    GaussianNLLLoss [] {
        /// With the constant term.
        full: bool = false,
        /// The least variance.
        eps: f64 = 1e-6
    } (input, target, var) o => loss::gaussian_nll_loss(input, target, var, o.full, o.eps, o.reduction);
    /// Hinge loss over classes: scores `[N, C]`, classes `[N]`.
    MultiMarginLoss [
        /// Weighs the classes, `[C]`.
        weight
    ] {
        /// The power of what is missing to the margin: 1 or 2.
        p: i64 = 1,
        /// How much the right class has to lead.
        margin: f64 = 1.0
    } (input, target) o => loss::multi_margin_loss(input, target, o.p, o.margin, o.weight.as_deref(), o.reduction);
    /// Hinge loss over several labels each: classes before the first -1 in a row of the target.
    MultiLabelMarginLoss [] {} (input, target) o => loss::multilabel_margin_loss(input, target, o.reduction);
    /// The mean over classes of binary cross-entropies of scores.
    MultiLabelSoftMarginLoss [
        /// Weighs the classes; broadcasts.
        weight
    ] {} (input, target) o => loss::multilabel_soft_margin_loss(input, target, o.weight.as_deref(), o.reduction);
    /// `log(1 + exp(-target input))` for targets 1 and -1.
    SoftMarginLoss [] {} (input, target) o => loss::soft_margin_loss(input, target, o.reduction);
    /// The first of two scores should be larger where the target is 1, the second where it is -1.
    MarginRankingLoss [] {
        /// By how much.
        margin: f64 = 0.0
    } (input1, input2, target) o => loss::margin_ranking_loss(input1, input2, target, o.margin, o.reduction);
    /// Distances should be small where the target is 1, and at least `margin` where it is -1.
    HingeEmbeddingLoss [] {
        /// How far is far enough.
        margin: f64 = 1.0
    } (input, target) o => loss::hinge_embedding_loss(input, target, o.margin, o.reduction);
    /// Vectors should point the same way where the target is 1, and elsewhere where it is -1.
    CosineEmbeddingLoss [] {
        /// The cosine that is different enough.
        margin: f64 = 0.0
    } (input1, input2, target) o => loss::cosine_embedding_loss(input1, input2, target, o.margin, o.reduction);
    /// An anchor should be nearer to its positive than to its negative.
    TripletMarginLoss [] {
        /// By how much.
        margin: f64 = 1.0,
        /// The order of the distance's norm.
        p: f64 = 2.0,
        /// Added to every difference.
        eps: f64 = 1e-6,
        /// Takes the negative's distance to the positive where that is smaller.
        swap: bool = false
    } (anchor, positive, negative) o => {
        let options = Triplet { margin: o.margin, p: o.p, eps: o.eps, swap: o.swap, reduction: o.reduction };
        loss::triplet_margin_loss(anchor, positive, negative, options)
    };
}

/// Connectionist temporal classification; see [`ctc_loss`](loss::ctc_loss).
#[derive(Module, Debug, Clone, Copy, Default)]
pub struct CTCLoss {
    options: Ctc,
}

impl CTCLoss {
    pub fn new(options: Ctc) -> CTCLoss {
        CTCLoss { options }
    }

    /// # Errors
    /// Shapes and lengths that do not fit; a target outside the classes.
    #[track_caller]
    pub fn forward(&self, log_probs: &Tensor, targets: &Tensor, input_lengths: &[usize], target_lengths: &[usize]) -> Result<Tensor> {
        loss::ctc_loss(log_probs, targets, input_lengths, target_lengths, self.options)
    }
}

/// [`TripletMarginLoss`] with any distance.
#[derive(Debug, Clone)]
pub struct TripletMarginWithDistanceLoss<F> {
    distance: F,
    options: Triplet,
}

impl<F: Fn(&Tensor, &Tensor) -> Result<Tensor>> TripletMarginWithDistanceLoss<F> {
    pub fn new(distance: F, options: Triplet) -> Self {
        TripletMarginWithDistanceLoss { distance, options }
    }

    /// # Errors
    /// Shapes that differ; a margin that is not positive; whatever the distance reports.
    #[track_caller]
    pub fn forward(&self, anchor: &Tensor, positive: &Tensor, negative: &Tensor) -> Result<Tensor> {
        loss::triplet_margin_with_distance_loss(anchor, positive, negative, &self.distance, self.options)
    }
}
