//! The fused kernels of `x·σ(ax + bx³)`, alone and times another tensor, on the CPU, float32: one pass forward, one
//! back, nothing kept but the inputs.

use tch::{Device, Kind, TchError, Tensor};

use crate::bridge::parallel_for;
use crate::dropout::SharedMut;
use crate::simd::{dispatch, exp, fma};

/// Elements that a thread takes at least.
const GRAIN: usize = 1 << 12;

/// An activation function of the form `x·σ(ax + bx³)`.
#[derive(Clone, Copy)]
pub(super) struct Curve {
    pub a: f32,
    pub b: f32,
}

/// The curve of `x`, contiguous.
pub(super) fn forward(curve: Curve, x: &Tensor) -> Result<Tensor, TchError> {
    let output = like(x)?;
    let tensors = [x, &output].map(start);
    parallel_for(x.numel(), GRAIN, |begin, end| {
        forward_part(curve, tensors, begin, end)
    });
    Ok(output)
}

/// The gradient by `x`.
pub(super) fn backward(curve: Curve, gradient: &Tensor, x: &Tensor) -> Result<Tensor, TchError> {
    let d_x = like(x)?;
    let tensors = [gradient, x, &d_x].map(start);
    parallel_for(x.numel(), GRAIN, |begin, end| {
        backward_part(curve, tensors, begin, end)
    });
    Ok(d_x)
}

/// The curve of `gate`, times `x`; both contiguous and of one shape.
pub(super) fn gated_forward(curve: Curve, gate: &Tensor, x: &Tensor) -> Result<Tensor, TchError> {
    let output = like(x)?;
    let tensors = [gate, x, &output].map(start);
    parallel_for(x.numel(), GRAIN, |begin, end| {
        gated_forward_part(curve, tensors, begin, end)
    });
    Ok(output)
}

/// The gradients by both.
pub(super) fn gated_backward(
    curve: Curve,
    gradient: &Tensor,
    gate: &Tensor,
    x: &Tensor,
) -> Result<[Tensor; 2], TchError> {
    let (d_gate, d_x) = (like(x)?, like(x)?);
    let tensors = [gradient, gate, x, &d_gate, &d_x].map(start);
    parallel_for(x.numel(), GRAIN, |begin, end| {
        gated_backward_part(curve, tensors, begin, end)
    });
    Ok([d_gate, d_x])
}

fn like(x: &Tensor) -> Result<Tensor, TchError> {
    Tensor::f_empty(x.size(), (Kind::Float, Device::Cpu))
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

impl Curve {
    /// The curve at `x`.
    #[inline(always)]
    fn at<const ISA: u8>(self, x: f32) -> f32 {
        let (z, square) = near(x);
        x * sigmoid::<ISA>(z * fma::<ISA>(self.b, square, self.a))
    }

    /// The curve at `x`, and its slope: `σ·(1 + x·(1 - σ)·(a + 3bx²))`.
    #[inline(always)]
    fn with_slope<const ISA: u8>(self, x: f32) -> (f32, f32) {
        let (z, square) = near(x);
        let s = sigmoid::<ISA>(z * fma::<ISA>(self.b, square, self.a));
        let inner = fma::<ISA>(3.0 * self.b, square, self.a);
        (x * s, s * fma::<ISA>(z * (1.0 - s), inner, 1.0))
    }
}

/// `x`, or where the curve is long straight, a value from which nothing overflows; and its square.
#[inline(always)]
fn near(x: f32) -> (f32, f32) {
    const FAR: f32 = 1e4;
    let z = if x > FAR { FAR } else { x };
    let z = if z < -FAR { -FAR } else { z };
    (z, z * z)
}

dispatch! {
    fn forward_part(curve: Curve, tensors: [SharedMut<f32>; 2], begin: usize, end: usize) = forward_part_body
}

#[inline(always)]
fn forward_part_body<const ISA: u8>(
    curve: Curve,
    tensors: [SharedMut<f32>; 2],
    begin: usize,
    end: usize,
) {
    // SAFETY: ranges are disjoint, and the first is only read.
    let [x, output] = tensors.map(|x| unsafe { x.slice(begin, end - begin) });
    for (y, x) in output.iter_mut().zip(x) {
        *y = curve.at::<ISA>(*x);
    }
}

dispatch! {
    fn backward_part(curve: Curve, tensors: [SharedMut<f32>; 3], begin: usize, end: usize) = backward_part_body
}

#[inline(always)]
fn backward_part_body<const ISA: u8>(
    curve: Curve,
    tensors: [SharedMut<f32>; 3],
    begin: usize,
    end: usize,
) {
    // SAFETY: ranges are disjoint, and the first two are only read.
    let [gradient, x, d_x] = tensors.map(|x| unsafe { x.slice(begin, end - begin) });
    for ((d_x, gradient), x) in d_x.iter_mut().zip(gradient).zip(x) {
        *d_x = *gradient * curve.with_slope::<ISA>(*x).1;
    }
}

dispatch! {
    fn gated_forward_part(curve: Curve, tensors: [SharedMut<f32>; 3], begin: usize, end: usize)
        = gated_forward_part_body
}

#[inline(always)]
fn gated_forward_part_body<const ISA: u8>(
    curve: Curve,
    tensors: [SharedMut<f32>; 3],
    begin: usize,
    end: usize,
) {
    // SAFETY: ranges are disjoint, and the first two are only read.
    let [gate, x, output] = tensors.map(|x| unsafe { x.slice(begin, end - begin) });
    for ((y, gate), x) in output.iter_mut().zip(gate).zip(x) {
        *y = curve.at::<ISA>(*gate) * *x;
    }
}

dispatch! {
    fn gated_backward_part(curve: Curve, tensors: [SharedMut<f32>; 5], begin: usize, end: usize)
        = gated_backward_part_body
}

#[inline(always)]
fn gated_backward_part_body<const ISA: u8>(
    curve: Curve,
    tensors: [SharedMut<f32>; 5],
    begin: usize,
    end: usize,
) {
    // SAFETY: ranges are disjoint, and the first three are only read.
    let [gradient, gate, x, d_gate, d_x] = tensors.map(|x| unsafe { x.slice(begin, end - begin) });
    for at in 0..gradient.len() {
        let (value, slope) = curve.with_slope::<ISA>(gate[at]);
        d_x[at] = gradient[at] * value;
        d_gate[at] = gradient[at] * x[at] * slope;
    }
}
