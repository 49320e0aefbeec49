//! The fused kernel that turns heads by their positions, on the CPU, float32. Going back it turns the other way.

use tch::{Device, Kind, TchError, Tensor};

use crate::bridge::parallel_for;
use crate::dropout::SharedMut;
use crate::simd::{dispatch, fma};

/// Elements for which a second thread is woken.
const GRAIN: usize = 1 << 14;

/// Turns each head of `x` `[rows, heads·dim]`, whose rows may lie apart, by the angles whose `cos` and `sin` `[rows,
/// dim/2]` are given, or back by them.
pub(super) fn turn(x: &Tensor, cos: &Tensor, sin: &Tensor, back: bool) -> Result<Tensor, TchError> {
    let [rows, width] = [0, 1].map(|dim| x.size()[dim] as usize);
    let output = Tensor::f_empty(x.size(), (Kind::Float, Device::Cpu))?;
    let start = |x: &Tensor| SharedMut(x.data_ptr().cast::<f32>());
    let job = Job {
        x: start(x),
        stride: x.stride()[0] as usize,
        cos: start(cos),
        sin: start(sin),
        output: start(&output),
        width,
        half: cos.size()[1] as usize,
        sign: if back { -1.0 } else { 1.0 },
    };
    parallel_for(rows, GRAIN.div_ceil(width.max(1)), |begin, end| {
        turn_rows(&job, begin, end)
    });
    Ok(output)
}

struct Job {
    x: SharedMut<f32>,
    stride: usize,
    cos: SharedMut<f32>,
    sin: SharedMut<f32>,
    output: SharedMut<f32>,
    width: usize,
    half: usize,
    sign: f32,
}

dispatch! {
    fn turn_rows(job: &Job, begin: usize, end: usize) = turn_rows_body
}

#[inline(always)]
fn turn_rows_body<const ISA: u8>(job: &Job, begin: usize, end: usize) {
    let half = job.half;
    for row in begin..end {
        // SAFETY: rows exist and belong to one range each; all but the output are only read.
        let (x, cos, sin, output): (&[f32], &[f32], &[f32], _) = unsafe {
            (
                job.x.slice(row * job.stride, job.width),
                job.cos.slice(row * half, half),
                job.sin.slice(row * half, half),
                job.output.slice(row * job.width, job.width),
            )
        };
        for (x, output) in x
            .chunks_exact(2 * half)
            .zip(output.chunks_exact_mut(2 * half))
        {
            let ((a, b), (y, z)) = (x.split_at(half), output.split_at_mut(half));
            for at in 0..half {
                let sin = sin[at] * job.sign;
                y[at] = fma::<ISA>(a[at], cos[at], -(b[at] * sin));
                z[at] = fma::<ISA>(b[at], cos[at], a[at] * sin);
            }
        }
    }
}
