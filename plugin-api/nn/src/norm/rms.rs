//! The fused kernels of `x / √(mean(x²) + eps) · weight` on the CPU, float32.
//!
//! The forward pass keeps each row's reciprocal root; the gradient of the weight is summed in blocks of rows that do
//! not depend on the number of threads, so that it comes out the same on any machine.

use tch::{Device, Kind, TchError, Tensor};

use super::kernel::Rows;
use crate::bridge::{Gradients, parallel_for};
use crate::dropout::SharedMut;
use crate::simd::{F32s, LANES, dispatch, fma};

/// Rows whose weight gradients are summed first.
const BLOCK: usize = 32;

/// `x` `[rows, width]` and `weight` `[width]`, contiguous. Returns the norm, and each row's reciprocal root.
pub(super) fn forward(
    x: &Tensor,
    weight: &Tensor,
    eps: f32,
) -> Result<(Tensor, Vec<f32>), TchError> {
    let rows = x.size()[0] as usize;
    let output = Tensor::f_empty(x.size(), (Kind::Float, Device::Cpu))?;
    let mut roots = vec![0.0; rows];
    let job = Forward {
        tensors: [x, weight, &output].map(Rows::of),
        roots: SharedMut(roots.as_mut_ptr()),
        eps,
    };
    parallel_for(rows, BLOCK, |begin, end| forward_rows(&job, begin, end));
    Ok((output, roots))
}

struct Forward {
    /// x, weight, output.
    tensors: [Rows; 3],
    roots: SharedMut<f32>,
    eps: f32,
}

dispatch! {
    fn forward_rows(job: &Forward, begin: usize, end: usize) = forward_rows_body
}

#[inline(always)]
fn forward_rows_body<const ISA: u8>(job: &Forward, begin: usize, end: usize) {
    let [x, weight, output] = &job.tensors;
    // SAFETY: only read, by everyone.
    let weight: &[f32] = unsafe { weight.row(0) };
    for row in begin..end {
        // SAFETY: ranges are disjoint, and each row belongs to one range; the first is only read.
        let (x, output, root): (&[f32], _, _) =
            unsafe { (x.row(row), output.row(row), &mut job.roots.slice(row, 1)[0]) };
        let mean = inner::<ISA>(x, x) / x.len() as f32;
        *root = 1.0 / (mean + job.eps).sqrt();
        for ((y, x), weight) in output.iter_mut().zip(x).zip(weight) {
            *y = x * *root * weight;
        }
    }
}

/// The gradients by x and weight, those that are needed.
pub(super) fn backward(
    gradient: &Tensor,
    x: &Tensor,
    weight: &Tensor,
    roots: &[f32],
    needed: &[bool],
) -> Result<Gradients, TchError> {
    let (rows, width) = (x.size()[0] as usize, x.size()[1]);
    let wanted = |at: usize| needed.get(at) == Some(&true);
    let (needs_x, needs_weight) = (wanted(0), wanted(1));
    let empty = |rows: i64| Tensor::f_empty([rows, width], (Kind::Float, Device::Cpu));
    let blocks = rows.div_ceil(BLOCK);
    let d_x = empty(if needs_x { rows as i64 } else { 0 })?;
    let d_weight = empty(if needs_weight { blocks as i64 } else { 0 })?;
    let job = Backward {
        tensors: [gradient, x, weight, &d_x, &d_weight].map(Rows::of),
        roots,
        needs_x,
        needs_weight,
    };
    parallel_for(blocks, 1, |begin, end| backward_blocks(&job, begin, end));
    Ok(vec![
        needs_x.then_some(d_x),
        match needs_weight {
            true => Some(d_weight.f_sum_dim_intlist(0, false, None::<Kind>)?),
            false => None,
        },
    ])
}

struct Backward<'a> {
    /// gradient, x, weight, d_x, d_weight by block.
    tensors: [Rows; 5],
    roots: &'a [f32],
    needs_x: bool,
    needs_weight: bool,
}

dispatch! {
    fn backward_blocks(job: &Backward<'_>, begin: usize, end: usize) = backward_blocks_body
}

#[inline(always)]
fn backward_blocks_body<const ISA: u8>(job: &Backward<'_>, begin: usize, end: usize) {
    let [gradient, x, weight, d_x, d_weight] = &job.tensors;
    // SAFETY: only read, by everyone.
    let weight: &[f32] = unsafe { weight.row(0) };
    let width = weight.len();
    let mut weighted = vec![0.0; width];
    for block in begin..end {
        let rows = block * BLOCK..job.roots.len().min((block + 1) * BLOCK);
        if job.needs_weight {
            // SAFETY: each block has its own row of partial sums.
            unsafe { d_weight.row(block) }.fill(0.0);
        }
        for row in rows {
            let root = job.roots[row];
            // SAFETY: only read.
            let (gradient, x): (&[f32], &[f32]) = unsafe { (gradient.row(row), x.row(row)) };
            if job.needs_weight {
                // SAFETY: as above.
                let d_weight = unsafe { d_weight.row(block) };
                for ((sum, g), x) in d_weight.iter_mut().zip(gradient).zip(x) {
                    *sum = fma::<ISA>(*g, x * root, *sum);
                }
            }
            if !job.needs_x {
                continue;
            }
            for ((out, g), weight) in weighted.iter_mut().zip(gradient).zip(weight) {
                *out = g * weight;
            }
            // d_x = root·(g·w - x·root²·mean(g·w·x))
            let along = inner::<ISA>(&weighted, x) / width as f32 * root * root;
            // SAFETY: each row belongs to one block.
            let d_x = unsafe { d_x.row(row) };
            for ((d_x, g), x) in d_x.iter_mut().zip(&weighted).zip(x) {
                *d_x = root * (g - x * along);
            }
        }
    }
}

/// `Σ a·b`.
#[inline(always)]
fn inner<const ISA: u8>(a: &[f32], b: &[f32]) -> f32 {
    let whole = a.len() / LANES * LANES;
    let mut sum = F32s::splat(0.0);
    for (a, b) in a.chunks_exact(LANES).zip(b.chunks_exact(LANES)) {
        sum = F32s::load(a).mul_add::<ISA>(F32s::load(b), sum);
    }
    let rest = a[whole..].iter().zip(&b[whole..]).map(|(a, b)| a * b);
    sum.sum() + rest.sum::<f32>()
}
