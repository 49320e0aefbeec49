//! Arithmetic on the scores of one row: in float32 and in the order of `transformers`, so that ties fall alike.

use tenon_plugin_api::services::mix;

/// Scores that are looked at together.
const STRETCH: usize = 512;

/// The index of the largest score, the first of equal ones.
pub fn argmax(scores: &[f32]) -> usize {
    let mut best = (f32::NEG_INFINITY, 0);
    for (at, stretch) in scores.chunks(STRETCH).enumerate() {
        let largest = max(stretch);
        if largest > best.0 {
            best = (largest, at * STRETCH);
        }
    }
    let (largest, from) = best;
    let found = scores[from..].iter().position(|score| *score == largest);
    from + found.unwrap_or(0)
}

/// The largest score.
pub fn max(scores: &[f32]) -> f32 {
    // In lanes, which the compiler turns into vector instructions.
    let mut lanes = [f32::NEG_INFINITY; 16];
    let mut chunks = scores.chunks_exact(16);
    for chunk in &mut chunks {
        for (lane, score) in lanes.iter_mut().zip(chunk) {
            *lane = if *score > *lane { *score } else { *lane };
        }
    }
    let rest = chunks.remainder().iter().chain(&lanes);
    rest.fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a })
}

/// `log Σ exp(scores - max)`, with the maximum.
pub fn log_sum(scores: &[f32]) -> (f32, f32) {
    let largest = max(scores);
    let mut sum = 0.0_f64;
    for chunk in scores.chunks(1024) {
        sum += f64::from(
            chunk
                .iter()
                .map(|score| (score - largest).exp())
                .sum::<f32>(),
        );
    }
    (largest, (sum as f32).ln())
}

/// Turns scores into log-probabilities.
pub fn log_softmax(scores: &mut [f32]) {
    let (largest, log_sum) = log_sum(scores);
    for score in scores {
        *score = (*score - largest) - log_sum;
    }
}

/// The log-probability of one token.
pub fn log_prob(scores: &[f32], token: usize) -> f32 {
    let (largest, log_sum) = log_sum(scores);
    (scores[token] - largest) - log_sum
}

/// A number in `[0, 1)`, the same for the same seed, text and position.
pub fn uniform(seed: u64, place: [u64; 3]) -> f64 {
    let hash = place.iter().fold(mix(seed), |hash, part| mix(hash ^ part));
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

/// Draws a token by the probabilities that the scores stand for: the first at which the summed probability
/// exceeds `uniform`.
pub fn draw(scores: &[f32], uniform: f64) -> usize {
    let largest = max(scores);
    let weight = |score: &f32| f64::from((score - largest).exp());
    let stretches = scores.chunks(STRETCH);
    let sums: Vec<f64> = stretches
        .map(|part| part.iter().map(weight).sum())
        .collect();
    let mut left = uniform * sums.iter().sum::<f64>();
    for (at, (part, sum)) in scores.chunks(STRETCH).zip(sums).enumerate() {
        if left >= sum {
            left -= sum;
            continue;
        }
        for (token, score) in part.iter().enumerate() {
            let weight = weight(score);
            if left < weight {
                return at * STRETCH + token;
            }
            left -= weight;
        }
    }
    // Rounding may leave a little at the end.
    let drawn = scores.iter().rposition(|score| weight(score) > 0.0);
    drawn.unwrap_or(0)
}

/// The largest of many scores with what they belong to, in falling order; of equal ones those that came first.
pub struct Best<T> {
    most: usize,
    found: Vec<(f32, T)>,
}

impl<T: Copy> Best<T> {
    /// The best `most`.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            found: Vec::with_capacity(most + 1),
        }
    }

    /// What a score must exceed to be among them.
    pub fn threshold(&self) -> f32 {
        match self.found.len() < self.most {
            true => f32::NEG_INFINITY,
            false => self.found[self.most - 1].0,
        }
    }

    /// Takes a score in.
    pub fn add(&mut self, score: f32, what: T) {
        let full = self.found.len() == self.most;
        if self.most == 0 || (full && score <= self.threshold()) || score.is_nan() {
            return;
        }
        let at = self.found.partition_point(|(found, _)| *found >= score);
        self.found.insert(at, (score, what));
        self.found.truncate(self.most);
    }

    /// The best, in falling order.
    pub fn into_vec(self) -> Vec<(f32, T)> {
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_comes_first_and_ties_in_order() {
        let scores: Vec<f32> = (0..100).map(|i| ((i * 37) % 50) as f32).collect();
        assert_eq!(max(&scores), 49.0);
        assert_eq!(argmax(&scores), 27);
        let mut best = Best::new(3);
        for (token, score) in scores.iter().enumerate() {
            best.add(*score, token);
        }
        assert_eq!(best.into_vec(), [(49.0, 27), (49.0, 77), (48.0, 4)]);
        let many: Vec<f32> = (0..5 * STRETCH + 3).map(|i| (i % 1300) as f32).collect();
        assert_eq!(argmax(&many), 1299);
    }

    #[test]
    fn a_number_draws_the_token_at_which_the_sum_exceeds_it() {
        let scores: Vec<f32> = (0..3 * STRETCH + 7)
            .map(|token| match token % 3 {
                0 => f32::NEG_INFINITY,
                _ => (token % 11) as f32 / 4.0,
            })
            .collect();
        let mut weights = scores.clone();
        log_softmax(&mut weights);
        let mut sum = 0.0_f64;
        for (token, weight) in weights.iter().enumerate() {
            let weight = f64::from(weight.exp());
            if weight > 0.0 {
                assert_eq!(draw(&scores, sum + weight / 2.0), token);
            }
            sum += weight;
        }
        assert_eq!(
            draw(&scores, 1.0),
            scores.len() - 2,
            "the last one ends nowhere"
        );
    }

    #[test]
    fn probabilities_sum_to_one_and_draws_follow_them() {
        let scores = [0.5_f32, 2.0, f32::NEG_INFINITY, -1.0];
        let mut log_probs = scores;
        log_softmax(&mut log_probs);
        let sum: f32 = log_probs.iter().map(|x| x.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-6);
        assert_eq!(log_probs[1], log_prob(&scores, 1));
        let mut counts = [0_usize; 4];
        for place in 0..100_000 {
            counts[draw(&scores, uniform(7, [place, 0, 0]))] += 1;
        }
        let chi: f64 = [0, 1, 3]
            .iter()
            .map(|&token| {
                let expected = f64::from(log_probs[token].exp()) * 1e5;
                (counts[token] as f64 - expected).powi(2) / expected
            })
            .sum();
        assert_eq!(counts[2], 0);
        assert!(
            chi < 13.8,
            "chi-squared {chi} with 2 degrees of freedom, p < 0.001"
        );
    }
}
