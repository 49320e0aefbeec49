//! The fused attention kernels on the CPU, float32.
//!
//! The unit of work is one head of one sequence. Scores are made in blocks of query rows and never kept: the
//! forward pass saves `log Σ exp` of each row, from which the backward pass makes them again (Dao et al. 2022,
//! FlashAttention, sections 3.1 and B.2). Dropout masks are drawn again likewise.

use tch::{Device, Kind, TchError, Tensor};

use super::plan::Plan;
use crate::bridge::parallel_for;
use crate::dropout::{Run, SharedMut};
use crate::matmul::{Matrix, multiply, multiply_part};
use crate::simd::{F32s, LANES, dispatch, exp};
use crate::transpose::transpose;

/// The most query rows whose scores are held at a time.
const BLOCK: usize = 64;

/// Query rows whose scores are made at a time: few where they do not all see the same keys, so that little is made that
/// none of them sees.
fn block(plan: &Plan) -> usize {
    match plan.is_triangular() {
        true => 32,
        false => BLOCK,
    }
}

/// The memory of a bias, `[heads, query, key]`, or of its gradient.
#[derive(Clone, Copy)]
pub(super) struct Bias {
    start: SharedMut<f32>,
    strides: [usize; 2],
}

impl Bias {
    /// The last dimension's elements must lie side by side.
    pub fn of(bias: &Tensor) -> Self {
        let stride = bias.stride();
        Self {
            start: SharedMut(bias.data_ptr().cast()),
            strides: [stride[0] as usize, stride[1] as usize],
        }
    }

    /// The elements of keys `from..to`.
    ///
    /// # Safety
    /// They exist, and nobody writes them meanwhile.
    #[inline(always)]
    unsafe fn row<'a>(self, head: usize, query: usize, [from, to]: [usize; 2]) -> &'a mut [f32] {
        let at = head * self.strides[0] + query * self.strides[1] + from;
        // SAFETY: the caller's.
        unsafe { self.start.slice(at, to - from) }
    }
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
    bias: Option<&Tensor>,
) -> Result<(Tensor, Vec<f32>), TchError> {
    let output = empty(q, plan.query_tokens())?;
    let mut log_sums = vec![0.0; plan.heads * plan.query_tokens()];
    let job = Forward {
        tokens: [q, k, v, &output].map(Tokens::of),
        bias: bias.map(Bias::of),
        log_sums: SharedMut(log_sums.as_mut_ptr()),
    };
    parallel_for(plan.sequences() * plan.kv_heads, 1, |begin, end| {
        forward_units(plan, &job, begin, end)
    });
    Ok((output, log_sums))
}

/// What the forward pass reads and writes.
struct Forward {
    /// q, k, v, output.
    tokens: [Tokens; 4],
    bias: Option<Bias>,
    log_sums: SharedMut<f32>,
}

/// What the backward pass reads.
pub(super) struct Saved<'a> {
    pub q: &'a Tensor,
    pub k: &'a Tensor,
    pub v: &'a Tensor,
    pub bias: Option<&'a Tensor>,
    pub log_sums: &'a [f32],
}

/// The gradients by queries, keys and values, from that of the context; and that by the bias, if it is asked for.
pub(super) fn backward(
    plan: &Plan,
    saved: &Saved<'_>,
    gradient: &Tensor,
    needs_bias: bool,
) -> Result<([Tensor; 3], Option<Tensor>), TchError> {
    let Saved { q, k, v, bias, .. } = saved;
    let (queries, keys) = (plan.query_tokens(), plan.key_tokens());
    let gradients = [empty(q, queries)?, empty(k, keys)?, empty(v, keys)?];
    let d_bias = match bias {
        Some(bias) if needs_bias => Some(Tensor::f_zeros(bias.size(), (Kind::Float, Device::Cpu))?),
        _ => None,
    };
    let [dq, dk, dv] = &gradients;
    let job = Backward {
        tokens: [q, k, v, gradient, dq, dk, dv].map(Tokens::of),
        bias: bias.map(Bias::of),
        d_bias: d_bias.as_ref().map(Bias::of),
        log_sums: saved.log_sums,
    };
    if d_bias.is_some() {
        // all sequences add to the gradient of a head: one thread takes them, one after the other
        parallel_for(plan.kv_heads, 1, |begin, end| {
            for kv_head in begin..end {
                for sequence in 0..plan.sequences() {
                    let unit = sequence * plan.kv_heads + kv_head;
                    backward_units(plan, &job, unit, unit + 1);
                }
            }
        });
    } else {
        parallel_for(plan.sequences() * plan.kv_heads, 1, |begin, end| {
            backward_units(plan, &job, begin, end)
        });
    }
    Ok((gradients, d_bias))
}

