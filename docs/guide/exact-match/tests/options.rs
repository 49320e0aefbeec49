//! A metric with options, and errors that say what is wrong.

use serde_json::json;
use tenon_plugin_api::metric::prelude::*;

/// Options of `within`.
#[derive(Options)]
struct WithinOptions {
    /// The largest difference that still counts as equal.
    #[default(0.5)]
    #[range(min = 0.0)]
    tolerance: f64,
    /// What a difference is measured against.
    #[default(Scale::Absolute)]
    scale: Scale,
}

/// What a difference is measured against.
#[derive(Options, Clone, Copy, PartialEq)]
enum Scale {
    /// Nothing: it counts as it is.
    Absolute,
    /// The reference.
    Relative,
}

/// Share of numbers close enough to their references.
struct Within {
    options: WithinOptions,
    hits: u64,
    seen: u64,
}

impl Metric for Within {
    const ID: &'static str = "within";
    const ABOUT: &'static str = "Share of numbers close enough to their references";
    type Options = WithinOptions;
    type Input = Number;

    fn new(options: WithinOptions) -> Result<Self> {
        ensure!(
            options.scale == Scale::Absolute || options.tolerance < 1.0,
            Options,
            "tolerance: expected less than 1 of the reference, found {}",
            options.tolerance
        );
        let (hits, seen) = (0, 0);
        Ok(Self {
            options,
            hits,
            seen,
        })
    }

    fn update(&mut self, batch: Pairs<'_, Number>) -> Result<()> {
        for (found, expected) in batch {
            let size = match self.options.scale {
                Scale::Absolute => 1.0,
                Scale::Relative => expected.abs(),
            };
            if size == 0.0 {
                let error = Error::data("a reference is 0, which nothing is relative to");
                return Err(error.with_help("use scale = \"absolute\""));
            }
            self.hits += u64::from((found - expected).abs() / size <= self.options.tolerance);
            self.seen += 1;
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.hits += other.hits;
        self.seen += other.seen;
    }

    fn compute(&self) -> Scores {
        Scores::one("within", self.hits as f64 / self.seen as f64)
            .higher_is_better()
            .unit("fraction")
    }
}

#[test]
fn options_are_read_and_their_faults_named() {
    let within = tenon_testkit::metric::<Within>(json!({ "tolerance": 0.25, "scale": "relative" }));
    let (found, expected) = (Values::numbers([4.0, 5.5]), Values::numbers([4.0, 4.0]));
    within.check(found, expected, &[("within", 0.5)]);
    for (options, message) in [
        (
            json!({ "tolerance": -1 }),
            "within: tolerance: expected a number ≥ 0, found -1",
        ),
        (
            json!({ "tolerence": 1 }),
            "within: tolerence: unknown key; options: `tolerance` or `scale`",
        ),
        (
            json!({ "tolerance": 2, "scale": "relative" }),
            "within: tolerance: expected less than 1 of the reference, found 2",
        ),
    ] {
        let error = tenon_testkit::metric::refused::<Within>(options);
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn an_error_says_what_to_do() {
    let within = tenon_testkit::metric::<Within>(json!({ "scale": "relative" }));
    let error = within.fails(Values::numbers([1.0]), Values::numbers([0.0]));
    assert_eq!(
        error.to_string(),
        "within: a reference is 0, which nothing is relative to\n  help: use scale = \"absolute\""
    );
}

#[test]
fn it_keeps_what_a_host_relies_on() {
    tenon_testkit::conformance::metric::<Within>();
}
