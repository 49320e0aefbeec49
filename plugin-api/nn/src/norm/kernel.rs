//! The fused kernels of `norm(residual + dropout(x))` on the CPU, float32.
//!
//! The forward pass keeps the normalised rows and each row's reciprocal deviation; the backward pass draws the
//! dropout mask again. The gradients of weight and bias are summed in blocks of rows that do not depend on the
//! number of threads, so that they come out the same on any machine.

use tch::{Device, Kind, TchError, Tensor};

use crate::bridge::{Gradients, parallel_for};
use crate::dropout::{Masking, SharedMut};
use crate::simd::{F32s, LANES, dispatch, fma};

/// Rows whose weight and bias gradients are summed first.
const BLOCK: usize = 32;

/// What the backward pass needs.
pub(super) struct Saved {
    /// `(h - mean) · rstd`, `[tokens, hidden]`.
    normalised: Tensor,
    /// Reciprocal standard deviations, `[tokens]`.
    rstd: Vec<f32>,
}

/// A contiguous tensor's memory, by rows of its last dimension.
pub(super) struct Rows {
    start: SharedMut<f32>,
    hidden: usize,
}

impl Rows {
    pub fn of(x: &Tensor) -> Self {
        Self {
            start: SharedMut(x.data_ptr().cast()),
            hidden: x.size().last().copied().unwrap_or(0) as usize,
        }
    }

    /// # Safety
    /// The row exists, and nobody else writes it meanwhile.
    #[inline(always)]
    pub unsafe fn row<'a>(&self, row: usize) -> &'a mut [f32] {
        // SAFETY: the caller's.
        unsafe { self.start.slice(row * self.hidden, self.hidden) }
    }
}

/// All inputs contiguous. `Saved` is made when `save` is set.
pub(super) fn forward(
    x: &Tensor,
    residual: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f32,
    masking: Option<Masking>,
    save: bool,
) -> Result<(Tensor, Option<Saved>), TchError> {
    let rows = x.size()[0] as usize;
    let output = Tensor::f_empty(x.size(), (Kind::Float, Device::Cpu))?;
    let normalised = Tensor::f_empty(
        if save { x.size() } else { vec![0, 0] },
        (Kind::Float, Device::Cpu),
    )?;
    let mut rstd = vec![0.0; rows];
    let job = Forward {
        tensors: [x, residual, weight, bias, &normalised, &output].map(Rows::of),
        rstd: SharedMut(rstd.as_mut_ptr()),
        eps,
        masking,
        save,
    };
    parallel_for(rows, BLOCK, |begin, end| forward_rows(&job, begin, end));
    Ok((output, save.then_some(Saved { normalised, rstd })))
}

struct Forward {
    /// x, residual, weight, bias, normalised, output.
    tensors: [Rows; 6],
    rstd: SharedMut<f32>,
    eps: f32,
    masking: Option<Masking>,
    save: bool,
}

dispatch! {
    fn forward_rows(job: &Forward, begin: usize, end: usize) = forward_rows_body
}

#[inline(always)]
fn forward_rows_body<const ISA: u8>(job: &Forward, begin: usize, end: usize) {
    let [x, residual, weight, bias, normalised, output] = &job.tensors;
    let hidden = x.hidden;
    // SAFETY: only read, by everyone.
    let (weight, bias): (&[f32], &[f32]) = unsafe { (weight.row(0), bias.row(0)) };
    let mut sums = vec![0.0; hidden];
    for row in begin..end {
        // SAFETY: ranges are disjoint, and each row belongs to one range; the first two are only read.
        let (x, residual, output, rstd): (&[f32], &[f32], _, _) = unsafe {
            (
                x.row(row),
                residual.row(row),
                output.row(row),
                &mut job.rstd.slice(row, 1)[0],
            )
        };
        if let Some(masking) = job.masking {
            let run = masking.run((row * hidden) as u64);
            for (column, ((h, x), residual)) in sums.iter_mut().zip(x).zip(residual).enumerate() {
                *h = residual + x * run.factor(column as u32);
            }
        } else {
            for ((h, x), residual) in sums.iter_mut().zip(x).zip(residual) {
                *h = residual + x;
            }
        }
        let mean = sum(&sums, |h| h) / hidden as f32;
        let variance = sum(&sums, |h| (h - mean) * (h - mean)) / hidden as f32;
        *rstd = 1.0 / (variance + job.eps).sqrt();
        for h in &mut sums {
            *h = (*h - mean) * *rstd;
        }
        for (((y, n), weight), bias) in output.iter_mut().zip(&sums).zip(weight).zip(bias) {
            *y = fma::<ISA>(*n, *weight, *bias);
        }
        if job.save {
            // SAFETY: as above; the tensor has rows when `save` is set.
            unsafe { normalised.row(row) }.copy_from_slice(&sums);
        }
    }
}

