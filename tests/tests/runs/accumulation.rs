//! A window of small batches is one large batch: in loss, gradient and weights, also where the
//! last window of an epoch is short and where examples weigh differently.

use std::collections::BTreeMap;

use super::desk::Desk;
use super::files::{lines, tensors};

/// Equal but for the order in which floats are summed.
const TOLERANCE: f64 = 1e-6;

/// A run that was trained.
struct Trained {
    /// Loss and gradient norm of each step.
    steps: Vec<[f64; 2]>,
    /// The weights that it ends with, by name.
    weights: BTreeMap<String, Vec<f32>>,
}

fn train(desk: &Desk, name: &str, changes: &[(&str, &str)]) -> Trained {
    let fixed = [
        // 53 examples: windows of 32 and 21, that of 8, 8 and 5.
        ("data.train", "{ path = \"train.jsonl\", limit = 53 }"),
        ("data.validation", ""),
        (
            "peft",
            "{ use = \"lora\", r = 4, target_sites = [\"query\", \"value\"] }",
        ),
        ("model.hidden_dropout_prob", "0.0"),
        ("model.attention_probs_dropout_prob", "0.0"),
        ("train.bucket", "0"),
        ("train.log_every", "1"),
        ("train.eval_every", ""),
        ("train.save_every", ""),
        ("train.select_best", ""),
    ];
    let file = desk.run_file(name, &[&fixed[..], changes].concat());
    desk.succeed(&["train", &file]);
    let run = desk.run(name);
    let number = |line: &serde_json::Value, key: &str| line[key].as_f64().expect("a number");
    let log = lines(&run.join("metrics.jsonl"));
    let steps = log
        .iter()
        .map(|line| [number(line, "loss"), number(line, "grad_norm")]);
    Trained {
        steps: steps.collect(),
        weights: tensors(&run.join("adapter/adapter_model.safetensors")),
    }
}

fn largest_difference(one: &[f32], other: &[f32]) -> f64 {
    assert_eq!(one.len(), other.len());
    let pairs = one.iter().zip(other);
    pairs
        .map(|(one, other)| f64::from((one - other).abs()))
        .fold(0.0, f64::max)
}

fn check(name: &str, more: &[(&str, &str)]) {
    let desk = Desk::new();
    let with = |batch, window| {
        let sizes = [
            ("train.batch_size", batch),
            ("train.gradient_accumulation_steps", window),
        ];
        let name = format!("{name}-{batch}-{window}");
        train(&desk, &name, &[&sizes[..], more].concat())
    };
    let large = with("32", "1");
    assert_eq!(large.steps.len(), 6, "two steps in each of three epochs");
    for (batch, window) in [("8", "4"), ("16", "2"), ("1", "32")] {
        let Trained { steps, weights } = with(batch, window);
        assert_eq!(steps.len(), large.steps.len());
        for (step, (found, expected)) in steps.iter().zip(&large.steps).enumerate() {
            let close =
                |at: usize| (found[at] - expected[at]).abs() <= TOLERANCE * expected[at].max(1.0);
            assert!(
                close(0) && close(1),
                "{batch}×{window}, step {step}: {found:?} for {expected:?}"
            );
        }
        for ((name, found), (expected_name, expected)) in weights.iter().zip(&large.weights) {
            assert_eq!(name, expected_name);
            let difference = largest_difference(found, expected);
            assert!(
                difference <= TOLERANCE,
                "{batch}×{window}, {name}: off by {difference:e}"
            );
        }
    }
    // What it would be if each batch counted alike is far from it.
    let first = with("8", "1").steps[0][0];
    assert!((first - large.steps[0][0]).abs() > 1e-3, "{first}");
}

#[test]
fn where_each_example_counts_alike() {
    check("alike", &[]);
}

#[test]
fn where_examples_have_weights() {
    check("weighted", &[("task.class_weights", "{ negative = 5.0 }")]);
}
