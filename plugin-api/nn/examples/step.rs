//! How long a training step and an evaluation step of a MiniLM-sized BERT with LoRA take, by structure.
//!
//! ```text
//! cargo run --release -p tenon-nn --example step -- [LENGTHS] [threads] [steps]
//! ```
//!
//! LENGTHS is a file with the token counts of one batch a line; without it, batches of 32 with lengths as in
//! SST-2. Weights are random, six layers of 384, twelve heads; rank 8 on query and value; dropout 0.1.

use std::time::Instant;

use tch::{Device, Kind, Tensor};
use tenon_nn::{Activation, Attention, Dropout, LayerNorm, Linear, Packing, Spans};
use tenon_plugin_api::model::Forward;

const LAYERS: usize = 6;
const HIDDEN: i64 = 384;
const INNER: i64 = 1536;
const HEADS: i64 = 12;
const RANK: i64 = 8;
const DROPOUT: f64 = 0.1;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    lora: [(Tensor, Tensor); 2],
    output: Linear,
    output_norm: LayerNorm,
    up: Linear,
    down: Linear,
    norm: LayerNorm,
}

fn random(shape: &[i64], scale: f64) -> Tensor {
    Tensor::randn(shape, (Kind::Float, Device::Cpu)) * scale
}

fn linear(inputs: i64, outputs: i64) -> Linear {
    Linear {
        weight: random(&[outputs, inputs], 0.02),
        bias: Some(random(&[outputs], 0.02)),
    }
}

fn norm() -> LayerNorm {
    LayerNorm {
        weight: Tensor::ones([HIDDEN], (Kind::Float, Device::Cpu)),
        bias: random(&[HIDDEN], 0.02),
        eps: 1e-12,
    }
}

fn lora() -> (Tensor, Tensor) {
    let (a, b) = (random(&[RANK, HIDDEN], 0.02), random(&[HIDDEN, RANK], 0.02));
    (a.set_requires_grad(true), b.set_requires_grad(true))
}

impl Layer {
    fn new() -> Self {
        Self {
            query: linear(HIDDEN, HIDDEN),
            key: linear(HIDDEN, HIDDEN),
            value: linear(HIDDEN, HIDDEN),
            lora: [lora(), lora()],
            output: linear(HIDDEN, HIDDEN),
            output_norm: norm(),
            up: linear(HIDDEN, INNER),
            down: linear(INNER, HIDDEN),
            norm: norm(),
        }
    }

    /// `x` is `[tokens, hidden]`; with `firsts` only the first token of each sequence is carried on.
    fn forward(
        &self,
        x: &Tensor,
        spans: &Spans,
        firsts: Option<&Tensor>,
        forward: &Forward,
    ) -> Result<Tensor> {
        let lora = |site: usize, x: &Tensor, base: Tensor| -> Result<Tensor> {
            let (a, b) = &self.lora[site];
            let low = x.f_linear(a, None::<&Tensor>)?;
            Ok(base.f_add(&low.f_linear(b, None::<&Tensor>)?.f_mul_scalar(2.0)?)?)
        };
        let ones = Spans::from_lengths(&vec![1; spans.sequences() as usize]);
        let (carried, queries) = match firsts {
            Some(firsts) => (x.f_index_select(0, firsts)?, &ones),
            None => (x.shallow_clone(), spans),
        };
        let q = lora(0, &carried, self.query.forward(&carried)?)?;
        let k = self.key.forward(x)?;
        let v = lora(1, x, self.value.forward(x)?)?;
        let attention = Attention {
            dropout: Dropout::next(forward, DROPOUT),
            ..Attention::new(queries, spans, HEADS, ((HIDDEN / HEADS) as f64).powf(-0.5))
        };
        let context = attention.forward(&q, &k, &v)?;
        let context = self.output.forward(&context)?;
        let x = self
            .output_norm
            .residual(&context, &carried, Dropout::next(forward, DROPOUT))?;
        let inner = Activation::Gelu.forward(&self.up.forward(&x)?)?;
        Ok(self.norm.residual(
            &self.down.forward(&inner)?,
            &x,
            Dropout::next(forward, DROPOUT),
        )?)
    }
}

struct Model {
    words: Tensor,
    places: Tensor,
    norm: LayerNorm,
    layers: Vec<Layer>,
    pooler: Linear,
    classifier: Linear,
}

impl Model {
    fn new() -> Self {
        let trained = |layer: Linear| Linear {
            weight: layer.weight.set_requires_grad(true),
            bias: layer.bias.map(|bias| bias.set_requires_grad(true)),
        };
        Self {
            words: random(&[30522, HIDDEN], 0.02),
            places: random(&[512, HIDDEN], 0.02),
            norm: norm(),
            layers: (0..LAYERS).map(|_| Layer::new()).collect(),
            pooler: linear(HIDDEN, HIDDEN),
            classifier: trained(linear(HIDDEN, 2)),
        }
    }

