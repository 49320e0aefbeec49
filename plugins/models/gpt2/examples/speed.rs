//! How fast a GPT-2 with random weights writes greedily, and learns.
//!
//! ```text
//! cargo run --release -p tenon-gpt2 --example speed -- [tiny|small|nano] [threads] [write|train|all]
//! ```
//!
//! `tiny` has 4 layers of 192 and 2048 words, `small` the sizes of GPT-2's 124 M, `nano` those of nanoGPT's example for
//! a CPU (4 layers of 128, 65 characters, no dropout). Times are the best of several;
//! with one thread they are of the processor, where the system tells, so that other programs do not count.

use std::time::Instant;

use tenon_gpt2::Gpt2;
use tenon_plugin_api::Result;
use tenon_plugin_api::cache::Cache;
use tenon_plugin_api::host::ModelHandle;
use tenon_plugin_api::model::Forward;
use tenon_plugin_api::tch::{self, Device, Kind, Tensor};
use tenon_plugin_api::tensor::TensorMap;
use tenon_testkit::model::{Weights, model};

const PROMPT: i64 = 16;
const NEW: i64 = 64;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |at: usize, default: &str| arguments.get(at).cloned().unwrap_or(default.into());
    let size = argument(0, "tiny");
    tch::set_num_threads(argument(1, "2").parse().unwrap_or(2));
    let what = argument(2, "all");
    let (options, vocab, batch) = match size.as_str() {
        "small" => (serde_json::json!({}), 50257, [2, 256]),
        "nano" => (
            serde_json::json!({
                "vocab_size": 65, "n_positions": 128, "n_embd": 128, "n_layer": 4, "n_head": 4,
                "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
            }),
            65,
            [12, 64],
        ),
        _ => (
            serde_json::json!({
                "vocab_size": 2048, "n_positions": 256, "n_embd": 192, "n_layer": 4, "n_head": 6,
            }),
            2048,
            [16, 128],
        ),
    };
    let weights = Weights::seeded(1).head("causal-lm", 0);
    let gpt2 = model::<Gpt2>(options, &weights);
    if what != "train" {
        for rows in [1, 4, 16] {
            let mut best = f64::INFINITY;
            for _ in 0..if size == "small" { 5 } else { 9 } {
                best = best.min(tch::no_grad(|| write(&gpt2, rows, vocab))?);
            }
            let tokens = (rows * NEW) as f64;
            println!("writing {rows:>2} rows: {:>8.1} tokens/s", tokens / best);
        }
    }
    if what != "write" {
        train(&gpt2, &weights, vocab, batch)?;
    }
    Ok(())
}

fn write(gpt2: &ModelHandle, rows: i64, vocab: i64) -> Result<f64> {
    let ids = Tensor::randint(vocab, [rows, PROMPT], (Kind::Int64, Device::Cpu));
    let forward = Forward::new(false, 0);
    let clock = Clock::start();
    let mut cache = Cache::new(vec![0; rows as usize], rows, PROMPT + NEW)?;
    let inputs = TensorMap::new().with("input_ids", ids);
    let mut outputs = gpt2.prefill(&inputs, &mut cache, &forward)?;
    cache.advance(PROMPT)?;
    for _ in 1..NEW {
        let next = outputs.require("logits")?.argmax(1, false);
        let inputs = TensorMap::new().with("input_ids", next);
        outputs = gpt2.step(&inputs, &mut cache, &forward)?;
        cache.advance(1)?;
    }
    Ok(clock.seconds())
}

fn train(gpt2: &ModelHandle, weights: &Weights, vocab: i64, [batch, time]: [i64; 2]) -> Result<()> {
    let mut best = f64::INFINITY;
    for step in 0..9 {
        let ids = Tensor::randint(vocab, [batch, time], (Kind::Int64, Device::Cpu));
        let inputs = TensorMap::new()
            .with("input_ids", ids.shallow_clone())
            .with("labels", ids.roll([-1], [1]));
        let clock = Clock::start();
        let outputs = gpt2.forward(&inputs, &Forward::new(true, step))?;
        let (sum, count) =
            tenon_nn::cross_entropy(outputs.require("logits")?, &ids.reshape([-1]), 0.0)?;
        (sum / count).f_backward()?;
        best = best.min(clock.seconds());
        for parameter in weights.parameters() {
            let _ = weights.parameter(&parameter.name).grad().zero_();
        }
    }
    println!(
        "training {batch} x {time}: {:>8.1} tokens/s forward and backward",
        (batch * time) as f64 / best
    );
    Ok(())
}

/// Time since a start.
struct Clock {
    wall: Instant,
    processor: Option<f64>,
}

impl Clock {
    fn start() -> Self {
        Self {
            wall: Instant::now(),
            processor: processor(),
        }
    }

    fn seconds(&self) -> f64 {
        match (self.processor, processor()) {
            (Some(before), Some(now)) => now - before,
            _ => self.wall.elapsed().as_secs_f64(),
        }
    }
}

/// Processor time of this thread, if it computes alone.
fn processor() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = stat.split_whitespace().next()?.parse().ok()?;
    (tch::get_num_threads() == 1).then_some(nanoseconds / 1e9)
}
