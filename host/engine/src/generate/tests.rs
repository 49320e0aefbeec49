//! Decoding with a model whose scores depend on every token before, read through the cache.

use tch::{Device, IndexOp, Kind, Tensor};
use tenon_plugin_api::host::{BuildHost, ModelHandle, ProcessorHandle, SiteHost};
use tenon_plugin_api::info::{BuildInfo, SiteInfo};
use tenon_plugin_api::model::prelude::*;
use tenon_plugin_api::processor::{Decoding, Sequence};
use tenon_plugin_api::services::mix;

use super::chain::Chain;
use super::decoder::Prompt;
use super::scores::{draw, uniform};
use super::stop::Stops;
use super::strategy::Early;
use super::{End, Engine, Strategy, Written, generate, processors};

const VOCAB: usize = 11;
const EOS: u32 = 1;

/// A model without weights: the scores of the next token are drawn from a hash of all tokens before it.
struct Hashing;

impl Model for Hashing {
    const ID: &'static str = "hashing";
    const MODEL_TYPES: &'static [&'static str] = &[];
    const OFFERS: &'static [&'static str] = &["causal-lm"];
    const INPUTS: &'static [&'static str] = &["input_ids"];
    type Options = ();

    fn build((): (), _: &Build) -> Result<Self> {
        Ok(Self)
    }

    fn describe(&self) -> ModelInfo {
        ModelInfo::default()
    }

    fn forward(&self, _: &TensorMap, _: &Forward) -> Result<TensorMap> {
        bail!(Unsupported, "it only writes")
    }

    fn prefill(&self, inputs: &TensorMap, cache: &mut Cache, _: &Forward) -> Result<TensorMap> {
        let ids = inputs.require("input_ids")?;
        let shape = [cache.slots(), cache.capacity()];
        let timed = cache.entry("tokens", Entry::Timed, || {
            Tensor::f_full(shape, -1, (Kind::Int64, Device::Cpu))
        })?;
        let (rows, time) = (cache.rows(), ids.size()[1]);
        timed.i((..rows, ..time)).f_copy_(ids)?;
        outputs(cache, &timed, time)
    }

    fn step(&self, inputs: &TensorMap, cache: &mut Cache, _: &Forward) -> Result<TensorMap> {
        let timed = cache.get("tokens").context("tokens")?.shallow_clone();
        let at = cache.length();
        timed
            .i((..cache.rows(), at))
            .f_copy_(inputs.require("input_ids")?)?;
        outputs(cache, &timed, at + 1)
    }
}

fn outputs(cache: &Cache, timed: &Tensor, length: i64) -> Result<TensorMap> {
    let (mut logits, mut hidden) = (Vec::new(), Vec::new());
    for (row, start) in cache.starts().iter().enumerate() {
        let read = |time: i64| {
            let slot = cache.table().map_or(row as i64, |table| {
                // What is written in this call lies in the row's own slot.
                match time < cache.length() {
                    true => table.int64_value(&[row as i64, time]),
                    false => row as i64,
                }
            });
            timed.int64_value(&[slot, time]) as u32
        };
        let tokens: Vec<u32> = (*start..length).map(read).collect();
        logits.extend(scores(&tokens));
        // A state for each time, as a prefill puts out, or for the last one.
        let first = if cache.length() == 0 { 0 } else { length - 1 };
        for time in first..length {
            let token = (time >= *start).then(|| u64::from(read(time)));
            let state = |part: u64| token.map_or(0.0, |token| (mix(token + part) % 7) as f32 - 3.0);
            hidden.extend((0..4).map(state));
        }
    }
    let rows = cache.rows();
    let states = Tensor::from_slice(&hidden);
    Ok(TensorMap::new()
        .with(
            "logits",
            Tensor::from_slice(&logits).f_view([rows, VOCAB as i64])?,
        )
        .with(
            "hidden",
            match cache.length() {
                0 => states.f_view([rows, length, 4])?,
                _ => states.f_view([rows, 4])?,
            },
        ))
}

/// The scores after these tokens.
fn scores(tokens: &[u32]) -> Vec<f32> {
    let hash = tokens
        .iter()
        .fold(7, |hash, token| mix(hash ^ u64::from(*token)));
    let score = |token: u64| (mix(hash ^ (token << 32)) % 1000) as f32 / 200.0;
    (0..VOCAB as u64).map(score).collect()
}

struct NoWeights;

impl BuildHost for NoWeights {
    fn param(&mut self, name: &str, _: &[i64], _: Init, _: bool) -> Result<Tensor> {
        bail!(Weights, "no parameter {name}")
    }

    fn site(&mut self, site: SiteInfo, _: TensorMap) -> Result<Box<dyn SiteHost>> {
        bail!(Weights, "no site {}", site.name)
    }

