//! The fused kernels of `silu(gate)·x` on the CPU, float32: one pass forward, one back, nothing kept but the inputs.

use tch::{Device, Kind, TchError, Tensor};

use crate::bridge::{Gradients, parallel_for};
use crate::dropout::SharedMut;
use crate::simd::{dispatch, exp, fma};

/// Elements that a thread takes at least.
const GRAIN: usize = 1 << 12;

/// `silu(gate)·x`; both contiguous and of one shape.
pub(super) fn forward(gate: &Tensor, x: &Tensor) -> Result<Tensor, TchError> {
    let output = Tensor::f_empty(x.size(), (Kind::Float, Device::Cpu))?;
    let tensors = [gate, x, &output].map(start);
    parallel_for(x.numel(), GRAIN, |begin, end| {
        forward_part(tensors, begin, end)
    });
    Ok(output)
}

/// The gradients by both.
pub(super) fn backward(
    gradient: &Tensor,
    gate: &Tensor,
    x: &Tensor,
) -> Result<Gradients, TchError> {
    let empty = || Tensor::f_empty(x.size(), (Kind::Float, Device::Cpu));
    let (d_gate, d_x) = (empty()?, empty()?);
    let tensors = [gradient, gate, x, &d_gate, &d_x].map(start);
    parallel_for(x.numel(), GRAIN, |begin, end| {
        backward_part(tensors, begin, end)
    });
    Ok(vec![Some(d_gate), Some(d_x)])
}

fn start(x: &Tensor) -> SharedMut<f32> {
    SharedMut(x.data_ptr().cast())
}

/// `1 / (1 + e⁻ˣ)`.
#[inline(always)]
fn sigmoid<const ISA: u8>(x: f32) -> f32 {
    let least = if x < -87.0 { -87.0 } else { x };
    1.0 / (1.0 + exp::<ISA>(-least))
}

dispatch! {
    fn forward_part(tensors: [SharedMut<f32>; 3], begin: usize, end: usize) = forward_part_body
}

#[inline(always)]
fn forward_part_body<const ISA: u8>(tensors: [SharedMut<f32>; 3], begin: usize, end: usize) {
    // SAFETY: ranges are disjoint, and the first two are only read.
    let [gate, x, output] = tensors.map(|x| unsafe { x.slice(begin, end - begin) });
    for ((y, gate), x) in output.iter_mut().zip(gate).zip(x) {
        *y = *gate * sigmoid::<ISA>(*gate) * *x;
    }
}

dispatch! {
    fn backward_part(tensors: [SharedMut<f32>; 5], begin: usize, end: usize) = backward_part_body
}

#[inline(always)]
fn backward_part_body<const ISA: u8>(tensors: [SharedMut<f32>; 5], begin: usize, end: usize) {
    // SAFETY: ranges are disjoint, and the first three are only read.
    let [gradient, gate, x, d_gate, d_x] = tensors.map(|x| unsafe { x.slice(begin, end - begin) });
    for at in 0..gradient.len() {
        let (g, z) = (gradient[at], gate[at]);
        let s = sigmoid::<ISA>(z);
        d_x[at] = g * z * s;
        // silu' = σ·(1 + z·(1 - σ))
        d_gate[at] = g * x[at] * s * fma::<ISA>(z, 1.0 - s, 1.0);
    }
}
