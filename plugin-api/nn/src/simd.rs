//! Sixteen float32 lanes, and the choice of instruction set at run time.
//!
//! [`F32s`] is a plain array whose loops the compiler turns into vector instructions of whatever width the
//! enclosing function may use. [`dispatch!`] makes that AVX-512, AVX2 with FMA, or the baseline, by what the
//! processor has. Results differ between these by rounding only, as libtorch's own kernels do.

/// Lanes of an [`F32s`].
pub(crate) const LANES: usize = 16;

/// Instruction sets, as the const parameter that kernels are compiled for.
pub(crate) mod isa {
    /// What every processor of the architecture has.
    pub const BASELINE: u8 = 0;
    /// 256-bit vectors with fused multiply-add.
    pub const AVX2: u8 = 1;
    /// 512-bit vectors and twice the registers.
    pub const AVX512: u8 = 2;
}

/// Sixteen float32 values.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(crate) struct F32s(pub [f32; LANES]);

impl F32s {
    #[inline(always)]
    pub fn splat(value: f32) -> Self {
        Self([value; LANES])
    }

    /// The first sixteen elements of `from`.
    #[inline(always)]
    pub fn load(from: &[f32]) -> Self {
        let mut lanes = [0.0; LANES];
        lanes.copy_from_slice(&from[..LANES]);
        Self(lanes)
    }

    #[inline(always)]
    pub fn store(self, to: &mut [f32]) {
        to[..LANES].copy_from_slice(&self.0);
    }

    #[inline(always)]
    pub fn map(self, f: impl Fn(f32) -> f32) -> Self {
        let mut lanes = self.0;
        for lane in &mut lanes {
            *lane = f(*lane);
        }
        Self(lanes)
    }

    #[inline(always)]
    pub fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        let mut lanes = self.0;
        for (lane, o) in lanes.iter_mut().zip(other.0) {
            *lane = f(*lane, o);
        }
        Self(lanes)
    }

    /// `self * b + c`, rounded once where the instruction set has it.
    #[inline(always)]
    pub fn mul_add<const ISA: u8>(self, b: Self, c: Self) -> Self {
        let mut lanes = self.0;
        for ((lane, b), c) in lanes.iter_mut().zip(b.0).zip(c.0) {
            *lane = fma::<ISA>(*lane, b, c);
        }
        Self(lanes)
    }

    /// The sum, by halves.
    #[inline(always)]
    pub fn sum(self) -> f32 {
        self.fold(|a, b| a + b)
    }

    #[inline(always)]
    pub fn max(self) -> f32 {
        self.fold(f32::max)
    }

    #[inline(always)]
    fn fold(self, f: impl Fn(f32, f32) -> f32) -> f32 {
        let mut lanes = self.0;
        let mut half = LANES / 2;
        while half > 0 {
            for i in 0..half {
                lanes[i] = f(lanes[i], lanes[i + half]);
            }
            half /= 2;
        }
        lanes[0]
    }
}

/// `a * b + c`. Without an FMA instruction `f32::mul_add` would call a slow function.
#[inline(always)]
pub(crate) fn fma<const ISA: u8>(a: f32, b: f32, c: f32) -> f32 {
    if ISA != isa::BASELINE || cfg!(target_arch = "aarch64") {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

/// `eˣ` for `x ≤ 88`, to about one unit in the last place; 0 below -87.
///
/// x = n·ln 2 + r with |r| ≤ ln 2 / 2, then a polynomial in r (Cephes, `expf`).
#[inline(always)]
pub(crate) fn exp<const ISA: u8>(x: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // adding and subtracting 1.5·2²³ rounds to the nearest whole number without a call
    const ROUND: f32 = 12_582_912.0;
    let clamped = if x < -87.0 { -87.0 } else { x };
    let shifted = fma::<ISA>(clamped, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = fma::<ISA>(n, -LN2_LOW, fma::<ISA>(n, -LN2_HIGH, clamped));
    let mut p = 1.987_569_1e-4;
    for coefficient in [
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        p = fma::<ISA>(p, r, coefficient);
    }
    let p = fma::<ISA>(p * r, r, r) + 1.0;
    let power =
        f32::from_bits(((shifted.to_bits() as i32 - ROUND.to_bits() as i32 + 127) << 23) as u32);
    let value = p * power;
    if x < -87.0 { 0.0 } else { value }
}

/// Defines `fn NAME(ARGS)` that runs the inlined `BODY::<ISA>(ARGS)` compiled for the best instruction set
/// that the processor has.
macro_rules! dispatch {
    ($(#[$meta:meta])* fn $name:ident($($arg:ident: $type:ty),* $(,)?) = $body:ident) => {
        $(#[$meta])*
        fn $name($($arg: $type),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn avx512($($arg: $type),*) {
                    $body::<{ $crate::simd::isa::AVX512 }>($($arg),*);
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $type),*) {
                    $body::<{ $crate::simd::isa::AVX2 }>($($arg),*);
                }
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                {
                    // SAFETY: the processor has what the function was compiled for.
                    return unsafe { avx512($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: as above.
                    return unsafe { avx2($($arg),*) };
                }
            }
            $body::<{ $crate::simd::isa::BASELINE }>($($arg),*);
        }
    };
}
pub(crate) use dispatch;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_two_units_of_the_last_place() {
        let mut x = -87.0_f32;
        while x <= 20.0 {
            for value in [exp::<{ isa::AVX2 }>(x), exp::<{ isa::BASELINE }>(x)] {
                let exact = f64::from(x).exp();
                let error = (f64::from(value) - exact).abs() / exact;
                assert!(error < 2.5e-7, "exp({x}) = {value}, {exact}: {error:e}");
            }
            x += 0.037;
        }
        assert_eq!(exp::<{ isa::AVX2 }>(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp::<{ isa::AVX2 }>(0.0), 1.0);
    }

    #[test]
    fn folds_cover_every_lane() {
        let lanes = F32s(std::array::from_fn(|i| (1 << i) as f32));
        assert_eq!(lanes.sum(), 65535.0);
        assert_eq!(lanes.max(), 32768.0);
        assert_eq!(lanes.map(|x| -x).max(), -1.0);
    }
}
