//! Scaled dot-product attention over packed sequences: `softmax(q·kᵀ·scale + bias)·v` within each sequence
//! (Vaswani et al. 2017, equation 1), with dropout on the probabilities.
//!
//! Tokens of all sequences lie one after the other, `[tokens, heads·dim]`, and [`Spans`] says where each
//! sequence begins: nothing is computed for padding. Keys and values may have fewer heads than queries
//! (Ainslie et al. 2023), tokens may see only what precedes them, or only a window of it (Beltagy et al. 2020,
//! section 3.1), and scores may have a bias by position (Raffel et al. 2020, section 2.1). On the CPU in float32
//! one fused kernel reads queries, keys and values where the linear layers left them and writes the context
//! likewise; other devices and kinds go through padded tensors and libtorch's own operations, with equal
//! results within rounding.

mod kernel;
mod plan;

use tch::{Device, Kind, TchError, Tensor};

use crate::bridge::{Incoming, needs_grad, record};
use crate::dropout::Dropout;
use crate::packing::Spans;

/// The shape of an attention: which tokens attend to which, and how.
#[derive(Debug, Clone)]
pub struct Attention<'a> {
    /// Where each sequence's queries lie.
    pub queries: &'a Spans,
    /// Where each sequence's keys and values lie. Sequence i's queries see sequence i's keys.
    pub keys: &'a Spans,
    /// Number of heads of the queries.
    pub heads: i64,
    /// Number of heads of keys and values, which divides `heads`: head `h` of the queries sees head
    /// `h·kv_heads/heads`.
    pub kv_heads: i64,
    /// What scores are multiplied with, usually `dim^-½`.
    pub scale: f64,
    /// Which keys of its sequence a query sees.
    pub sight: Sight,
    /// What is added to the scores: `[heads, query, key]` by the places of query and key in their sequences, at
    /// least as long as the longest. Differentiable.
    pub bias: Option<&'a Tensor>,
    /// Dropout of the probabilities.
    pub dropout: Dropout,
}

/// Which keys of its sequence a query sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sight {
    /// All.
    #[default]
    All,
    /// Those of its own token and of the tokens before. Where a sequence has more keys than queries, its last
    /// query is at its last key.
    Before,
    /// The last so many of these, its own among them.
    Window(i64),
}

impl Sight {
    /// [`Sight::Window`] of a window, [`Sight::Before`] without one.
    #[must_use]
    pub fn before(window: Option<i64>) -> Self {
        window.map_or(Self::Before, Self::Window)
    }
}

impl<'a> Attention<'a> {
    /// Every query sees every key of its sequence, with as many heads; no bias, no dropout. Other fields are set
    /// by name: `Attention { dropout, ..Attention::new(…) }`.
    #[must_use]
    pub fn new(queries: &'a Spans, keys: &'a Spans, heads: i64, scale: f64) -> Self {
        Self {
            queries,
            keys,
            heads,
            kv_heads: heads,
            scale,
            sight: Sight::All,
            bias: None,
            dropout: Dropout::OFF,
        }
    }

