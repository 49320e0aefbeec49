//! Confidence intervals by resampling, draw for draw as rouge-score's `BootstrapAggregator` makes
//! them after `numpy.random.seed`.
//!
//! Each resample takes as many examples as there are, with replacement, and the mean of their
//! scores; the interval lies between two percentiles of these means (Efron 1979).

/// The Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), as `numpy.random.RandomState` seeds
/// and reads it.
pub struct Twister {
    state: [u32; N],
    next: usize,
}

const N: usize = 624;
const M: usize = 397;

impl Twister {
    pub fn new(seed: u32) -> Self {
        let mut state = [seed; N];
        for i in 1..N {
            let before = state[i - 1];
            state[i] = (before ^ (before >> 30))
                .wrapping_mul(1_812_433_253)
                .wrapping_add(i as u32);
        }
        Self { state, next: N }
    }

    fn bits(&mut self) -> u32 {
        if self.next == N {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn twist(&mut self) {
        for i in 0..N {
            let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }

    /// A number below `count`: bits under the next mask, drawn again while they are too large.
    fn below(&mut self, count: usize) -> usize {
        let last = count as u32 - 1;
        if last == 0 {
            return 0;
        }
        let mask = u32::MAX >> last.leading_zeros();
        loop {
            let drawn = self.bits() & mask;
            if drawn <= last {
                return drawn as usize;
            }
        }
    }
}

/// Low end, middle and high end of the mean of each column, from `samples` resamples.
///
/// NaN without examples.
pub fn intervals<const C: usize>(
    examples: &[[f64; C]],
    samples: usize,
    confidence: f64,
    twister: &mut Twister,
) -> [[f64; C]; 3] {
    if examples.is_empty() || samples == 0 {
        return [[f64::NAN; C]; 3];
    }
    let mut means = vec![Vec::with_capacity(samples); C];
    for _ in 0..samples {
        let mut sum = [0.0; C];
        for _ in 0..examples.len() {
            let example = &examples[twister.below(examples.len())];
            for (sum, value) in sum.iter_mut().zip(example) {
                *sum += value;
            }
        }
        for (means, sum) in means.iter_mut().zip(sum) {
            means.push(sum / examples.len() as f64);
        }
    }
    means
        .iter_mut()
        .for_each(|means| means.sort_by(f64::total_cmp));
    let outside = (1.0 - confidence) / 2.0;
    [outside, 0.5, 1.0 - outside].map(|share| {
        let mut ends = [0.0; C];
        for (end, means) in ends.iter_mut().zip(&means) {
            *end = percentile(means, share);
        }
        ends
    })
}

/// Between the two values next to it, in proportion (`numpy.percentile`).
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = place.floor();
    let (low, part) = (sorted[below as usize], place - below);
    let high = sorted[(below as usize + 1).min(sorted.len() - 1)];
    match part < 0.5 {
        true => low + (high - low) * part,
        false => high - (high - low) * (1.0 - part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of `numpy.random.seed(5489); numpy.random.randint(0, 2**32, 3)`, which are
    /// those of the authors' `mt19937ar.c`.
    #[test]
    fn the_twister_is_the_authors() {
        let mut twister = Twister::new(5489);
        let drawn: Vec<u32> = (0..3).map(|_| twister.bits()).collect();
        assert_eq!(drawn, [3_499_211_612, 581_869_302, 3_890_346_734]);
    }
}