/// What the backward pass reads and writes.
struct Backward<'a> {
    /// q, k, v, gradient, dq, dk, dv.
    tokens: [Tokens; 7],
    bias: Option<Bias>,
    d_bias: Option<Bias>,
    log_sums: &'a [f32],
}

dispatch! {
    fn forward_units(plan: &Plan, job: &Forward, begin: usize, end: usize) = forward_units_body
}

#[inline(always)]
fn forward_units_body<const ISA: u8>(plan: &Plan, job: &Forward, begin: usize, end: usize) {
    let [q, k, v, output] = job.tokens;
    let (dim, block) = (plan.dim, block(plan));
    let (key_width, width) = (padded(plan.longest_key()), padded(dim));
    let mut keys_t = vec![0.0; dim * key_width];
    let mut values = vec![0.0; plan.longest_key() * width];
    let mut scores = vec![0.0; BLOCK * key_width];
    let mut context = vec![0.0; BLOCK * width];
    let mut queries = vec![0.0; BLOCK * width];
    for number in begin..end {
        let (sequence, kv_head) = (number / plan.kv_heads, number % plan.kv_heads);
        let unit = plan.unit(sequence, kv_head);
        let key_width = padded(unit.keys);
        load_transposed::<ISA>(k, unit.first_key, unit.keys, unit.column, dim, &mut keys_t);
        load(v, unit.first_key, unit.keys, unit.column, dim, &mut values);
        for head in plan.group(kv_head) {
            let (column, masking) = (head * dim, plan.masking(sequence, head));
            for first in (0..unit.queries).step_by(block) {
                let rows = block.min(unit.queries - first);
                let first_query = unit.first_query + first;
                let [from, to] = unit.block(first, rows);
                let part = padded(to - from);
                load(q, first_query, rows, column, dim, &mut queries);
                multiply_part::<ISA>(
                    Matrix::rows(&queries, rows, dim, width),
                    &keys_t[from..],
                    key_width,
                    part,
                    &mut scores,
                    false,
                );
                for row in 0..rows {
                    let seen = unit.seen(first + row);
                    // SAFETY: the bias is at least as long as the longest sequence, and only read.
                    let bias = job
                        .bias
                        .map(|bias| &*unsafe { bias.row(head, first + row, seen) });
                    let scores = &mut scores[row * part..][..part];
                    let seen = seen.map(|key| key - from);
                    let log_sum = softmax::<ISA>(scores, seen, plan.scale, bias);
                    let at = plan.log_sum(head, first_query + row);
                    // SAFETY: one unit holds this row of this head, and the vector outlives the loop.
                    unsafe { job.log_sums.slice(at, 1)[0] = log_sum };
                    if let Some(masking) = masking {
                        let run = masking.run(((first + row) * unit.keys) as u64);
                        for (key, score) in (from as u32..).zip(scores) {
                            *score *= run.factor(key);
                        }
                    }
                }
                multiply::<ISA>(
                    Matrix::rows(&scores, rows, to - from, part),
                    &values[from * width..],
                    width,
                    &mut context,
                    false,
                );
                store(&context, output, first_query, rows, column, dim);
            }
        }
    }
}

