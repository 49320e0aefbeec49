//! Numbers without a pattern, the same ones at every run: libtorch's generator is one for all tests of a process.

use std::cell::Cell;

use tch::{Kind, Tensor};
use tenon_plugin_api::services::mix;

thread_local! {
    /// Of a test, which has a thread of its own.
    static DRAWN: Cell<u64> = const { Cell::new(0) };
}

/// Numbers between −3 and 3 with mean 0 and variance 1, others at each call.
pub fn draw(shape: &[i64], kind: Kind) -> Tensor {
    let count = shape.iter().product::<i64>() as u64;
    let first = DRAWN.replace(DRAWN.get() + count);
    // Three even numbers of 21 bits from one of 64.
    let part = |bits: u64| (bits & 0x1f_ffff) as f32 / (1 << 21) as f32;
    let number = |place: u64| {
        let bits = mix(place);
        2.0 * (part(bits) + part(bits >> 21) + part(bits >> 42)) - 3.0
    };
    let numbers: Vec<f32> = (first..first + count).map(number).collect();
    Tensor::from_slice(&numbers).reshape(shape).to_kind(kind)
}
