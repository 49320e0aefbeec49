//! numpy's `default_rng`: the same draws from the same seed.
//!
//! The generator is PCG64 (O'Neill 2014), seeded through numpy's `SeedSequence`; numbers below a
//! bound are Lemire's (2019), of 32 bits each. numpy keeps the stream of a seed from release to
//! release only for its bit generators, so what stands here is that of numpy 2.4.

use rand_pcg::Pcg64;
use rand_pcg::rand_core::Rng as _;

/// The state of a generator.
pub struct Random {
    pcg: Pcg64,
    /// The upper half of a number whose lower half was given out.
    half: Option<u32>,
}

/// Single bits, as numpy draws booleans in one call.
#[derive(Default)]
pub struct Bits {
    word: u32,
    left: u32,
}

impl Random {
    /// `numpy.random.default_rng(seed)`.
    pub fn new(seed: u64) -> Self {
        let words = seed_words(seed);
        let wide = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
        Self {
            pcg: Pcg64::new(wide(words[0], words[1]), wide(words[2], words[3])),
            half: None,
        }
    }

    /// `rng.choice(below, size, replace=True)`: adds `size` numbers below a bound.
    pub fn choose(&mut self, below: u32, size: usize, into: &mut Vec<u32>) {
        let drawn = std::iter::repeat_with(|| self.below(below));
        into.extend(drawn.take(size));
    }

    /// The next of `rng.integers(2, dtype=bool)`.
    pub fn bit(&mut self, bits: &mut Bits) -> bool {
        match bits.left {
            0 => (bits.word, bits.left) = (self.word(), 31),
            _ => (bits.word, bits.left) = (bits.word >> 1, bits.left - 1),
        }
        bits.word & 1 == 1
    }

    fn below(&mut self, bound: u32) -> u32 {
        if bound <= 1 {
            return 0;
        }
        let mut product = u64::from(self.word()) * u64::from(bound);
        if (product as u32) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u32) < threshold {
                product = u64::from(self.word()) * u64::from(bound);
            }
        }
        (product >> 32) as u32
    }

    fn word(&mut self) -> u32 {
        if let Some(half) = self.half.take() {
            return half;
        }
        let both = self.pcg.next_u64();
        self.half = Some((both >> 32) as u32);
        both as u32
    }
}

/// `SeedSequence(seed).generate_state(4, numpy.uint64)`.
fn seed_words(seed: u64) -> [u64; 4] {
    const ENTROPY: (u32, u32) = (0x43b0_d7e5, 0x931e_8875);
    const STATE: (u32, u32) = (0x8b51_f9dd, 0x58f3_8ded);
    let scatter = |value: u32, (constant, factor): &mut (u32, u32)| {
        let value = value ^ *constant;
        *constant = constant.wrapping_mul(*factor);
        let value = value.wrapping_mul(*constant);
        value ^ value >> 16
    };
    let mix = |a: u32, b: u32| {
        let mixed = 0xca01_f9dd_u32
            .wrapping_mul(a)
            .wrapping_sub(0x4973_f715_u32.wrapping_mul(b));
        mixed ^ mixed >> 16
    };
    let mut constant = ENTROPY;
    let mut pool =
        [seed as u32, (seed >> 32) as u32, 0, 0].map(|word| scatter(word, &mut constant));
    for from in 0..pool.len() {
        for to in 0..pool.len() {
            if from != to {
                pool[to] = mix(pool[to], scatter(pool[from], &mut constant));
            }
        }
    }
    let mut constant = STATE;
    let mut word = |index: usize| u64::from(scatter(pool[index % 4], &mut constant));
    [0, 2, 4, 6].map(|index| {
        let low = word(index);
        word(index + 1) << 32 | low
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `rng = numpy.random.default_rng(12345)`, numpy 2.4.6; then `rng.choice(10, 8)`,
    /// `rng.integers(2, size=40, dtype=bool)`, `rng.choice(3000000000, 3)`.
    #[test]
    fn the_draws_are_numpy_s() {
        let mut random = Random::new(12345);
        let mut drawn = Vec::new();
        random.choose(10, 8, &mut drawn);
        let mut bits = Bits::default();
        let tossed: String = (0..40)
            .map(|_| if random.bit(&mut bits) { '1' } else { '0' })
            .collect();
        random.choose(3_000_000_000, 3, &mut drawn);
        assert_eq!(tossed, "1011000011011110110100001011111100010110");
        let chosen = [6, 2, 7, 3, 2, 7, 6, 6, 2518275128, 1794926260, 639429039];
        assert_eq!(drawn, chosen);
    }

    /// `numpy.random.SeedSequence(s).generate_state(4, numpy.uint64)`.
    #[test]
    fn seeds_of_one_and_of_two_words() {
        let one = [
            13091511679009522556,
            13538552136045918767,
            7269824232120749972,
            4520223790601600371,
        ];
        assert_eq!(seed_words(12345), one);
        let two = [
            974592680304384533,
            11164224302760304993,
            11068753026110695683,
            4650291916314288918,
        ];
        assert_eq!(seed_words(1 << 40 | 7), two);
    }
}
