//! The product of a linear layer, `x·Wᵀ + b`, by whichever of libtorch's libraries is faster.
//!
//! On the CPU libtorch multiplies float32 matrices with MKL, which on processors of other makers than its own uses
//! half of each register of AVX-512. oneDNN, the other library inside libtorch, uses all of it: at the shapes of a
//! small BERT on an AMD EPYC of the fifth generation 510 GFLOP/s against 225. On an Intel Xeon of the fifth
//! generation MKL is the faster one: forward by 1.1 ×, and for gradients of weights by up to twice.
//!
//! oneDNN compiles a kernel for each shape that it meets, which takes milliseconds. So it serves only row counts
//! that recur: multiples of [`ROWS`], to which [`Packing`](crate::Packing) rounds the tokens of a batch.

#[cfg(target_arch = "x86_64")]
use std::sync::LazyLock;

use tch::{Device, Kind, TchError, Tensor};

use crate::bridge::{Incoming, has_mkl, has_onednn, needs_grad, onednn_linear, record};
use crate::skinny;

/// Rows of a product that oneDNN serves come in multiples of this.
pub(crate) const ROWS: i64 = 64;

/// Smallest depth and width for which it is worth the call.
const SMALLEST: i64 = 32;

/// Whether this processor and this libtorch gain from oneDNN.
pub(crate) fn prefers_onednn() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        static PREFERS: LazyLock<bool> = LazyLock::new(|| {
            is_x86_feature_detected!("avx512f") && has_onednn() && !(has_mkl() && is_intel())
        });
        *PREFERS
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether Intel made this processor.
#[cfg(target_arch = "x86_64")]
fn is_intel() -> bool {
    let maker = std::arch::x86_64::__cpuid(0);
    [maker.ebx, maker.edx, maker.ecx].map(u32::to_le_bytes) == [*b"Genu", *b"ineI", *b"ntel"]
}

/// How many rows to add to `rows` rows like those of `x`, so that oneDNN serves them; none where that does not pay.
pub(crate) fn filler(x: &Tensor, rows: i64) -> i64 {
    let gains = x.device() == Device::Cpu && x.kind() == Kind::Float && prefers_onednn();
    match rows % ROWS {
        rest if rest > 0 && rows > 3 * ROWS && gains => ROWS - rest,
        _ => 0,
    }
}

/// `x` `[…, in]` times the transpose of `weight` `[out, in]`, plus `bias` `[out]`: `[…, out]`.
///
/// # Errors
/// Shapes that do not fit, and those of libtorch.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor, TchError> {
    let inputs: Vec<&Tensor> = [x, weight].into_iter().chain(bias).collect();
    let recorded = needs_grad(&inputs);
    if !recorded && skinny::serves(x, weight, bias) {
        return skinny::linear(x, weight, bias);
    }
    if !serves(x, weight, bias) {
        return x.f_linear(weight, bias);
    }
    let mut shape = x.size();
    let rows = x.f_reshape([-1, weight.size()[1]])?;
    let output = onednn_linear(&rows, weight, bias)?;
    if let Some(width) = shape.last_mut() {
        *width = weight.size()[0];
    }
    let output = output.f_view(shape.as_slice())?;
    if !recorded {
        return Ok(output);
    }
    let (rows, weight, has_bias) = (rows.detach(), weight.detach(), bias.is_some());
    record(&inputs, output, move |Incoming { gradient, needed }| {
        let gradient = gradient.f_reshape([-1, weight.size()[0]])?.f_contiguous()?;
        let wanted = |index: usize| needed.get(index) == Some(&true);
        let by_x = wanted(0)
            .then(|| {
                onednn_linear(&gradient, &weight.f_tr()?, None)?
                    .f_view(shape_of_input(&shape, &weight).as_slice())
            })
            .transpose()?;
        let by_weight = wanted(1)
            .then(|| onednn_linear(&gradient.f_tr()?, &rows.f_tr()?, None))
            .transpose()?;
        let by_bias = (has_bias && wanted(2))
            .then(|| gradient.f_sum_dim_intlist(0, false, None::<Kind>))
            .transpose()?;
        let mut gradients = vec![by_x, by_weight];
        gradients.extend(has_bias.then_some(by_bias));
        Ok(gradients)
    })
}

/// The output's shape with the depth of the input.
fn shape_of_input(output: &[i64], weight: &Tensor) -> Vec<i64> {
    let mut shape = output.to_vec();
    if let Some(width) = shape.last_mut() {
        *width = weight.size()[1];
    }
    shape
}

/// Whether oneDNN takes this product: float32 on the CPU, in shapes that fit and recur.
fn serves(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> bool {
    let plain = |tensor: &Tensor| tensor.device() == Device::Cpu && tensor.kind() == Kind::Float;
    let (&[width, depth], Some(&columns)) = (weight.size().as_slice(), x.size().last()) else {
        return false;
    };
    let rows = x.numel() as i64 / columns.max(1);
    depth == columns
        && rows > 0
        && rows % ROWS == 0
        && depth.min(width) >= SMALLEST
        && plain(x)
        && plain(weight)
        && bias.is_none_or(|bias| plain(bias) && bias.size() == [width])
        && x.is_contiguous()
        && prefers_onednn()
}
