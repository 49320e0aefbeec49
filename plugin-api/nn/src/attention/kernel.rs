//! The fused attention kernels on the CPU, float32.
//!
//! The unit of work is one head of one sequence. Scores are made in blocks of query rows and never kept: the
//! forward pass saves `log Σ exp` of each row, from which the backward pass makes them again (Dao et al. 2022,
//! FlashAttention, sections 3.1 and B.2). Dropout masks are drawn again likewise.

use tch::{Device, Kind, TchError, Tensor};

use super::Attention;
use crate::bridge::parallel_for;
use crate::dropout::{Masking, SharedMut};
use crate::matmul::{Matrix, multiply};
use crate::simd::{F32s, LANES, dispatch, exp};

/// Query rows whose scores are held at a time.
const BLOCK: usize = 64;

/// Everything about an attention but its tensors.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    queries: Vec<usize>,
    keys: Vec<usize>,
    heads: usize,
    dim: usize,
    scale: f32,
    masking: Option<Masking>,
}

impl Plan {
    pub fn new(attention: &Attention<'_>, width: i64) -> Self {
        let starts = |starts: &[i64]| starts.iter().map(|&start| start as usize).collect();
        Self {
            queries: starts(attention.queries.starts()),
            keys: starts(attention.keys.starts()),
            heads: attention.heads as usize,
            dim: (width / attention.heads) as usize,
            scale: attention.scale as f32,
            masking: (!attention.dropout.is_off()).then(|| attention.dropout.masking()),
        }
    }

    fn units(&self) -> usize {
        (self.queries.len() - 1) * self.heads
    }

    fn query_tokens(&self) -> usize {
        self.queries.last().copied().unwrap_or(0)
    }

    fn key_tokens(&self) -> usize {
        self.keys.last().copied().unwrap_or(0)
    }

    fn longest_key(&self) -> usize {
        self.keys
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .max()
            .unwrap_or(0)
    }

    fn unit(&self, number: usize) -> Unit {
        let (sequence, head) = (number / self.heads, number % self.heads);
        Unit {
            first_query: self.queries[sequence],
            queries: self.queries[sequence + 1] - self.queries[sequence],
            first_key: self.keys[sequence],
            keys: self.keys[sequence + 1] - self.keys[sequence],
            column: head * self.dim,
            masking: self.masking.map(|masking| masking.part(number as u64)),
        }
    }
}

/// One head of one sequence.
#[derive(Clone, Copy)]
struct Unit {
    first_query: usize,
    queries: usize,
    first_key: usize,
    keys: usize,
    column: usize,
    masking: Option<Masking>,
}

/// A `[tokens, heads·dim]` tensor's memory, whose rows may lie apart. Units touch disjoint parts of what they
/// write.
#[derive(Clone, Copy)]
struct Tokens {
    start: SharedMut<f32>,
    stride: usize,
}

impl Tokens {
    fn of(x: &Tensor) -> Self {
        Self {
            start: SharedMut(x.data_ptr().cast()),
            stride: x.stride()[0] as usize,
        }
    }

    /// # Safety
    /// `row` and the columns lie in the tensor, and nobody writes them meanwhile.
    #[inline(always)]
    unsafe fn row<'a>(self, row: usize, column: usize, dim: usize) -> &'a mut [f32] {
        // SAFETY: the caller's.
        unsafe { self.start.slice(row * self.stride + column, dim) }
    }
}

/// An uninitialised tensor in the shape of `like`, but for the rows after `tokens`, which are 0.
fn empty(like: &Tensor, tokens: usize) -> Result<Tensor, TchError> {
    let tensor = Tensor::f_empty(like.size(), (Kind::Float, Device::Cpu))?;
    let filler = like.size()[0] - tokens as i64;
    if filler > 0 {
        let _ = tensor.f_narrow(0, tokens as i64, filler)?.f_zero_()?;
    }
    Ok(tensor)
}