    fn info(&self) -> BuildInfo {
        BuildInfo::default()
    }
}

fn strategy() -> Strategy {
    Strategy {
        max_new_tokens: 12,
        beams: 1,
        groups: 1,
        length_penalty: 1.0,
        early: Early::Unlikely,
        returns: 1,
        sample: false,
        top_k: 4,
        alpha: None,
        eos: vec![EOS],
        stop: Vec::new(),
        prefix: Vec::new(),
        keep_special_tokens: false,
        batch_size: 16,
        log_probs: false,
        seed: 17,
        processors: Vec::new(),
    }
}

fn prompts() -> Vec<Prompt> {
    let tokens = [&[2, 3, 4][..], &[5], &[6, 7, 8, 9, 10, 2, 3], &[4, 4], &[9]];
    let prompt = |(number, tokens): (usize, &&[u32])| Prompt {
        number,
        tokens: tokens.to_vec(),
        source: Vec::new(),
    };
    tokens.iter().enumerate().map(prompt).collect()
}

fn run(strategy: &Strategy, prompts: &[Prompt]) -> Vec<Vec<Written>> {
    let model = ModelHandle::of::<Hashing>("{}", NoWeights).expect("a model");
    let engine = Engine {
        model: &model,
        device: Device::Cpu,
        context: 0,
        strategy,
        chain: &Chain::default(),
        stop: &Stops::none(),
    };
    generate(&engine, prompts, None).expect("texts")
}

/// Greedy decoding without a cache.
fn greedy(prompt: &[u32], most: usize) -> (Vec<u32>, End) {
    let mut tokens = prompt.to_vec();
    loop {
        let next = super::scores::argmax(&scores(&tokens)) as u32;
        if next == EOS {
            return (tokens[prompt.len()..].to_vec(), End::Eos);
        }
        tokens.push(next);
        if tokens.len() - prompt.len() == most {
            return (tokens[prompt.len()..].to_vec(), End::Length);
        }
    }
}

#[test]
fn ragged_prompts_that_end_at_different_times_are_written_as_each_alone() {
    let strategy = strategy();
    let together = run(&strategy, &prompts());
    let mut ends = Vec::new();
    for (texts, prompt) in together.iter().zip(prompts()) {
        let (tokens, end) = greedy(&prompt.tokens, strategy.max_new_tokens);
        assert_eq!((&texts[0].tokens, texts[0].end), (&tokens, end));
        ends.push(end);
    }
    assert!(
        ends.contains(&End::Eos) && ends.contains(&End::Length),
        "{ends:?}"
    );
}

#[test]
fn nothing_depends_on_how_prompts_are_batched() {
    let plain = strategy();
    let sampled = Strategy {
        sample: true,
        returns: 3,
        ..strategy()
    };
    let beams = Strategy {
        beams: 4,
        returns: 2,
        ..strategy()
    };
    let groups = Strategy {
        beams: 4,
        groups: 2,
        ..strategy()
    };
    let contrastive = Strategy {
        alpha: Some(0.6),
        ..strategy()
    };
    for strategy in [plain, sampled, beams, groups, contrastive] {
        let together = run(&strategy, &prompts());
        let alone: Vec<_> = prompts()
            .into_iter()
            .flat_map(|prompt| run(&strategy, &[prompt]))
            .collect();
        assert_eq!(together, alone, "{strategy:?}");
        let returns = |texts: &Vec<Written>| texts.len() == strategy.returns;
        assert!(together.iter().all(returns), "{together:?}");
    }
}

#[test]
fn a_beam_is_scored_by_the_probability_of_its_own_tokens() {
    let strategy = Strategy {
        beams: 5,
        returns: 5,
        length_penalty: 0.0,
        early: Early::Never,
        ..strategy()
    };
    for (texts, prompt) in run(&strategy, &prompts()).iter().zip(prompts()) {
        let mut last = f32::INFINITY;
        for text in texts {
            let mut tokens = prompt.tokens.clone();
            let mut sum = 0.0;
            let end = (text.end == End::Eos).then_some(&EOS);
            for token in text.tokens.iter().chain(end) {
                sum += super::scores::log_prob(&scores(&tokens), *token as usize);
                tokens.push(*token);
            }
            let score = text.score.expect("a score");
            assert!((score - sum).abs() < 1e-4, "{score} {sum}");
            assert!(score <= last, "the best first");
            last = score;
        }
        // A beam is never worse than what greedy decoding finds, with so many beams of so few tokens.
        let (tokens, end) = greedy(&prompt.tokens, strategy.max_new_tokens);
        let mut at = prompt.tokens.clone();
        let mut sum = 0.0;
        for token in tokens.iter().chain((end == End::Eos).then_some(&EOS)) {
            sum += super::scores::log_prob(&scores(&at), *token as usize);
            at.push(*token);
        }
        assert!(texts[0].score.expect("a score") >= sum - 1e-4);
    }
}

