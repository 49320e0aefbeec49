//! Contrastive search (Su et al. 2022, equation 5): among the `k` most probable tokens the one that maximises
//! `(1 - α)·p(v) - α·max_j cos(h_v, h_j)`, where `h` are the states that the logits come of: probable, and unlike
//! what stands already.

use anyhow::{Context, Result};
use tch::{Kind, Tensor};
use tenon_plugin_api::processor::Sequence;

use super::decoder::{Decoder, Prompt, Target};
use super::scores::{Best, log_softmax};
use super::single::ended;
use super::{End, Engine, OnToken, Written};
use crate::evaluate::Stopped;
use crate::services;

/// A text that is being written.
struct Row {
    prompt: usize,
    tokens: Vec<u32>,
    /// States of its tokens, each of length 1: `[tokens, hidden]`.
    states: Tensor,
}

/// Writes one text for each prompt.
pub fn run(
    engine: &Engine<'_>,
    target: &Target<'_>,
    prompts: &[Prompt],
    limits: &[usize],
    alpha: f32,
    mut on_token: Option<OnToken<'_>>,
) -> Result<Vec<Vec<Written>>> {
    let width = engine.strategy.top_k.max(1);
    let most = limits.iter().copied().max().unwrap_or(0);
    // A token more: the last one's candidates are looked at as well.
    let mut decoder = Decoder::start(target, prompts, width, most + 1, true)?;
    let hidden = states(&decoder)?;
    let longest = hidden.size()[1];
    let row = |(index, prompt): (usize, &Prompt)| -> Result<Row> {
        let length = prompt.tokens.len() as i64;
        let own = hidden.f_get(index as i64)?;
        Ok(Row {
            prompt: index,
            tokens: prompt.tokens.clone(),
            states: unit(&own.f_narrow(0, longest - length, length)?)?,
        })
    };
    let mut rows = prompts
        .iter()
        .enumerate()
        .map(row)
        .collect::<Result<Vec<_>>>()?;
    let mut done: Vec<Option<Written>> = vec![None; prompts.len()];
    while !rows.is_empty() {
        if services::interrupted() {
            return Err(Stopped.into());
        }
        let mut candidates = Vec::with_capacity(rows.len());
        for (at, row) in rows.iter().enumerate() {
            let scores = decoder.logits.row(at).to_vec();
            candidates.push(probable(engine, row, &prompts[row.prompt], scores, width)?);
        }
        let count = candidates.iter().map(Vec::len).max().unwrap_or(0);
        let expanded: Vec<usize> = (0..rows.len()).flat_map(|row| vec![row; count]).collect();
        let tokens = candidates.iter().flat_map(|found| {
            // A row with fewer candidates than others repeats its best one.
            (0..count).map(|at| {
                found
                    .get(at)
                    .or(found.first())
                    .map_or(0, |(_, token)| *token)
            })
        });
        let tokens: Vec<u32> = tokens.collect();
        decoder.select(&expanded)?;
        decoder.step(&tokens)?;
        let hidden = unit(&states(&decoder)?)?;
        let mut chosen = Vec::new();
        let mut kept = Vec::new();
        for (at, mut row) in rows.drain(..).enumerate() {
            let own = hidden.f_narrow(0, (at * count) as i64, count as i64)?;
            let best = choose(&candidates[at], &own, &row.states, alpha)?;
            row.tokens.push(tokens[at * count + best]);
            row.states = Tensor::f_cat(&[&row.states, &own.f_narrow(0, best as i64, 1)?], 0)?;
            let prompt = &prompts[row.prompt];
            let written = &row.tokens[prompt.tokens.len()..];
            let end = ended(engine, written, limits[row.prompt])?;
            if end != Some(End::Eos)
                && let Some(on_token) = on_token.as_mut()
            {
                on_token(row.prompt, tokens[at * count + best])?;
            }
            if let Some(end) = end {
                let kept = written.len() - usize::from(end == End::Eos);
                done[row.prompt] = Some(Written {
                    tokens: written[..kept].to_vec(),
                    log_probs: Vec::new(),
                    score: None,
                    end,
                });
            } else {
                chosen.push(at * count + best);
                kept.push(row);
            }
        }
        rows = kept;
        keep(&mut decoder, &chosen)?;
    }
    Ok(done
        .into_iter()
        .map(|text| text.into_iter().collect())
        .collect())
}

/// Goes on with the chosen candidates: their rows of the cache, and the scores that they led to.
fn keep(decoder: &mut Decoder<'_>, chosen: &[usize]) -> Result<()> {
    decoder.select(chosen)?;
    decoder.logits.keep(chosen)
}

/// The most probable tokens with their probabilities.
fn probable(
    engine: &Engine<'_>,
    row: &Row,
    prompt: &Prompt,
    mut scores: Vec<f32>,
    width: usize,
) -> Result<Vec<(f32, u32)>> {
    let sequence = Sequence {
        tokens: &row.tokens,
        prompt: prompt.tokens.len(),
        source: &prompt.source,
        siblings: &[],
    };
    engine.chain.apply(sequence, &mut scores)?;
    log_softmax(&mut scores);
    let mut best = Best::new(width);
    for (token, score) in scores.iter().enumerate() {
        if *score > f32::NEG_INFINITY {
            best.add(*score, token as u32);
        }
    }
    let found = best.into_vec().into_iter();
    Ok(found.map(|(score, token)| (score.exp(), token)).collect())
}

/// Index of the best candidate.
fn choose(candidates: &[(f32, u32)], own: &Tensor, states: &Tensor, alpha: f32) -> Result<usize> {
    let likeness = own
        .f_matmul(&states.f_tr()?)? // [candidates, tokens]
        .f_amax([1], false)?
        .f_to_device(tch::Device::Cpu)?;
    let likeness = Vec::<f32>::try_from(&likeness)?;
    let mut best = (f32::NEG_INFINITY, 0);
    for (at, ((probability, _), likeness)) in candidates.iter().zip(likeness).enumerate() {
        let score = (1.0 - alpha) * probability - alpha * likeness;
        if score > best.0 {
            best = (score, at);
        }
    }
    Ok(best.1)
}

fn states(decoder: &Decoder<'_>) -> Result<Tensor> {
    let hidden = decoder.hidden.as_ref();
    let hidden =
        hidden.context("the model puts out no `hidden`, which contrastive search needs")?;
    Ok(hidden.f_to_kind(Kind::Float)?)
}

/// States of length 1.
fn unit(states: &Tensor) -> Result<Tensor> {
    let norm = states.f_norm_scalaropt_dim(2, [-1], true)?;
    Ok(states.f_div(&norm)?)
}