/// Returns the context `[query rows, heads·dim]` and each row's `log Σ exp`, `[heads · query tokens]`.
pub(super) fn forward(
    plan: &Plan,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
) -> Result<(Tensor, Vec<f32>), TchError> {
    let output = empty(q, plan.query_tokens())?;
    let mut log_sums = vec![0.0; plan.heads * plan.query_tokens()];
    let (tokens, sums) = (
        [q, k, v, &output].map(Tokens::of),
        SharedMut(log_sums.as_mut_ptr()),
    );
    parallel_for(plan.units(), 1, |begin, end| {
        forward_units(plan, tokens, sums, begin, end)
    });
    Ok((output, log_sums))
}

/// The gradients by queries, keys and values, from that of the context.
pub(super) fn backward(
    plan: &Plan,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    log_sums: &[f32],
    gradient: &Tensor,
) -> Result<[Tensor; 3], TchError> {
    let (queries, keys) = (plan.query_tokens(), plan.key_tokens());
    let gradients = [empty(q, queries)?, empty(k, keys)?, empty(v, keys)?];
    let [dq, dk, dv] = &gradients;
    let tokens = [q, k, v, gradient, dq, dk, dv].map(Tokens::of);
    parallel_for(plan.units(), 1, |begin, end| {
        backward_units(plan, tokens, log_sums, begin, end)
    });
    Ok(gradients)
}

dispatch! {
    fn forward_units(plan: &Plan, tokens: [Tokens; 4], log_sums: SharedMut<f32>, begin: usize, end: usize)
        = forward_units_body
}

#[inline(always)]
fn forward_units_body<const ISA: u8>(
    plan: &Plan,
    [q, k, v, output]: [Tokens; 4],
    log_sums: SharedMut<f32>,
    begin: usize,
    end: usize,
) {
    let dim = plan.dim;
    let (key_width, width) = (padded(plan.longest_key()), padded(dim));
    let mut keys_t = vec![0.0; dim * key_width];
    let mut values = vec![0.0; plan.longest_key() * width];
    let mut scores = vec![0.0; BLOCK * key_width];
    let mut context = vec![0.0; BLOCK * width];
    let mut queries = vec![0.0; BLOCK * width];
    for number in begin..end {
        let unit = plan.unit(number);
        let key_width = padded(unit.keys);
        load_transposed(k, unit.first_key, unit.keys, unit.column, dim, &mut keys_t);
        load(v, unit.first_key, unit.keys, unit.column, dim, &mut values);
        for first in (0..unit.queries).step_by(BLOCK) {
            let rows = BLOCK.min(unit.queries - first);
            load(
                q,
                unit.first_query + first,
                rows,
                unit.column,
                dim,
                &mut queries,
            );
            multiply::<ISA>(
                Matrix::rows(&queries, rows, dim, width),
                &keys_t,
                key_width,
                &mut scores,
                false,
            );
            for row in 0..rows {
                let query = unit.first_query + first + row;
                let scores = &mut scores[row * key_width..][..key_width];
                let log_sum = softmax::<ISA>(scores, unit.keys, plan.scale);
                // SAFETY: one unit holds this row of this head, and the vector outlives the loop.
                unsafe {
                    log_sums.slice(number % plan.heads * plan.query_tokens() + query, 1)[0] =
                        log_sum
                };
                if let Some(masking) = unit.masking {
                    let run = masking.run(((first + row) * unit.keys) as u64);
                    for (key, score) in scores.iter_mut().enumerate() {
                        *score *= run.factor(key as u32);
                    }
                }
            }
            multiply::<ISA>(
                Matrix::rows(&scores, rows, unit.keys, key_width),
                &values,
                width,
                &mut context,
                false,
            );
            store(
                &context,
                output,
                unit.first_query + first,
                rows,
                unit.column,
                dim,
            );
        }
    }
}

