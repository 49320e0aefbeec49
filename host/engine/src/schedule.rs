//! The learning rate over a run: warm-up, then constant, linear or cosine.
//!
//! The same values as `transformers`' `get_*_schedule_with_warmup`.

use tenon_core::config::options::Schedule;

/// Factor of the learning rate at optimizer step `step` (from 0) of `total`, after `warmup` steps
/// of linear rise.
pub fn factor(schedule: Schedule, step: u64, warmup: u64, total: u64) -> f64 {
    if step < warmup {
        return step as f64 / warmup as f64;
    }
    let rest = total.saturating_sub(warmup).max(1) as f64;
    let progress = ((step - warmup) as f64 / rest).min(1.0);
    match schedule {
        Schedule::Constant => 1.0,
        Schedule::Linear => 1.0 - progress,
        Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of transformers' schedules for 10 steps with 2 of warm-up, at steps 0, 1, 2, 6 and 9.
    #[test]
    fn equals_transformers() {
        let cases = [
            (Schedule::Linear, [0.0, 0.5, 1.0, 0.5, 0.125]),
            (
                Schedule::Cosine,
                [0.0, 0.5, 1.0, 0.5, 0.038_060_233_744_356_62],
            ),
            (Schedule::Constant, [0.0, 0.5, 1.0, 1.0, 1.0]),
        ];
        for (schedule, expected) in cases {
            for (step, expected) in [0, 1, 2, 6, 9].into_iter().zip(expected) {
                let found = factor(schedule, step, 2, 10);
                assert!(
                    (found - expected).abs() < 1e-12,
                    "{schedule:?} at {step}: {found} for {expected}"
                );
            }
        }
    }
}
