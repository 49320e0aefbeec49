//! Cross-entropy of logits over a vocabulary, as language models are trained with it.
//!
//! For a row of logits `x` with the label `y`, `V` classes and label smoothing `ε` (Szegedy et al. 2016,
//! section 7; as in PyTorch)
//!
//! ```text
//! loss = log Σ exp(x) - (1-ε)·x[y] - ε/V·Σ x        gradient = softmax(x) - (1-ε)·onehot(y) - ε/V
//! ```
//!
//! On the CPU in float32 a fused kernel reads each row twice going forward and once going back, and keeps
//! nothing of it but `log Σ exp`; elsewhere libtorch's own operations give the same within rounding.

use tch::{Device, Kind, Reduction, TchError, Tensor};
use tenon_plugin_api::task::Loss;
use tenon_plugin_api::tensor::TensorMap;
use tenon_plugin_api::{Result as ApiResult, bail};

use crate::bridge::{Incoming, needs_grad, parallel_for, record};
use crate::dropout::SharedMut;
use crate::simd::{F32s, LANES, dispatch, exp};

/// The label of rows that are left out.
pub const IGNORED: i64 = -100;

/// The summed loss of rows of logits `[n, vocab]` under `labels` `[n]` (int64), a scalar, and how many rows count:
/// those whose label is not [`IGNORED`]. Differentiable by the logits, once.
///
/// ```
/// use tch::{Kind, Tensor};
/// let logits = Tensor::from_slice2(&[[0.0_f32, 0.0], [9.0, 1.0]]);
/// let labels = Tensor::from_slice(&[1_i64, -100]);
/// let (sum, weight) = tenon_nn::cross_entropy(&logits, &labels, 0.0)?;
/// assert_eq!(weight, 1.0);
/// assert!((sum.double_value(&[]) - 2_f64.ln()).abs() < 1e-6);
/// # Ok::<(), tch::TchError>(())
/// ```
///
/// # Errors
/// Shapes that do not fit, a label that is no class, a smoothing outside `[0, 1]`, and those of libtorch.
pub fn cross_entropy(
    logits: &Tensor,
    labels: &Tensor,
    label_smoothing: f64,
) -> Result<(Tensor, f64), TchError> {
    let classes = check(logits, labels, label_smoothing)?;
    let labels = labels.f_to_device(Device::Cpu)?.f_to_kind(Kind::Int64)?;
    let labels = Vec::<i64>::try_from(&labels)?;
    let weight = labels.iter().filter(|label| **label != IGNORED).count() as f64;
    let stray = |(_, label): &(usize, &i64)| **label != IGNORED && !(0..classes).contains(*label);
    if let Some((row, label)) = labels.iter().enumerate().find(stray) {
        return Err(TchError::Shape(format!(
            "cross-entropy: label {label} of row {row}; expected one of 0..{classes}, or {IGNORED}"
        )));
    }
    if logits.device() == Device::Cpu && logits.kind() == Kind::Float {
        return Ok((fused(logits, labels, label_smoothing as f32)?, weight));
    }
    let labels = Tensor::f_from_slice(&labels)?.f_to_device(logits.device())?;
    Ok((composed(logits, &labels, label_smoothing)?, weight))
}

/// The summed loss of a language-model head, and the number of labels that count: of the output `logits` `[n, vocab]`,
/// which a model computes only there (or of `[batch, time, vocab]`, from one that computes them everywhere), under the
/// batch's `labels` `[batch, time]`.
///
/// # Errors
/// `logits` or `labels` are missing or do not fit, and those of [`cross_entropy`].
pub fn token_loss(outputs: &TensorMap, batch: &TensorMap, label_smoothing: f64) -> ApiResult<Loss> {
    let labels = batch.require("labels")?;
    let (logits, labels) = counted(outputs.require("logits")?, labels)?;
    let (sum, weight) = cross_entropy(&logits, &labels, label_smoothing)?;
    Ok(Loss { sum, weight })
}