/// The gradients by x, residual, weight and bias, those that are needed.
pub(super) fn backward(
    gradient: &Tensor,
    saved: &Saved,
    weight: &Tensor,
    masking: Option<Masking>,
    needed: &[bool],
) -> Result<Gradients, TchError> {
    let (rows, hidden) = (gradient.size()[0] as usize, gradient.size()[1]);
    let empty = |shape: [i64; 2]| Tensor::f_empty(shape, (Kind::Float, Device::Cpu));
    let &[needs_x, needs_residual, needs_weight, needs_bias] = needed else {
        return Err(TchError::Shape(format!(
            "residual layer norm has 4 inputs, found {}",
            needed.len()
        )));
    };
    let d_sum = empty([rows as i64, hidden])?;
    // without dropout the gradients by x and by the residual are the same tensor
    let d_x = if masking.is_some() && needs_x {
        empty([rows as i64, hidden])?
    } else {
        d_sum.shallow_clone()
    };
    let affine = needs_weight || needs_bias;
    let blocks = if affine {
        rows.div_ceil(BLOCK) as i64
    } else {
        0
    };
    let (d_weight, d_bias) = (empty([blocks, hidden])?, empty([blocks, hidden])?);
    let job = Backward {
        tensors: [
            gradient,
            &saved.normalised,
            weight,
            &d_sum,
            &d_x,
            &d_weight,
            &d_bias,
        ]
        .map(Rows::of),
        rstd: &saved.rstd,
        masking: masking.filter(|_| needs_x),
        affine,
        rows,
    };
    parallel_for(rows.div_ceil(BLOCK), 1, |begin, end| {
        backward_blocks(&job, begin, end)
    });
    let total = |x: Tensor| x.f_sum_dim_intlist(0, false, None::<Kind>);
    Ok(vec![
        needs_x.then_some(d_x),
        needs_residual.then_some(d_sum),
        if needs_weight {
            Some(total(d_weight)?)
        } else {
            None
        },
        if needs_bias {
            Some(total(d_bias)?)
        } else {
            None
        },
    ])
}

struct Backward<'a> {
    /// gradient, normalised, weight, d_sum, d_x, d_weight and d_bias by block.
    tensors: [Rows; 7],
    rstd: &'a [f32],
    masking: Option<Masking>,
    affine: bool,
    rows: usize,
}

dispatch! {
    fn backward_blocks(job: &Backward<'_>, begin: usize, end: usize) = backward_blocks_body
}

#[inline(always)]
fn backward_blocks_body<const ISA: u8>(job: &Backward<'_>, begin: usize, end: usize) {
    let [gradient, normalised, weight, d_sum, d_x, d_weight, d_bias] = &job.tensors;
    let hidden = gradient.hidden;
    // SAFETY: only read, by everyone.
    let weight: &[f32] = unsafe { weight.row(0) };
    let mut weighted = vec![0.0; hidden];
    for block in begin..end {
        let rows = block * BLOCK..job.rows.min((block + 1) * BLOCK);
        if job.affine {
            // SAFETY: each block has its own row of partial sums.
            let (d_weight, d_bias) = unsafe { (d_weight.row(block), d_bias.row(block)) };
            d_weight.fill(0.0);
            d_bias.fill(0.0);
            for row in rows.clone() {
                // SAFETY: only read.
                let (gradient, normalised): (&[f32], &[f32]) =
                    unsafe { (gradient.row(row), normalised.row(row)) };
                for column in 0..hidden {
                    d_weight[column] =
                        fma::<ISA>(gradient[column], normalised[column], d_weight[column]);
                    d_bias[column] += gradient[column];
                }
            }
        }
        for row in rows {
            // SAFETY: each row belongs to one block; the first two are only read.
            let (gradient, normalised, d_sum): (&[f32], &[f32], _) =
                unsafe { (gradient.row(row), normalised.row(row), d_sum.row(row)) };
            for ((w, g), weight) in weighted.iter_mut().zip(gradient).zip(weight) {
                *w = g * weight;
            }
            let mean = sum(&weighted, |w| w) / hidden as f32;
            let slope = dot::<ISA>(&weighted, normalised) / hidden as f32;
            for ((d, w), n) in d_sum.iter_mut().zip(&weighted).zip(normalised) {
                *d = job.rstd[row] * (w - mean - n * slope);
            }
            if let Some(masking) = job.masking {
                let run = masking.run((row * hidden) as u64);
                // SAFETY: as above; with a masking d_x is a tensor of its own.
                let d_x = unsafe { d_x.row(row) };
                for (column, (d_x, d)) in d_x.iter_mut().zip(&*d_sum).enumerate() {
                    *d_x = d * run.factor(column as u32);
                }
            }
        }
    }
}

/// Σ f(x) in lanes.
#[inline(always)]
fn sum(x: &[f32], f: impl Fn(f32) -> f32 + Copy) -> f32 {
    let chunks = x.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|&x| f(x)).sum();
    let mut total = F32s::splat(0.0);
    for lanes in chunks {
        total = total.zip(F32s::load(lanes), |total, x| total + f(x));
    }
    total.sum() + rest
}

/// Σ x·y in lanes.
#[inline(always)]
fn dot<const ISA: u8>(x: &[f32], y: &[f32]) -> f32 {
    let (xs, ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let rest: f32 = xs
        .remainder()
        .iter()
        .zip(ys.remainder())
        .map(|(x, y)| x * y)
        .sum();
    let mut total = F32s::splat(0.0);
    for (x, y) in xs.zip(ys) {
        total = F32s::load(x).mul_add::<ISA>(F32s::load(y), total);
    }
    total.sum() + rest
}
