//! Dropout whose masks are a function of (key, element), so that they need no serial generator.
//!
//! Element `i` is kept when a 32-bit hash of `(key, i)` is at least `p·2³²`, and then scaled by `1/(1-p)`
//! (Srivastava et al. 2014, inverted as in PyTorch). The mask thus does not depend on the number of threads
//! or on the order of the work, and the fused kernels can draw it again in the backward pass instead of
//! keeping it. The hash is two multiply-xorshift rounds (after the search of C. Wellons, "Prospecting for
//! hash functions"), keyed before and between the rounds; drawing costs a tenth of libtorch's `bernoulli_`.

use tch::{Device, Kind, TchError, Tensor};
use tenon_plugin_api::model::Forward;

use crate::bridge::parallel_for;
use crate::simd::dispatch;

/// One application of dropout: how much is dropped, and which mask.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dropout {
    /// The probability to drop an element, in `[0, 1]`.
    p: f64,
    /// What the mask is derived from.
    key: u64,
}

impl Dropout {
    /// Keeps everything, as in evaluation.
    pub const OFF: Self = Self { p: 0.0, key: 0 };

    /// The next dropout of a forward pass: off unless it trains.
    #[must_use]
    pub fn next(forward: &Forward, p: f64) -> Self {
        if forward.training() && p > 0.0 {
            Self::new(p, forward.next_seed())
        } else {
            Self::OFF
        }
    }

    /// Drops elements with probability `p`, by the mask of `key`.
    #[must_use]
    pub fn new(p: f64, key: u64) -> Self {
        Self {
            p: p.clamp(0.0, 1.0),
            key: mix(key),
        }
    }

    /// Whether nothing is dropped.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.p <= 0.0
    }

    /// The probability to drop an element.
    #[must_use]
    pub fn p(&self) -> f64 {
        self.p
    }

    /// What kept elements are multiplied with: `1/(1-p)`, or 0 where everything is dropped.
    #[must_use]
    pub fn scale(&self) -> f64 {
        if self.p >= 1.0 {
            0.0
        } else {
            1.0 / (1.0 - self.p)
        }
    }

    /// Drops elements of `x` (any shape, any floating kind), and scales the others. A multiplication by
    /// [`Dropout::mask`] on the CPU; libtorch's own kernel on other devices, whose generator the caller seeds.
    ///
    /// # Errors
    /// Those of libtorch, e.g. memory that cannot be had.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor, TchError> {
        if self.is_off() {
            return Ok(x.shallow_clone());
        }
        if x.device() != Device::Cpu {
            return x.f_dropout(self.p, true);
        }
        x.f_mul(&self.mask(&x.size(), x.kind())?)
    }

    /// The mask on the CPU: 0 or [`Dropout::scale`] for each element, by its place in row-major order.
    ///
    /// # Errors
    /// Those of libtorch, e.g. memory that cannot be had.
    pub fn mask(&self, shape: &[i64], kind: Kind) -> Result<Tensor, TchError> {
        let mask = Tensor::f_empty(shape, (Kind::Float, Device::Cpu))?;
        let count = mask.numel();
        let start = SharedMut(mask.data_ptr().cast::<f32>());
        let masking = self.masking();
        parallel_for(count.div_ceil(ROW), 16, |begin, end| {
            for row in begin..end {
                let len = ROW.min(count - row * ROW);
                // SAFETY: `mask` is contiguous and not seen by anyone else yet, and rows do not overlap.
                let row_of_mask = unsafe { start.slice(row * ROW, len) };
                fill_mask(row_of_mask, masking, (row * ROW) as u64);
            }
        });
        if kind == Kind::Float {
            Ok(mask)
        } else {
            mask.f_to_kind(kind)
        }
    }

    /// The same in the form that kernels use.
    pub(crate) fn masking(&self) -> Masking {
        Masking {
            key: self.key,
            threshold: (self.p * 4_294_967_296.0).min(4_294_967_295.0) as u32,
            scale: self.scale() as f32,
        }
    }
}

/// Elements that a thread draws at a time.
const ROW: usize = 4096;

/// A dropout as kernels see it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Masking {
    key: u64,
    threshold: u32,
    scale: f32,
}

impl Masking {
    /// The masking of a part of a tensor whose elements are counted from 0 again.
    pub fn part(self, part: u64) -> Self {
        Self {
            key: mix(self.key ^ part.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            ..self
        }
    }

    /// The masking of a run of elements that starts at `first`; the run's elements are counted from 0.
    #[inline(always)]
    pub fn run(self, first: u64) -> Run {
        // what lies above 32 bits goes into the key, so that large tensors do not repeat themselves
        let high = (first >> 32) as u32;
        Run {
            before: (first as u32)
                .wrapping_mul(GOLDEN)
                .wrapping_add(self.key as u32),
            between: ((self.key >> 32) as u32) ^ high.wrapping_mul(0x85EB_CA6B),
            threshold: self.threshold,
            scale: self.scale,
        }
    }
}

const GOLDEN: u32 = 0x9E37_79B1;

/// A masking prepared for consecutive elements.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    before: u32,
    between: u32,
    threshold: u32,
    scale: f32,
}

impl Run {
    /// 0 where the element is dropped, otherwise the scale.
    #[inline(always)]
    pub fn factor(self, element: u32) -> f32 {
        let mut h = element.wrapping_mul(GOLDEN).wrapping_add(self.before);
        h ^= h >> 16;
        h = h.wrapping_mul(0x21F0_AAAD);
        h ^= (h >> 15) ^ self.between;
        h = h.wrapping_mul(0x735A_2D97);
        h ^= h >> 15;
        if h >= self.threshold { self.scale } else { 0.0 }
    }
}

dispatch! {
    /// Writes the factors of the elements from `first` on.
    fn fill_mask(mask: &mut [f32], masking: Masking, first: u64) = fill_mask_body
}

#[inline(always)]
fn fill_mask_body<const ISA: u8>(mask: &mut [f32], masking: Masking, first: u64) {
    let run = masking.run(first);
    for (element, factor) in mask.iter_mut().enumerate() {
        *factor = run.factor(element as u32);
    }
}

/// SplitMix64's finaliser: a bijection that spreads every bit.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Memory that several threads write, each its own part.
#[derive(Clone, Copy)]
pub(crate) struct SharedMut<T>(pub *mut T);

// SAFETY: the type only carries the address; `slice` states what its callers must hold to.
unsafe impl<T: Send> Send for SharedMut<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for SharedMut<T> {}

impl<T> SharedMut<T> {
    /// # Safety
    /// `start..start + len` lies in live memory, and nobody else uses that part meanwhile.
    #[inline(always)]
    pub unsafe fn slice<'a>(self, start: usize, len: usize) -> &'a mut [T] {
        // SAFETY: the caller's.
        unsafe { std::slice::from_raw_parts_mut(self.0.add(start), len) }
    }
}