/// The logits `[n, vocab]` of the positions whose labels count, and these labels `[n]`, row by row of `labels`
/// `[batch, time]`; from logits that are there for these positions only, or for all of them.
///
/// # Errors
/// The shapes do not fit.
pub fn counted(logits: &Tensor, labels: &Tensor) -> ApiResult<(Tensor, Tensor)> {
    let labels = labels.f_to_kind(Kind::Int64)?.f_reshape([-1])?; // [b·t]
    let places = labels.f_ne(IGNORED)?.f_nonzero()?.f_view([-1])?; // [n]
    let kept = labels.f_index_select(0, &places)?;
    let (found, n) = (logits.size(), kept.size()[0]);
    let vocab = found.last().copied().unwrap_or(0);
    let logits = match *found.as_slice() {
        [rows, _] if rows == n => logits.shallow_clone(),
        [batch, time, _] if batch * time == labels.size()[0] => {
            logits.f_reshape([-1, vocab])?.f_index_select(0, &places)?
        }
        _ => bail!(
            Tensor,
            "reading `logits`: expected [{n}, vocab], one row for each label that counts, found {found:?}"
        ),
    };
    Ok((logits, kept))
}

/// The number of classes.
fn check(logits: &Tensor, labels: &Tensor, label_smoothing: f64) -> Result<i64, TchError> {
    match (logits.size().as_slice(), labels.size().as_slice()) {
        (&[rows, classes], &[count]) if rows == count && classes > 0 => {
            if (0.0..=1.0).contains(&label_smoothing) {
                return Ok(classes);
            }
            Err(TchError::Shape(format!(
                "cross-entropy: expected label smoothing in 0..1, found {label_smoothing}"
            )))
        }
        (logits, labels) => Err(TchError::Shape(format!(
            "cross-entropy: expected logits [n, vocab] and labels [n], found {logits:?} and {labels:?}"
        ))),
    }
}

/// The same by libtorch's operations, in float32 or wider.
fn composed(logits: &Tensor, labels: &Tensor, label_smoothing: f64) -> Result<Tensor, TchError> {
    let logits = match logits.kind() {
        Kind::Half | Kind::BFloat16 => logits.f_to_kind(Kind::Float)?,
        _ => logits.shallow_clone(),
    };
    logits.f_cross_entropy_loss(
        labels,
        None::<&Tensor>,
        Reduction::Sum,
        IGNORED,
        label_smoothing,
    )
}

fn fused(logits: &Tensor, labels: Vec<i64>, smoothing: f32) -> Result<Tensor, TchError> {
    let recorded = needs_grad(&[logits]);
    let saved = logits.detach().f_contiguous()?;
    let [rows, classes] = [0, 1].map(|dim| saved.size()[dim] as usize);
    let (mut losses, mut log_sums) = (vec![0.0; rows], vec![[0.0; 2]; rows]);
    let job = Job {
        logits: SharedMut(saved.data_ptr().cast()),
        classes,
        labels: &labels,
        smoothing,
    };
    let results = (
        SharedMut(losses.as_mut_ptr()),
        SharedMut(log_sums.as_mut_ptr()),
    );
    parallel_for(rows, 1, |begin, end| forward_rows(job, results, begin, end));
    let total: f64 = losses.iter().sum();
    let output = Tensor::from(total as f32);
    if !recorded {
        return Ok(output);
    }
    record(&[logits], output, move |Incoming { gradient, .. }| {
        let by_logits = Tensor::f_empty(saved.size(), (Kind::Float, Device::Cpu))?;
        let factor = gradient.f_double_value(&[])? as f32;
        let job = Job {
            logits: SharedMut(saved.data_ptr().cast()),
            classes,
            labels: &labels,
            smoothing,
        };
        let out = SharedMut(by_logits.data_ptr().cast());
        parallel_for(rows, 1, |begin, end| {
            backward_rows(job, &log_sums, factor, out, begin, end)
        });
        Ok(vec![Some(by_logits)])
    })
}

/// `log Σ exp` of a row in two summands, the largest logit and the rest: their sum would round off what large
/// logits leave of it.
type LogSum = [f32; 2];

/// What both passes read.
#[derive(Clone, Copy)]
struct Job<'a> {
    /// `[rows, classes]`, contiguous.
    logits: SharedMut<f32>,
    classes: usize,
    labels: &'a [i64],
    smoothing: f32,
}