dispatch! {
    fn backward_units(plan: &Plan, tokens: [Tokens; 7], log_sums: &[f32], begin: usize, end: usize)
        = backward_units_body
}

#[inline(always)]
fn backward_units_body<const ISA: u8>(
    plan: &Plan,
    [q, k, v, gradient, dq, dk, dv]: [Tokens; 7],
    log_sums: &[f32],
    begin: usize,
    end: usize,
) {
    let dim = plan.dim;
    let (longest, width) = (plan.longest_key(), padded(dim));
    let key_width = padded(longest);
    let (mut keys, mut keys_t, mut values_t) = (
        vec![0.0; longest * width],
        vec![0.0; dim * key_width],
        vec![0.0; dim * key_width],
    );
    let (mut probabilities, mut d_scores) =
        (vec![0.0; BLOCK * key_width], vec![0.0; BLOCK * key_width]);
    let (mut queries, mut d_context, mut d_queries) = (
        vec![0.0; BLOCK * width],
        vec![0.0; BLOCK * width],
        vec![0.0; BLOCK * width],
    );
    let (mut d_keys, mut d_values) = (vec![0.0; longest * width], vec![0.0; longest * width]);
    for number in begin..end {
        let unit = plan.unit(number);
        let key_width = padded(unit.keys);
        load(k, unit.first_key, unit.keys, unit.column, dim, &mut keys);
        load_transposed(k, unit.first_key, unit.keys, unit.column, dim, &mut keys_t);
        load_transposed(
            v,
            unit.first_key,
            unit.keys,
            unit.column,
            dim,
            &mut values_t,
        );
        d_keys[..unit.keys * width].fill(0.0);
        d_values[..unit.keys * width].fill(0.0);
        for first in (0..unit.queries).step_by(BLOCK) {
            let rows = BLOCK.min(unit.queries - first);
            let first_query = unit.first_query + first;
            load(q, first_query, rows, unit.column, dim, &mut queries);
            load(
                gradient,
                first_query,
                rows,
                unit.column,
                dim,
                &mut d_context,
            );
            let rows_of = |matrix| Matrix::rows(matrix, rows, dim, width);
            multiply::<ISA>(
                rows_of(&queries),
                &keys_t,
                key_width,
                &mut probabilities,
                false,
            );
            multiply::<ISA>(
                rows_of(&d_context),
                &values_t,
                key_width,
                &mut d_scores,
                false,
            );
            for row in 0..rows {
                let log_sum =
                    log_sums[number % plan.heads * plan.query_tokens() + first_query + row];
                let element = ((first + row) * unit.keys) as u64;
                softmax_backward::<ISA>(
                    &mut probabilities[row * key_width..][..key_width],
                    &mut d_scores[row * key_width..][..key_width],
                    unit.keys,
                    plan.scale,
                    log_sum,
                    unit.masking.map(|masking| masking.run(element)),
                );
            }
            let scores_of = |matrix| Matrix::rows(matrix, rows, unit.keys, key_width);
            multiply::<ISA>(scores_of(&d_scores), &keys, width, &mut d_queries, false);
            multiply::<ISA>(
                scores_of(&d_scores).transposed(),
                &queries,
                width,
                &mut d_keys,
                true,
            );
            multiply::<ISA>(
                scores_of(&probabilities).transposed(),
                &d_context,
                width,
                &mut d_values,
                true,
            );
            store(&d_queries, dq, first_query, rows, unit.column, dim);
        }
        store(&d_keys, dk, unit.first_key, unit.keys, unit.column, dim);
        store(&d_values, dv, unit.first_key, unit.keys, unit.column, dim);
    }
}