#[test]
fn log_probabilities_are_those_of_the_model_and_tokens_are_told_at_once() {
    let model = ModelHandle::of::<Hashing>("{}", NoWeights).expect("a model");
    let strategy = Strategy {
        log_probs: true,
        ..strategy()
    };
    let engine = Engine {
        model: &model,
        device: Device::Cpu,
        context: 0,
        strategy: &strategy,
        chain: &Chain::default(),
        stop: &Stops::none(),
    };
    let mut told = vec![Vec::new(); prompts().len()];
    let mut on_token = |prompt: usize, token: u32| {
        told[prompt].push(token);
        Ok(())
    };
    let written = generate(&engine, &prompts(), Some(&mut on_token)).expect("texts");
    for ((texts, prompt), told) in written.iter().zip(prompts()).zip(told) {
        assert_eq!(texts[0].tokens, told);
        let end = usize::from(texts[0].end == End::Eos);
        assert_eq!(texts[0].log_probs.len(), told.len() + end);
        let first = super::scores::log_prob(
            &scores(&prompt.tokens),
            told.first().copied().unwrap_or(EOS) as usize,
        );
        assert_eq!(texts[0].log_probs[0], first);
    }
}

#[test]
fn a_prompt_that_is_empty_or_fills_the_context_is_refused() {
    let model = ModelHandle::of::<Hashing>("{}", NoWeights).expect("a model");
    let engine = |context| Engine {
        model: &model,
        device: Device::Cpu,
        context,
        strategy: Box::leak(Box::new(strategy())),
        chain: Box::leak(Box::default()),
        stop: Box::leak(Box::new(Stops::none())),
    };
    let error = generate(&engine(7), &prompts(), None).expect_err("too long");
    assert_eq!(
        error.to_string(),
        "prompt 3 has 7 tokens, and the model takes 7 with what it writes: shorten it, or let the task cut it"
    );
    // One token of room is one token written.
    let written = generate(&engine(8), &prompts(), None).expect("texts");
    assert!(written[2][0].tokens.len() <= 1);
    let empty = [Prompt::default()];
    let error = generate(&engine(8), &empty, None).expect_err("empty");
    assert!(
        error.to_string().starts_with("prompt 1 is empty"),
        "{error}"
    );
}

#[test]
fn draws_follow_the_probabilities_that_processors_leave() {
    let chains: [&[(&str, &str)]; 6] = [
        &[],
        &[("temperature", r#"{"temperature": 0.7}"#)],
        &[("top-k", r#"{"k": 4}"#)],
        &[("top-p", r#"{"p": 0.8}"#)],
        &[
            ("min-p", r#"{"p": 0.2}"#),
            ("temperature", r#"{"temperature": 1.5}"#),
        ],
        &[("typical-p", r#"{"p": 0.6}"#)],
    ];
    for names in chains {
        let mut chain = Chain::default();
        for (name, options) in names {
            let processor: ProcessorHandle = processors::create(name, options).expect("it");
            chain
                .push(name, processor, &Decoding::default())
                .expect("it begins");
        }
        let raw = scores(&[2, 3]);
        let mut left = raw.clone();
        let sequence = Sequence {
            tokens: &[2, 3],
            prompt: 2,
            source: &[],
            siblings: &[],
        };
        chain.apply(sequence, &mut left).expect("scores");
        let total: f64 = left.iter().map(|score| f64::from(*score).exp()).sum();
        let mut counts = [0_u32; VOCAB];
        const DRAWS: u64 = 100_000;
        for number in 0..DRAWS {
            counts[draw(&left, uniform(3, [number, 0, 0]))] += 1;
        }
        let (mut chi, mut free) = (0.0, -1.0_f64);
        for (count, score) in counts.iter().zip(&left) {
            let expected = f64::from(*score).exp() / total * DRAWS as f64;
            if expected == 0.0 {
                assert_eq!(*count, 0);
                continue;
            }
            chi += (f64::from(*count) - expected).powi(2) / expected;
            free += 1.0;
        }
        // Wilson and Hilferty's approximation of the 99.9 % quantile.
        let limit = free.max(1.0)
            * (1.0 - 2.0 / (9.0 * free.max(1.0)) + 3.09 * (2.0 / (9.0 * free.max(1.0))).sqrt())
                .powi(3);
        assert!(
            chi <= limit,
            "{:?}: chi-squared {chi} over {limit}, {free} degrees",
            chain.names()
        );
    }
}