impl Job<'_> {
    /// The label of a row that counts, and its logits.
    #[inline(always)]
    fn row(&self, row: usize) -> Option<(usize, &[f32])> {
        let label = usize::try_from(self.labels[row]).ok()?;
        // SAFETY: the row exists, and nobody writes the logits meanwhile.
        let logits: &[f32] = unsafe { self.logits.slice(row * self.classes, self.classes) };
        Some((label, logits))
    }
}

dispatch! {
    fn forward_rows(job: Job<'_>, results: (SharedMut<f64>, SharedMut<LogSum>), begin: usize, end: usize) = forward_rows_body
}

#[inline(always)]
fn forward_rows_body<const ISA: u8>(
    job: Job<'_>,
    (losses, log_sums): (SharedMut<f64>, SharedMut<LogSum>),
    begin: usize,
    end: usize,
) {
    for row in begin..end {
        let Some((label, logits)) = job.row(row) else {
            continue;
        };
        let (highest, total) = highest_and_sum(logits);
        let log = sum_of_exps::<ISA>(logits, highest).ln();
        let smoothing = f64::from(job.smoothing);
        let loss = f64::from(highest) + log
            - (1.0 - smoothing) * f64::from(logits[label])
            - smoothing * total / job.classes as f64;
        // SAFETY: each row has its own place, and one thread works on it.
        unsafe {
            losses.slice(row, 1)[0] = loss;
            log_sums.slice(row, 1)[0] = [highest, log as f32];
        }
    }
}

#[inline(always)]
fn highest_and_sum(row: &[f32]) -> (f32, f64) {
    let (chunks, rest) = row.split_at(row.len() / LANES * LANES);
    let (mut highest, mut total) = (F32s::splat(f32::NEG_INFINITY), 0.0);
    // float32 sums of a few hundred lanes, put together in float64
    for block in chunks.chunks(64 * LANES) {
        let mut sum = F32s::splat(0.0);
        for lanes in block.chunks_exact(LANES) {
            let x = F32s::load(lanes);
            highest = highest.zip(x, |a, b| if a > b { a } else { b });
            sum = sum.zip(x, |a, b| a + b);
        }
        total += f64::from(sum.sum());
    }
    let highest = rest.iter().fold(highest.max(), |a, b| a.max(*b));
    let rest: f64 = rest.iter().map(|x| f64::from(*x)).sum();
    (highest, total + rest)
}

#[inline(always)]
fn sum_of_exps<const ISA: u8>(row: &[f32], highest: f32) -> f64 {
    let (chunks, rest) = row.split_at(row.len() / LANES * LANES);
    let mut total = 0.0;
    for block in chunks.chunks(64 * LANES) {
        let mut sum = F32s::splat(0.0);
        for lanes in block.chunks_exact(LANES) {
            let e = F32s::load(lanes).map(|x| exp::<ISA>(x - highest));
            sum = sum.zip(e, |a, b| a + b);
        }
        total += f64::from(sum.sum());
    }
    let rest: f64 = rest
        .iter()
        .map(|x| f64::from(exp::<ISA>(x - highest)))
        .sum();
    total + rest
}

dispatch! {
    fn backward_rows(
        job: Job<'_>,
        log_sums: &[LogSum],
        factor: f32,
        out: SharedMut<f32>,
        begin: usize,
        end: usize,
    ) = backward_rows_body
}

#[inline(always)]
fn backward_rows_body<const ISA: u8>(
    job: Job<'_>,
    log_sums: &[LogSum],
    factor: f32,
    out: SharedMut<f32>,
    begin: usize,
    end: usize,
) {
    let spread = job.smoothing / job.classes as f32;
    for (row, &[highest, log]) in log_sums.iter().enumerate().take(end).skip(begin) {
        // SAFETY: each row has its own place, and one thread works on it.
        let out = unsafe { out.slice(row * job.classes, job.classes) };
        let Some((label, logits)) = job.row(row) else {
            out.fill(0.0);
            continue;
        };
        for (gradient, x) in out.iter_mut().zip(logits) {
            *gradient = (exp::<ISA>(x - highest - log) - spread) * factor;
        }
        out[label] -= (1.0 - job.smoothing) * factor;
    }
}