/// Turns a row of raw scores into probabilities, 0 beyond `keys`; returns `log Σ exp` of the scaled scores.
#[inline(always)]
fn softmax<const ISA: u8>(row: &mut [f32], keys: usize, scale: f32) -> f32 {
    row.iter_mut().for_each(|x| *x *= scale);
    row[keys..].fill(f32::NEG_INFINITY);
    let mut highest = F32s::splat(f32::NEG_INFINITY);
    for lanes in row.chunks_exact(LANES) {
        highest = highest.zip(F32s::load(lanes), |a, b| if a > b { a } else { b });
    }
    let highest = highest.max();
    let mut total = F32s::splat(0.0);
    for lanes in row.chunks_exact_mut(LANES) {
        let e = F32s::load(lanes).map(|x| exp::<ISA>(x - highest));
        total = total.zip(e, |a, b| a + b);
        e.store(lanes);
    }
    let total = total.sum();
    let inverse = 1.0 / total;
    row.iter_mut().for_each(|x| *x *= inverse);
    highest + total.ln()
}

/// From a row's raw scores and the gradient by its dropped-out probabilities, makes the dropped-out
/// probabilities and the gradient by the raw scores, each in place.
#[inline(always)]
fn softmax_backward<const ISA: u8>(
    scores: &mut [f32],
    gradients: &mut [f32],
    keys: usize,
    scale: f32,
    log_sum: f32,
    dropped: Option<crate::dropout::Run>,
) {
    scores
        .iter_mut()
        .for_each(|x| *x = exp::<ISA>(*x * scale - log_sum));
    scores[keys..].fill(0.0);
    gradients[keys..].fill(0.0);
    if let Some(run) = dropped {
        for (key, g) in gradients.iter_mut().enumerate() {
            *g *= run.factor(key as u32);
        }
    }
    let mut inner = F32s::splat(0.0); // Σ p·dp
    for (p, g) in scores
        .chunks_exact(LANES)
        .zip(gradients.chunks_exact(LANES))
    {
        inner = F32s::load(p).mul_add::<ISA>(F32s::load(g), inner);
    }
    let inner = inner.sum();
    for (p, g) in scores.iter().zip(gradients.iter_mut()) {
        *g = p * (*g - inner) * scale;
    }
    if let Some(run) = dropped {
        for (key, p) in scores.iter_mut().enumerate() {
            *p *= run.factor(key as u32);
        }
    }
}

/// Rounds up to whole vectors.
fn padded(count: usize) -> usize {
    count.div_ceil(LANES) * LANES
}

/// Copies `rows` rows of one head into rows of whole vectors, zeros at their ends.
#[inline(always)]
fn load(from: Tokens, first: usize, rows: usize, column: usize, dim: usize, to: &mut [f32]) {
    for (row, to) in to.chunks_exact_mut(padded(dim)).take(rows).enumerate() {
        // SAFETY: the spans lie in the tensor, and it is only read.
        to[..dim].copy_from_slice(unsafe { from.row(first + row, column, dim) });
        to[dim..].fill(0.0);
    }
}

/// Copies `rows` rows of one head into columns: `[dim, rows in whole vectors]`.
#[inline(always)]
fn load_transposed(
    from: Tokens,
    first: usize,
    rows: usize,
    column: usize,
    dim: usize,
    to: &mut [f32],
) {
    let stride = padded(rows);
    for line in to.chunks_exact_mut(stride).take(dim) {
        line[rows..].fill(0.0);
    }
    for row in 0..rows {
        // SAFETY: as in `load`.
        let values: &[f32] = unsafe { from.row(first + row, column, dim) };
        for (line, value) in to.chunks_exact_mut(stride).zip(values) {
            line[row] = *value;
        }
    }
}

/// Copies rows of whole vectors to one head of the tokens.
#[inline(always)]
fn store(from: &[f32], to: Tokens, first: usize, rows: usize, column: usize, dim: usize) {
    for (row, from) in from.chunks_exact(padded(dim)).take(rows).enumerate() {
        // SAFETY: the spans lie in the tensor, and each unit writes its own rows of its own head.
        unsafe { to.row(first + row, column, dim) }.copy_from_slice(&from[..dim]);
    }
}