    /// Attends. `q` is `[query rows, heads·dim]`, `k` and `v` are `[key rows, kv_heads·dim]`; the result has the
    /// shape of `q`, zeros in the filler. Differentiable by all three and by the bias, once. Every query needs a
    /// key that it sees.
    ///
    /// # Errors
    /// Shapes that do not fit the spans, and those of libtorch.
    pub fn forward(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor, TchError> {
        self.check(q, k, v)?;
        if is_fusable(q) && is_fusable(k) && is_fusable(v) && self.bias.is_none_or(is_fusable) {
            self.fused(q, k, v)
        } else {
            self.composed(q, k, v)
        }
    }

    fn check(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<(), TchError> {
        let (heads, kv_heads) = (self.heads, self.kv_heads);
        let misfit = |what: String| {
            Err(TchError::Shape(format!(
                "attention of {heads} heads ({kv_heads} of keys) over {} sequences: {what}",
                self.queries.sequences()
            )))
        };
        if heads <= 0 || kv_heads <= 0 || heads % kv_heads != 0 {
            return misfit("the heads of keys do not divide those of queries".into());
        }
        let width = q.size().get(1).copied().unwrap_or(0);
        let expected_q = [self.queries.rows(), width];
        let expected_k = [self.keys.rows(), width / heads * kv_heads];
        if q.size() != expected_q
            || k.size() != expected_k
            || v.size() != expected_k
            || width % heads != 0
            || self.queries.sequences() != self.keys.sequences()
        {
            return misfit(format!(
                "expected queries [{}, heads·dim], keys and values [{}, kv_heads·dim] of {} sequences; found {:?}, \
                 {:?}, {:?}",
                self.queries.rows(),
                self.keys.rows(),
                self.keys.sequences(),
                q.size(),
                k.size(),
                v.size()
            ));
        }
        let mut lengths = self.queries.lengths().zip(self.keys.lengths());
        if self.sight != Sight::All && lengths.any(|(queries, keys)| queries > keys) {
            return misfit("a query before its sequence's first key, which sees none".into());
        }
        if matches!(self.sight, Sight::Window(window) if window < 1) {
            return misfit(format!("{:?} shows no key", self.sight));
        }
        let longest = [self.queries.longest(), self.keys.longest()];
        match self.bias.map(Tensor::size).as_deref() {
            None => Ok(()),
            Some(&[h, q, k]) if h == heads && q >= longest[0] && k >= longest[1] => Ok(()),
            Some(found) => misfit(format!(
                "expected a bias [heads, {}, {}] or larger, found {found:?}",
                longest[0], longest[1]
            )),
        }
    }

    fn fused(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor, TchError> {
        let inputs: Vec<&Tensor> = [q, k, v].into_iter().chain(self.bias).collect();
        let recorded = needs_grad(&inputs);
        let (q, k, v) = (rows(q)?, rows(k)?, rows(v)?);
        let bias = self.bias.map(rows).transpose()?;
        let plan = plan::Plan::new(self, q.size()[1]);
        let (output, log_sums) =
            tch::no_grad(|| kernel::forward(&plan, &q, &k, &v, bias.as_ref()))?;
        if !recorded {
            return Ok(output);
        }
        let (q, k, v) = (q.detach(), k.detach(), v.detach());
        let bias = bias.map(|bias| bias.detach());
        record(&inputs, output, move |Incoming { gradient, needed }| {
            let gradient = rows(&gradient)?;
            let saved = kernel::Saved {
                q: &q,
                k: &k,
                v: &v,
                bias: bias.as_ref(),
                log_sums: &log_sums,
            };
            let needs_bias = needed.get(3) == Some(&true);
            let (gradients, d_bias) = kernel::backward(&plan, &saved, &gradient, needs_bias)?;
            let d_bias = bias.is_some().then_some(d_bias);
            Ok(gradients.map(Some).into_iter().chain(d_bias).collect())
        })
    }

    /// The same by libtorch's operations on padded tensors `[sequences, heads, time, dim]`.
    pub(crate) fn composed(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor, TchError> {
        let device = q.device();
        let dim = q.size()[1] / self.heads;
        let split = |x: &Tensor, spans: &Spans| -> Result<Tensor, TchError> {
            let (batch, time) = (spans.sequences(), spans.longest());
            let heads = x.size()[1] / dim;
            let x = spans.pad(x)?.f_view([batch, time, heads, dim])?; // [b, t, h·d] -> [b, t, h, d]
            let x = x.f_transpose(1, 2)?; // [b, h, t, d]
            match self.heads / heads {
                1 => Ok(x),
                group => x.f_repeat_interleave_self_int(group, 1, None),
            }
        };
        let (pq, pk, pv) = (
            split(q, self.queries)?,
            split(k, self.keys)?,
            split(v, self.keys)?,
        );
        let context = if self.dropout.is_off() || device != Device::Cpu {
            let causal = self.sight == Sight::Before && self.bias.is_none() && self.is_square();
            let mask = (!causal).then(|| self.mask(q)).transpose()?;
            let p = self.dropout.p();
            Tensor::f_scaled_dot_product_attention(
                &pq,
                &pk,
                &pv,
                mask.as_ref(),
                p,
                causal,
                Some(self.scale),
                false,
            )?
        } else {
            let scores = pq.f_matmul(&pk.f_transpose(2, 3)?)?;
            let scores = scores.f_mul_scalar(self.scale)?.f_add(&self.mask(q)?)?;
            let probabilities = scores.f_softmax(-1, None::<Kind>)?;
            self.dropout.apply(&probabilities)?.f_matmul(&pv)?
        };
        let (batch, time, width) = (
            self.queries.sequences(),
            self.queries.longest(),
            q.size()[1],
        );
        let context = context.f_transpose(1, 2)?.f_reshape([batch, time, width])?; // [b, t, h·d]
        self.queries.unpad(&context)
    }

    /// Whether queries and keys are those of sequences of one length.
    fn is_square(&self) -> bool {
        let length = self.queries.longest();
        self.queries.starts() == self.keys.starts()
            && self.keys.lengths().all(|keys| keys == length)
    }

    /// What is added to the scores of padded tensors: the bias where a query sees a key, else -∞:
    /// `[sequences, heads or 1, query, key]`, of the kind and on the device of `q`. Padded queries see every key.
    fn mask(&self, q: &Tensor) -> Result<Tensor, TchError> {
        let (kind, device) = (q.kind(), q.device());
        let [queries, keys] = [self.queries.longest(), self.keys.longest()];
        let mut hidden = self
            .keys
            .mask(device)?
            .f_logical_not()?
            .f_view([-1, 1, keys])?; // [b, 1, k]
        if self.sight != Sight::All {
            // how far each key lies before each query, in whole sequences
            let further = self.keys.lengths().zip(self.queries.lengths());
            let further: Vec<i64> = further.map(|(keys, queries)| keys - queries).collect();
            let further = Tensor::f_from_slice(&further)?
                .f_to_device(device)?
                .f_view([-1, 1, 1])?;
            let places = |count: i64| Tensor::f_arange(count, (Kind::Int64, device));
            let distance = places(queries)?
                .f_view([1, -1, 1])?
                .f_sub(&places(keys)?.f_view([1, 1, -1])?)?
                .f_add(&further)?; // [b, q, k]
            hidden = hidden.f_logical_or(&distance.f_lt(0)?)?;
            if let Sight::Window(window) = self.sight {
                hidden = hidden.f_logical_or(&distance.f_ge(window)?)?;
            }
            let padded = self.queries.mask(device)?.f_logical_not()?.f_unsqueeze(2)?; // [b, q, 1]
            hidden = hidden.f_logical_and(&padded.f_logical_not()?)?;
        }
        let hidden = hidden.f_unsqueeze(1)?; // [b, 1, q or 1, k]
        let bias = match self.bias {
            Some(bias) => bias
                .f_narrow(1, 0, queries)?
                .f_narrow(2, 0, keys)?
                .f_to_kind(kind)?
                .f_unsqueeze(0)?,
            None => Tensor::f_zeros([1, 1, 1, 1], (kind, device))?,
        };
        let shape = [hidden.size()[0], bias.size()[1], queries, keys];
        bias.f_expand(shape, false)?
            .f_masked_fill(&hidden, f64::NEG_INFINITY)
    }
}

pub(crate) fn is_fusable(x: &Tensor) -> bool {
    x.device() == Device::Cpu && x.kind() == Kind::Float
}

/// `x` with each row's elements side by side; rows may lie apart.
pub(crate) fn rows(x: &Tensor) -> Result<Tensor, TchError> {
    if x.stride().last() == Some(&1) {
        Ok(x.shallow_clone())
    } else {
        x.f_contiguous()
    }
}
