//! How long products of few rows take, here and in libtorch, against what reading the weights takes.
//!
//! ```text
//! cargo run --release -p tenon-nn --example products -- [threads]
//! ```
//!
//! Weights are as many copies as no cache holds, taken in turns, so that each is read from memory. Times are the best
//! of several; with one thread they are of the processor, where the system tells, so that other programs do not count.

use std::time::Instant;

use tch::{Device, Kind, Tensor};
use tenon_nn::{Conv1d, Linear};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Bytes that no cache holds.
const MEMORY: i64 = 400 << 20;

fn main() -> Result<()> {
    let threads = std::env::args().nth(1).map_or(Ok(2), |text| text.parse())?;
    tch::set_num_threads(threads);
    tch::no_grad(measure)
}

fn measure() -> Result<()> {
    let large = Tensor::ones([MEMORY / 4], (Kind::Float, Device::Cpu));
    let seconds = best(9, || {
        let _ = large.f_sum(Kind::Float)?;
        Ok(())
    })?;
    println!("reading memory: {:.1} GB/s", MEMORY as f64 / seconds / 1e9);
    for (depth, width) in [
        (192, 50257),
        (512, 32000),
        (512, 2048),
        (2048, 512),
        (512, 512),
        (768, 50257),
        (768, 3072),
        (3072, 768),
        (768, 2304),
        (192, 768),
        (192, 2048),
    ] {
        let copies = (MEMORY / (4 * depth * width)).clamp(2, 200);
        let weights: Vec<Tensor> = (0..copies)
            .map(|_| Tensor::randn([width, depth], (Kind::Float, Device::Cpu)))
            .collect();
        let turned: Vec<Tensor> = weights.iter().map(|w| w.tr().contiguous()).collect();
        let bias = Tensor::randn([width], (Kind::Float, Device::Cpu));
        for rows in [1, 4, 16, 32, 64] {
            let x = Tensor::randn([rows, depth], (Kind::Float, Device::Cpu));
            let (linears, convs) = layers(&weights, &turned, &bias);
            let time = |f: &dyn Fn(usize) -> Result<Tensor>| -> Result<f64> {
                let mut next = 0;
                let mut all = || -> Result<()> {
                    for _ in 0..copies.max(8) {
                        drop(f(next % copies as usize)?);
                        next += 1;
                    }
                    Ok(())
                };
                Ok(best(9, &mut all)? / copies.max(8) as f64)
            };
            let times = [
                time(&|n| Ok(x.f_linear(&weights[n], Some(&bias))?))?,
                time(&|n| Ok(linears[n].forward(&x)?))?,
                time(&|n| Ok(x.f_linear(&turned[n].tr(), Some(&bias))?))?,
                time(&|n| Ok(convs[n].forward(&x)?))?,
            ];
            let rates = times.map(|time| 4e-9 * (depth * width) as f64 / time);
            println!(
                "{depth:>4} x {width:<5} rows {rows:>2}: [out, in] libtorch {:>8.1} µs, here {:>8.1} µs ({:>4.1}, {:>4.1} GB/s); [in, out] libtorch {:>8.1} µs, here {:>8.1} µs ({:>4.1}, {:>4.1} GB/s)",
                times[0] * 1e6,
                times[1] * 1e6,
                rates[0],
                rates[1],
                times[2] * 1e6,
                times[3] * 1e6,
                rates[2],
                rates[3],
            );
        }
    }
    Ok(())
}

fn layers(weights: &[Tensor], turned: &[Tensor], bias: &Tensor) -> (Vec<Linear>, Vec<Conv1d>) {
    let linear = |weight: &Tensor| Linear {
        weight: weight.shallow_clone(),
        bias: Some(bias.shallow_clone()),
    };
    let conv = |weight: &Tensor| Conv1d {
        weight: weight.shallow_clone(),
        bias: bias.shallow_clone(),
    };
    (
        weights.iter().map(linear).collect(),
        turned.iter().map(conv).collect(),
    )
}

fn best(times: usize, mut f: impl FnMut() -> Result<()>) -> Result<f64> {
    let mut seconds = Vec::new();
    f()?;
    for _ in 0..times {
        let (began, cpu) = (Instant::now(), cpu_seconds());
        f()?;
        let one_thread = tch::get_num_threads() == 1;
        seconds.push(match (cpu, cpu_seconds()) {
            (Some(before), Some(after)) if one_thread => after - before,
            _ => began.elapsed().as_secs_f64(),
        });
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds[0])
}

/// Processor time of this thread.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds: f64 = stat.split_whitespace().next()?.parse().ok()?;
    Some(nanoseconds / 1e9)
}
