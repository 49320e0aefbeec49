//! The fused kernel of attention over a cache on the CPU, float32: one query a row.
//!
//! The unit of work is one head of keys of one row, with all heads of queries that see it. Rows of one head come
//! one after the other: beams read much the same keys, which are near then. Elements are read where the table
//! says that they lie.

use std::cell::RefCell;

use tch::{Device, Kind, TchError, Tensor};

use crate::bridge::parallel_for;
use crate::matmul::Vector;
use crate::simd::{F32s, LANES, dispatch, exp, isa};

/// Multiplications for which a second thread is woken.
const GRAIN: usize = 1 << 15;

/// Keys whose scores are made at a time.
const TILE: usize = 16;

thread_local! {
    /// Scores of a unit, `[group, times in whole vectors]`, kept from call to call.
    static SCORES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Where the elements of a row lie.
#[derive(Clone, Copy)]
pub(super) enum Slots<'a> {
    /// In the slot of its own number.
    Own,
    /// In the slot that is named for each time, `[rows, capacity]`, int32; at the time that is written in its own.
    Table(&'a Tensor),
    /// All in one slot, by row.
    ByRow(&'a [i64]),
}

/// An attention whose shapes have been checked: tensors are float32 on the CPU, rows of `q`, `k` and `v` may lie
/// apart, `keys` and `values` `[slots, kv_heads, capacity, dim]` lie whole.
pub(super) struct Plan<'a> {
    pub q: &'a Tensor,
    pub keys: &'a Tensor,
    pub values: &'a Tensor,
    /// What is put at the last time of each row's own slot first: `[rows, kv_heads·dim]` each.
    pub new: Option<[&'a Tensor; 2]>,
    pub slots: Slots<'a>,
    /// The times that each row sees: from, and to but without.
    pub times: &'a [[usize; 2]],
    /// `[heads, distance]`, by the distance from the last time seen.
    pub bias: Option<&'a Tensor>,
    pub heads: usize,
    pub scale: f32,
}

/// The context, `[rows, heads·dim]`.
pub(super) fn attend(plan: &Plan<'_>) -> Result<Tensor, TchError> {
    let output = Tensor::f_empty(plan.q.size(), (Kind::Float, Device::Cpu))?;
    let size = plan.keys.size();
    let [slots, kv_heads, capacity, dim] = [0, 1, 2, 3].map(|at| size[at] as usize);
    let rows = plan.times.len();
    let stride = |x: &Tensor| x.stride()[0] as usize;
    let start = |x: &Tensor| x.data_ptr().cast::<f32>();
    let job = Job {
        q: (start(plan.q), stride(plan.q)),
        keys: start(plan.keys),
        values: start(plan.values),
        new: plan
            .new
            .map(|new| new.map(|x| (start(x).cast_const(), stride(x)))),
        table: match plan.slots {
            Slots::Table(table) => {
                Some((table.data_ptr().cast::<i32>().cast_const(), stride(table)))
            }
            _ => None,
        },
        slots_of: match plan.slots {
            Slots::ByRow(slots) => Some(slots),
            _ => None,
        },
        times: plan.times,
        bias: plan
            .bias
            .map(|bias| (start(bias).cast_const(), stride(bias))),
        out: start(&output),
        rows,
        slots,
        kv_heads,
        group: plan.heads / kv_heads,
        capacity,
        dim,
        scale: plan.scale,
    };
    let longest = plan
        .times
        .iter()
        .map(|[from, to]| to - from)
        .max()
        .unwrap_or(0);
    let work = 2 * job.group * longest * dim;
    parallel_for(
        rows * kv_heads,
        GRAIN.div_ceil(work.max(1)),
        |begin, end| units(&job, begin, end),
    );
    Ok(output)
}

struct Job<'a> {
    /// Memory and the distance of rows, here and below.
    q: (*mut f32, usize),
    keys: *mut f32,
    values: *mut f32,
    new: Option<[(*const f32, usize); 2]>,
    table: Option<(*const i32, usize)>,
    slots_of: Option<&'a [i64]>,
    times: &'a [[usize; 2]],
    bias: Option<(*const f32, usize)>,
    out: *mut f32,
    rows: usize,
    slots: usize,
    kv_heads: usize,
    group: usize,
    capacity: usize,
    dim: usize,
    scale: f32,
}

// SAFETY: a unit writes its own row and head of `out`, and of its own slot at a time that no other row reads.
unsafe impl Send for Job<'_> {}
// SAFETY: as above.
unsafe impl Sync for Job<'_> {}

impl Job<'_> {
    /// How far from the start of keys or values the element of `row` at `time` lies.
    ///
    /// # Safety
    /// There are such a row, a head and a time.
    #[inline(always)]
    unsafe fn at(&self, row: usize, head: usize, time: usize, own: usize) -> usize {
        let slot = match (self.table, self.slots_of) {
            // SAFETY: the caller's.
            (Some((table, stride)), _) if time != own => unsafe {
                (*table.add(row * stride + time) as usize).min(self.slots - 1)
            },
            (None, Some(slots)) => (slots[row] as usize).min(self.slots - 1),
            _ => row,
        };
        ((slot * self.kv_heads + head) * self.capacity + time) * self.dim
    }
}

