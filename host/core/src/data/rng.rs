//! All randomness of a run, as a pure function of (seed, epoch, step, purpose).
//!
//! Nothing here carries state from one step to the next, so a run resumed at step k draws what
//! the uninterrupted run drew. The mixing function is the finaliser of SplitMix64 (Steele, Lea
//! and Flood 2014, variant 13 of Stafford's mixers), and every operation is on `u64` with
//! wrapping arithmetic, so the values are the same on every platform.

/// 2⁶⁴ divided by the golden ratio, made odd: the increment of SplitMix64.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Seed of one use of randomness: `purpose` ("shuffle", "dropout", …) at one step of one epoch.
///
/// The words seed, epoch, step, the length of `purpose` and its bytes (little-endian words of
/// eight, zero-padded) are absorbed in that order by `state ← mix((state + GOLDEN) ⊕ word)`.
pub fn derive_seed(seed: u64, epoch: u64, step: u64, purpose: &str) -> u64 {
    let mut state = absorb(0, seed);
    state = absorb(state, epoch);
    state = absorb(state, step);
    state = absorb(state, purpose.len() as u64);
    for chunk in purpose.as_bytes().chunks(8) {
        let mut word = [0_u8; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        state = absorb(state, u64::from_le_bytes(word));
    }
    state
}

/// A well-mixed value of one counter under one seed, without a generator to advance.
pub fn hash(seed: u64, counter: u64) -> u64 {
    absorb(absorb(0, seed), counter)
}

fn absorb(state: u64, word: u64) -> u64 {
    mix(state.wrapping_add(GOLDEN) ^ word)
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// SplitMix64: value i is `mix(seed + (i + 1)·GOLDEN)`.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// A generator of its own for one seed, usually from [`derive_seed`].
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A uniform integer in `0..bound`, without modulo bias (Lemire 2019). `bound` 0 gives 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        let threshold = bound.wrapping_neg().checked_rem(bound).unwrap_or(0);
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= threshold {
                return (product >> 64) as u64;
            }
        }
    }

    /// Shuffles in place (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

const ROUNDS: usize = 6;
/// Small sets are permuted inside a larger domain, where a Feistel network mixes well.
const LEAST_HALF_BITS: u32 = 6;

/// A random order of `0..len` in constant memory: position i of the order costs O(1).
///
/// A balanced Feistel network over the smallest even power of two that holds `len`, walked until
/// it lands inside (Black and Rogaway 2002, cycle walking; at most four steps expected).
#[derive(Clone, Debug)]
pub struct Permutation {
    len: u64,
    half_bits: u32,
    keys: [u64; ROUNDS],
}

impl Permutation {
    /// The order of `0..len` under `seed`.
    pub fn new(len: u64, seed: u64) -> Self {
        let bits = 64 - len.saturating_sub(1).leading_zeros();
        let mut rng = Rng::new(seed);
        Self {
            len,
            half_bits: bits.div_ceil(2).max(LEAST_HALF_BITS),
            keys: std::array::from_fn(|_| rng.next_u64()),
        }
    }

    /// What stands at `position` of the order. `position` must be below `len`.
    pub fn get(&self, position: u64) -> u64 {
        debug_assert!(position < self.len, "{position} is outside 0..{}", self.len);
        let mut value = position;
        loop {
            value = self.encipher(value);
            if value < self.len {
                return value;
            }
        }
    }

    fn encipher(&self, value: u64) -> u64 {
        let mask = (1_u64 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mix(key ^ right) & mask));
        }
        (left << self.half_bits) | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_the_same_on_every_platform() {
        let values = [
            derive_seed(0, 0, 0, ""),
            derive_seed(17, 0, 0, "shuffle"),
            derive_seed(17, 1, 0, "shuffle"),
            derive_seed(17, 0, 1, "shuffle"),
            derive_seed(17, 0, 0, "shuffle-batches"),
            hash(17, 3),
            Rng::new(0).next_u64(),
            Permutation::new(1000, 17).get(0),
        ];
        insta::assert_debug_snapshot!(values);
        // The first output of SplitMix64 seeded with zero, as published.
        assert_eq!(Rng::new(0).next_u64(), 0xE220_A839_7B1D_CDAF);
    }

    #[test]
    fn purposes_and_steps_do_not_collide() {
        let mut seen = std::collections::HashSet::new();
        for epoch in 0..20 {
            for step in 0..50 {
                for purpose in ["", "a", "b", "ab", "abcdefgh", "abcdefgh\0", "dropout"] {
                    assert!(seen.insert(derive_seed(1, epoch, step, purpose)));
                }
            }
        }
    }

    #[test]
    fn permutation_visits_everything_once() {
        for len in [1_u64, 2, 3, 7, 64, 1000, 4096, 4097, 70_000] {
            let order = Permutation::new(len, 3);
            let mut seen = vec![false; len as usize];
            for position in 0..len {
                let value = order.get(position) as usize;
                assert!(
                    !std::mem::replace(&mut seen[value], true),
                    "{value} twice in {len}"
                );
            }
        }
    }

    #[test]
    fn permutation_is_spread_evenly() {
        // Each value should stand at each position about equally often over seeds.
        let mut counts = [[0_u32; 5]; 5];
        for seed in 0..20_000 {
            let order = Permutation::new(5, derive_seed(seed, 0, 0, "test"));
            for position in 0..5 {
                counts[position as usize][order.get(position) as usize] += 1;
            }
        }
        for count in counts.iter().flatten() {
            assert!((3750..4250).contains(count), "{counts:?}");
        }
    }

    #[test]
    fn below_stays_below() {
        let mut rng = Rng::new(1);
        let mut counts = [0; 3];
        for _ in 0..3000 {
            counts[rng.below(3) as usize] += 1;
        }
        assert!(
            counts.iter().all(|count| (900..1100).contains(count)),
            "{counts:?}"
        );
        assert_eq!(rng.below(0), 0);
    }
}