dispatch! {
    fn backward_units(plan: &Plan, job: &Backward<'_>, begin: usize, end: usize) = backward_units_body
}

#[inline(always)]
fn backward_units_body<const ISA: u8>(plan: &Plan, job: &Backward<'_>, begin: usize, end: usize) {
    let [_, k, v, _, _, dk, dv] = job.tokens;
    let dim = plan.dim;
    let (longest, width) = (plan.longest_key(), padded(dim));
    let key_width = padded(longest);
    let mut near = Near {
        keys: vec![0.0; longest * width],
        keys_t: vec![0.0; dim * key_width],
        values_t: vec![0.0; dim * key_width],
        probabilities: vec![0.0; BLOCK * key_width],
        d_scores: vec![0.0; BLOCK * key_width],
        queries: vec![0.0; BLOCK * width],
        d_context: vec![0.0; BLOCK * width],
        d_queries: vec![0.0; BLOCK * width],
        d_keys: vec![0.0; longest * width],
        d_values: vec![0.0; longest * width],
    };
    for number in begin..end {
        let (sequence, kv_head) = (number / plan.kv_heads, number % plan.kv_heads);
        let unit = plan.unit(sequence, kv_head);
        let (first, keys, column) = (unit.first_key, unit.keys, unit.column);
        load(k, first, keys, column, dim, &mut near.keys);
        load_transposed::<ISA>(k, first, keys, column, dim, &mut near.keys_t);
        load_transposed::<ISA>(v, first, keys, column, dim, &mut near.values_t);
        near.d_keys[..keys * width].fill(0.0);
        near.d_values[..keys * width].fill(0.0);
        for head in plan.group(kv_head) {
            for first in (0..unit.queries).step_by(block(plan)) {
                backward_block::<ISA>(plan, job, &mut near, [sequence, kv_head, head], first);
            }
        }
        store(&near.d_keys, dk, first, keys, column, dim);
        store(&near.d_values, dv, first, keys, column, dim);
    }
}

/// What a thread keeps near of its unit.
struct Near {
    keys: Vec<f32>,
    keys_t: Vec<f32>,
    values_t: Vec<f32>,
    probabilities: Vec<f32>,
    d_scores: Vec<f32>,
    queries: Vec<f32>,
    d_context: Vec<f32>,
    d_queries: Vec<f32>,
    d_keys: Vec<f32>,
    d_values: Vec<f32>,
}

/// The gradients that come from a block of queries, from `first` on.
#[inline(always)]
fn backward_block<const ISA: u8>(
    plan: &Plan,
    job: &Backward<'_>,
    near: &mut Near,
    [sequence, kv_head, head]: [usize; 3],
    first: usize,
) {
    let [q, _, _, gradient, dq, _, _] = job.tokens;
    let (unit, dim) = (plan.unit(sequence, kv_head), plan.dim);
    let (width, key_width, column) = (padded(dim), padded(unit.keys), head * dim);
    let masking = plan.masking(sequence, head);
    let rows = block(plan).min(unit.queries - first);
    let first_query = unit.first_query + first;
    let [from, to] = unit.block(first, rows);
    let part = padded(to - from);
    load(q, first_query, rows, column, dim, &mut near.queries);
    load(
        gradient,
        first_query,
        rows,
        column,
        dim,
        &mut near.d_context,
    );
    for (a, b, out) in [
        (&near.queries, &near.keys_t, &mut near.probabilities),
        (&near.d_context, &near.values_t, &mut near.d_scores),
    ] {
        let a = Matrix::rows(a, rows, dim, width);
        multiply_part::<ISA>(a, &b[from..], key_width, part, out, false);
    }
    for row in 0..rows {
        let seen = unit.seen(first + row);
        let local = seen.map(|key| key - from);
        let d_scores = &mut near.d_scores[row * part..][..part];
        // SAFETY: the bias is at least as long as the longest sequence, and only read.
        let bias = job
            .bias
            .map(|bias| &*unsafe { bias.row(head, first + row, seen) });
        let run = masking.map(|masking| masking.run(((first + row) * unit.keys) as u64));
        softmax_backward::<ISA>(
            &mut near.probabilities[row * part..][..part],
            d_scores,
            local,
            plan.scale,
            bias,
            job.log_sums[plan.log_sum(head, first_query + row)],
            run.map(|run| (run, from as u32)),
        );
        if let Some(d_bias) = job.d_bias {
            // SAFETY: as above, and one thread takes all of a head's sequences.
            let d_bias = unsafe { d_bias.row(head, first + row, seen) };
            for (sum, d_score) in d_bias.iter_mut().zip(&d_scores[local[0]..]) {
                *sum += d_score;
            }
        }
        d_scores.iter_mut().for_each(|x| *x *= plan.scale);
    }
    let scores_of = |matrix| Matrix::rows(matrix, rows, to - from, part);
    multiply::<ISA>(
        scores_of(&near.d_scores),
        &near.keys[from * width..],
        width,
        &mut near.d_queries,
        false,
    );
    multiply::<ISA>(
        scores_of(&near.d_scores).transposed(),
        &near.queries,
        width,
        &mut near.d_keys[from * width..],
        true,
    );
    multiply::<ISA>(
        scores_of(&near.probabilities).transposed(),
        &near.d_context,
        width,
        &mut near.d_values[from * width..],
        true,
    );
    store(&near.d_queries, dq, first_query, rows, column, dim);
}

/// Scales raw scores and adds the bias; -∞ where nothing is seen.
#[inline(always)]
fn scale_scores(row: &mut [f32], [from, to]: [usize; 2], scale: f32, bias: Option<&[f32]>) {
    row.iter_mut().for_each(|x| *x *= scale);
    if let Some(bias) = bias {
        for (score, bias) in row[from..to].iter_mut().zip(bias) {
            *score += bias;
        }
    }
    row[..from].fill(f32::NEG_INFINITY);
    row[to..].fill(f32::NEG_INFINITY);
}

/// Turns a row of raw scores into probabilities, 0 where nothing is seen; returns `log Σ exp` of the scores.
#[inline(always)]
fn softmax<const ISA: u8>(
    row: &mut [f32],
    seen: [usize; 2],
    scale: f32,
    bias: Option<&[f32]>,
) -> f32 {
    scale_scores(row, seen, scale, bias);
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
/// probabilities and the gradient by the scores, scaled and with their bias, each in place. The dropout comes with
/// the number of the first key.
#[inline(always)]
fn softmax_backward<const ISA: u8>(
    scores: &mut [f32],
    gradients: &mut [f32],
    [from, to]: [usize; 2],
    scale: f32,
    bias: Option<&[f32]>,
    log_sum: f32,
    dropped: Option<(Run, u32)>,
) {
    scale_scores(scores, [from, to], scale, bias);
    scores
        .iter_mut()
        .for_each(|x| *x = exp::<ISA>(*x - log_sum));
    gradients[..from].fill(0.0);
    gradients[to..].fill(0.0);
    if let Some((run, first)) = dropped {
        for (key, g) in (first..).zip(gradients.iter_mut()) {
            *g *= run.factor(key);
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
        *g = p * (*g - inner);
    }
    if let Some((run, first)) = dropped {
        for (key, p) in (first..).zip(scores.iter_mut()) {
            *p *= run.factor(key);
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
        copy(
            unsafe { from.row(first + row, column, dim) },
            &mut to[..dim],
        );
        to[dim..].fill(0.0);
    }
}

/// Copies `rows` rows of one head into columns: `[dim, rows in whole vectors]`.
#[inline(always)]
fn load_transposed<const ISA: u8>(
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
    if rows > 0 {
        // SAFETY: as in `load`, from the first element of the first row to the last of the last one; what lies between
        // them, the rows of other heads, is only read as well.
        let from_rows = unsafe {
            let start = from.start.0.add(first * from.stride + column);
            std::slice::from_raw_parts(start, (rows - 1) * from.stride + dim)
        };
        transpose::<ISA>(from_rows, [rows, dim], from.stride, to, stride);
    }
}

/// Copies rows of whole vectors to one head of the tokens.
#[inline(always)]
fn store(from: &[f32], to: Tokens, first: usize, rows: usize, column: usize, dim: usize) {
    for (row, from) in from.chunks_exact(padded(dim)).take(rows).enumerate() {
        // SAFETY: the spans lie in the tensor, and each unit writes its own rows of its own head.
        copy(&from[..dim], unsafe { to.row(first + row, column, dim) });
    }
}

/// Copies elements as vectors: they are too few to call a function for.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    let (vectors, rest) = to.as_chunks_mut::<LANES>();
    for (to, from) in vectors.iter_mut().zip(from.as_chunks::<LANES>().0) {
        *to = *from;
    }
    rest.copy_from_slice(&from[from.len() - rest.len()..]);
}
