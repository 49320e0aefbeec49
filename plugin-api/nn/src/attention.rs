//! Scaled dot-product attention over packed sequences: `softmax(q·kᵀ·scale)·v` within each sequence
//! (Vaswani et al. 2017, equation 1), with dropout on the probabilities.
//!
//! Tokens of all sequences lie one after the other, `[tokens, heads·dim]`, and [`Spans`] says where each
//! sequence begins: nothing is computed for padding. On the CPU in float32 one fused kernel reads queries,
//! keys and values where the linear layers left them and writes the context likewise; other devices and
//! kinds go through padded tensors and libtorch's own operations, with equal results within rounding.

mod kernel;

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
    /// Number of heads.
    pub heads: i64,
    /// What scores are multiplied with, usually `dim^-½`.
    pub scale: f64,
    /// Dropout of the probabilities.
    pub dropout: Dropout,
}

impl Attention<'_> {
    /// Attends. `q` is `[query rows, heads·dim]`, `k` and `v` are `[key rows, heads·dim]`; the result has the
    /// shape of `q`, zeros in the filler. Differentiable by all three, once. Every sequence with queries needs a
    /// key.
    ///
    /// # Errors
    /// Shapes that do not fit the spans, and those of libtorch.
    pub fn forward(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor, TchError> {
        self.check(q, k, v)?;
        if is_fusable(q) && is_fusable(k) && is_fusable(v) {
            self.fused(q, k, v)
        } else {
            self.composed(q, k, v)
        }
    }

    fn check(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<(), TchError> {
        let expected_q = [self.queries.rows(), q.size().get(1).copied().unwrap_or(0)];
        let expected_k = [self.keys.rows(), expected_q[1]];
        let fits = q.size() == expected_q
            && k.size() == expected_k
            && v.size() == expected_k
            && self.heads > 0
            && expected_q[1] % self.heads == 0
            && self.queries.sequences() == self.keys.sequences();
        if fits {
            return Ok(());
        }
        Err(TchError::Shape(format!(
            "attention of {} heads over {} and {} sequences: expected queries [{}, heads·dim], keys and values [{}, \
             heads·dim]; found {:?}, {:?}, {:?}",
            self.heads,
            self.queries.sequences(),
            self.keys.sequences(),
            self.queries.rows(),
            self.keys.rows(),
            q.size(),
            k.size(),
            v.size()
        )))
    }

    fn fused(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor, TchError> {
        let recorded = needs_grad(&[q, k, v]);
        let (q, k, v) = (rows(q)?, rows(k)?, rows(v)?);
        let plan = kernel::Plan::new(self, q.size()[1]);
        let (output, log_sums) = tch::no_grad(|| kernel::forward(&plan, &q, &k, &v))?;
        if !recorded {
            return Ok(output);
        }
        let (saved_q, saved_k, saved_v) = (q.detach(), k.detach(), v.detach());
        record(
            &[&q, &k, &v],
            output,
            move |Incoming { gradient, .. }| {
                let gradient = rows(&gradient)?;
                let [dq, dk, dv] =
                    kernel::backward(&plan, &saved_q, &saved_k, &saved_v, &log_sums, &gradient)?;
                Ok(vec![Some(dq), Some(dk), Some(dv)])
            },
        )
    }

    /// The same by libtorch's operations on padded tensors `[sequences, heads, time, dim]`.
    pub(crate) fn composed(&self, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor, TchError> {
        let device = q.device();
        let split = |x: &Tensor, spans: &Spans| -> Result<Tensor, TchError> {
            let (batch, time, width) = (spans.sequences(), spans.longest(), x.size()[1]);
            spans
                .pad(x)? // [b, t, h·d]
                .f_view([batch, time, self.heads, width / self.heads])?
                .f_transpose(1, 2) // [b, h, t, d]
        };
        let (pq, pk, pv) = (
            split(q, self.queries)?,
            split(k, self.keys)?,
            split(v, self.keys)?,
        );
        let visible = self.keys.mask(device)?.f_unsqueeze(1)?.f_unsqueeze(1)?; // [b, 1, 1, t]
        let context = if self.dropout.is_off() || device != Device::Cpu {
            let p = self.dropout.p();
            Tensor::f_scaled_dot_product_attention(
                &pq,
                &pk,
                &pv,
                Some(&visible),
                p,
                false,
                Some(self.scale),
                false,
            )?
        } else {
            let scores = pq
                .f_matmul(&pk.f_transpose(2, 3)?)?
                .f_mul_scalar(self.scale)?;
            let scores = scores.f_masked_fill(&visible.f_logical_not()?, f64::NEG_INFINITY)?;
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
}

fn is_fusable(x: &Tensor) -> bool {
    x.device() == Device::Cpu && x.kind() == Kind::Float
}

/// `x` with each row's elements side by side; rows may lie apart.
fn rows(x: &Tensor) -> Result<Tensor, TchError> {
    if x.stride().last() == Some(&1) {
        Ok(x.shallow_clone())
    } else {
        x.f_contiguous()
    }
}