dispatch! {
    fn units(job: &Job<'_>, begin: usize, end: usize) = units_body
}

#[inline(always)]
fn units_body<const ISA: u8>(job: &Job<'_>, begin: usize, end: usize) {
    // not within a closure: it would be compiled without the instructions
    let mut scores = SCORES.take();
    for number in begin..end {
        let (head, row) = (number / job.rows, number % job.rows);
        // SAFETY: rows and heads are the job's, and the function has the instructions that ISA stands for.
        unsafe {
            match ISA {
                #[cfg(target_arch = "x86_64")]
                isa::AVX512 => unit::<std::arch::x86_64::__m512, ISA>(job, row, head, &mut scores),
                #[cfg(target_arch = "x86_64")]
                isa::AVX2 => unit::<std::arch::x86_64::__m256, ISA>(job, row, head, &mut scores),
                _ => unit::<[f32; 4], ISA>(job, row, head, &mut scores),
            }
        }
    }
    SCORES.set(scores);
}

/// # Safety
/// There are such a row and a head, and the function has the instructions of `V` and of `ISA`.
#[inline(always)]
unsafe fn unit<V: Vector, const ISA: u8>(
    job: &Job<'_>,
    row: usize,
    head: usize,
    scores: &mut Vec<f32>,
) {
    let ([from, to], dim) = (job.times[row], job.dim);
    // the time that is being written lies in the row's own slot
    let own = if job.new.is_some() {
        to - 1
    } else {
        usize::MAX
    };
    let (count, width) = (to - from, (to - from).div_ceil(LANES) * LANES);
    if scores.len() < job.group * width {
        scores.resize(job.group * width, 0.0);
    }
    // SAFETY: the caller's; the shapes have been checked.
    unsafe {
        if let Some(new) = job.new {
            let at = job.at(row, head, own, own);
            for ((x, stride), kept) in new.into_iter().zip([job.keys, job.values]) {
                let x = x.add(row * stride + head * dim);
                std::ptr::copy_nonoverlapping(x, kept.add(at), dim);
            }
        }
        for member in 0..job.group {
            let query = head * job.group + member;
            let scores = &mut scores[member * width..][..width];
            let q = job.q.0.add(row * job.q.1 + query * dim);
            for done in (0..count).step_by(TILE) {
                // at the end the last key stands in for those that are missing
                let mut keys = [job.keys.cast_const(); TILE];
                for (ahead, key) in keys.iter_mut().enumerate() {
                    let time = (from + done + ahead).min(to - 1);
                    *key = key.add(job.at(row, head, time, own));
                }
                let scores = &mut scores[done..count.min(done + TILE)];
                scores.copy_from_slice(&dots::<V>(q, keys, dim)[..scores.len()]);
            }
            let bias = job
                .bias
                .map(|(bias, stride)| std::slice::from_raw_parts(bias.add(query * stride), count));
            softmax::<ISA>(scores, count, job.scale, bias);
            let out = job
                .out
                .add(row * job.group * job.kv_heads * dim + query * dim);
            let mut column = 0;
            while column + 4 * V::WIDTH <= dim {
                weighted::<V, 4>(job, [row, head, from, own], &scores[..count], column, out);
                column += 4 * V::WIDTH;
            }
            while column + 2 * V::WIDTH <= dim {
                weighted::<V, 2>(job, [row, head, from, own], &scores[..count], column, out);
                column += 2 * V::WIDTH;
            }
            while column + V::WIDTH <= dim {
                weighted::<V, 1>(job, [row, head, from, own], &scores[..count], column, out);
                column += V::WIDTH;
            }
            for column in column..dim {
                let mut sum = 0.0;
                for (time, p) in (from..).zip(&scores[..count]) {
                    sum += p * *job.values.add(job.at(row, head, time, own) + column);
                }
                *out.add(column) = sum;
            }
        }
    }
}

/// Products of a query with keys.
///
/// # Safety
/// All have `dim` elements, and the function has the instructions of `V`.
#[inline(always)]
unsafe fn dots<V: Vector>(q: *const f32, keys: [*const f32; TILE], dim: usize) -> [f32; TILE] {
    let whole = dim / V::WIDTH * V::WIDTH;
    // SAFETY: the caller's.
    unsafe {
        let mut tile = [[V::splat(0.0); 4]; 4];
        for (sums, keys) in tile.iter_mut().zip(keys.as_chunks::<4>().0) {
            for at in (0..whole).step_by(V::WIDTH) {
                let q = V::load(q.add(at));
                for (sum, key) in sums.iter_mut().zip(keys) {
                    *sum = q.mul_add(V::load(key.add(at)), *sum);
                }
            }
        }
        let mut dots = [0.0; TILE];
        let sums = V::sums(tile);
        for ((dot, sum), key) in dots.iter_mut().zip(sums.as_flattened()).zip(keys) {
            *dot = *sum;
            for at in whole..dim {
                *dot += *q.add(at) * *key.add(at);
            }
        }
        dots
    }
}

/// Puts the sum of values, weighted, into `C` vectors of `out` from `column` on.
///
/// # Safety
/// These exist, and the function has the instructions of `V`.
#[inline(always)]
unsafe fn weighted<V: Vector, const C: usize>(
    job: &Job<'_>,
    [row, head, from, own]: [usize; 4],
    weights: &[f32],
    column: usize,
    out: *mut f32,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [V::splat(0.0); C];
        for (time, weight) in (from..).zip(weights) {
            let values = job.values.add(job.at(row, head, time, own) + column);
            let weight = V::splat(*weight);
            for (c, sum) in sums.iter_mut().enumerate() {
                *sum = weight.mul_add(V::load(values.add(c * V::WIDTH)), *sum);
            }
        }
        for (c, sum) in sums.iter().enumerate() {
            sum.store(out.add(column + c * V::WIDTH));
        }
    }
}

/// Turns `count` raw scores into probabilities. The bias is that of the last score first.
#[inline(always)]
fn softmax<const ISA: u8>(scores: &mut [f32], count: usize, scale: f32, bias: Option<&[f32]>) {
    scores[..count].iter_mut().for_each(|x| *x *= scale);
    if let Some(bias) = bias {
        for (score, bias) in scores[..count].iter_mut().rev().zip(bias) {
            *score += bias;
        }
    }
    scores[count..].fill(f32::NEG_INFINITY);
    let mut highest = F32s::splat(f32::NEG_INFINITY);
    for lanes in scores.chunks_exact(LANES) {
        highest = highest.zip(F32s::load(lanes), |a, b| if a > b { a } else { b });
    }
    let highest = highest.max();
    let mut total = F32s::splat(0.0);
    for lanes in scores.chunks_exact_mut(LANES) {
        let e = F32s::load(lanes).map(|x| exp::<ISA>(x - highest));
        total = total.zip(e, |a, b| a + b);
        e.store(lanes);
    }
    let inverse = 1.0 / total.sum();
    scores.iter_mut().for_each(|x| *x *= inverse);
}