    fn forward(&self, lengths: &[i64], pooled: bool, forward: &Forward) -> Result<Tensor> {
        let time = lengths.iter().copied().max().unwrap_or(0);
        let mask = Spans::from_lengths(lengths).mask(Device::Cpu)?;
        let ids = Tensor::randint(
            30522,
            [lengths.len() as i64, time],
            (Kind::Int64, Device::Cpu),
        );
        let packing = Packing::from_mask(&mask)?;
        let words = Tensor::f_embedding(&self.words, &packing.pack(&ids)?, -1, false, false)?;
        let places = Tensor::f_embedding(&self.places, &packing.columns()?, -1, false, false)?;
        let mut x =
            Dropout::next(forward, DROPOUT).apply(&self.norm.forward(&(words + places))?)?;
        let firsts = packing.spans().firsts(Device::Cpu)?;
        for (number, layer) in self.layers.iter().enumerate() {
            let last = pooled && number + 1 == LAYERS;
            x = layer.forward(&x, packing.spans(), last.then_some(&firsts), forward)?;
        }
        let x = if pooled {
            x
        } else {
            x.f_index_select(0, &firsts)?
        };
        let x = self.pooler.forward(&x)?.f_tanh()?;
        Ok(self
            .classifier
            .forward(&Dropout::next(forward, DROPOUT).apply(&x)?)?)
    }

    fn trained(&self) -> Vec<&Tensor> {
        let lora = self
            .layers
            .iter()
            .flat_map(|layer| layer.lora.iter().flat_map(|(a, b)| [a, b]));
        lora.chain([&self.classifier.weight])
            .chain(&self.classifier.bias)
            .collect()
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let batches = match arguments.first() {
        Some(path) => std::fs::read_to_string(path)?
            .lines()
            .map(|line| line.split_whitespace().map(str::parse).collect())
            .collect::<std::result::Result<Vec<Vec<i64>>, _>>()?,
        None => (0..20)
            .map(|batch| (0..32).map(|row| 8 + batch * 2 + row / 8).collect())
            .collect(),
    };
    let number =
        |at: usize, default: i64| arguments.get(at).map_or(Ok(default), |text| text.parse());
    tch::set_num_threads(number(1, 2)? as i32);
    let steps = number(2, 40)? as usize;
    let batches = &batches[2..steps.min(batches.len() - 2) + 2];
    let examples: usize = batches.iter().map(Vec::len).sum();
    let model = Model::new();

    for pooled in [false, true] {
        let report = |what: &str, began: Instant, cpu: f64| {
            let seconds = began.elapsed().as_secs_f64();
            println!(
                "{what:<28} pooled-only last layer: {pooled:<5}  {:>7.1} examples/s wall, {:>7.1} examples/s of CPU time",
                examples as f64 / seconds,
                examples as f64 / (cpu_seconds() - cpu)
            );
        };
        let train = || -> Result<()> {
            for (step, lengths) in batches.iter().enumerate() {
                let logits = model.forward(lengths, pooled, &Forward::new(true, step as u64))?;
                let labels = Tensor::zeros([lengths.len() as i64], (Kind::Int64, Device::Cpu));
                let loss = logits.f_cross_entropy_loss(
                    &labels,
                    None::<&Tensor>,
                    tch::Reduction::Mean,
                    -100,
                    0.0,
                )?;
                loss.f_backward()?;
                for parameter in model.trained() {
                    let _ = parameter.grad().f_zero_()?;
                }
            }
            Ok(())
        };
        train()?;
        let (began, cpu) = (Instant::now(), cpu_seconds());
        train()?;
        report("training step", began, cpu);

        let (began, cpu) = (Instant::now(), cpu_seconds());
        tch::no_grad(|| {
            batches.iter().try_for_each(|lengths| {
                model
                    .forward(lengths, pooled, &Forward::new(false, 0))
                    .map(drop)
            })
        })?;
        report("evaluation step", began, cpu);
    }

    let (rows, width) = (800, HIDDEN);
    let x = random(&[rows, width], 1.0);
    let time = |what: &str, f: &dyn Fn() -> Result<Tensor>| -> Result<()> {
        let _ = f()?;
        let began = Instant::now();
        for _ in 0..200 {
            drop(f()?);
        }
        println!(
            "{what:<28} {:>8.1} µs",
            began.elapsed().as_secs_f64() * 1e6 / 200.0
        );
        Ok(())
    };
    println!("dropout of [{rows}, {width}]:");
    time("  mask", &|| {
        Ok(Dropout::new(DROPOUT, 1).mask(&[rows, width], Kind::Float)?)
    })?;
    time("  mask and multiply", &|| {
        Ok(Dropout::new(DROPOUT, 1).apply(&x)?)
    })?;
    time("  bernoulli_", &|| {
        Ok(x.empty_like().f_bernoulli_float_(1.0 - DROPOUT)?)
    })?;
    time("  libtorch's dropout", &|| Ok(x.f_dropout(DROPOUT, true)?))?;
    Ok(())
}

/// Processor time of the process, all threads, in seconds.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or("");
    let ticks: f64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|t| t.parse::<f64>().ok())
        .sum();
    ticks / 100.0
}
