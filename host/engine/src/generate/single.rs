//! Texts written one by one: the most probable token each time, or one drawn.

use anyhow::Result;
use tenon_plugin_api::processor::Sequence;

use super::chain::Chain;
use super::decoder::{Decoder, Prompt, Target};
use super::each::each;
use super::scores::{argmax, draw, log_prob, uniform};
use super::strategy::Strategy;
use super::{End, Engine, OnToken, Written};
use crate::evaluate::Stopped;
use crate::services;

/// A text that is being written.
struct Row {
    /// Index of its prompt, and which of the prompt's texts it is.
    prompt: usize,
    text: usize,
    /// The prompt's tokens, and what was written.
    tokens: Vec<u32>,
    log_probs: Vec<f32>,
}

/// Writes `returns` texts for each prompt.
pub fn run(
    engine: &Engine<'_>,
    target: &Target<'_>,
    prompts: &[Prompt],
    limits: &[usize],
    mut on_token: Option<OnToken<'_>>,
) -> Result<Vec<Vec<Written>>> {
    let returns = engine.strategy.returns;
    let most = limits.iter().copied().max().unwrap_or(0);
    let mut decoder = Decoder::start(target, prompts, returns, most, false)?;
    let mut rows: Vec<Row> = Vec::with_capacity(prompts.len() * returns);
    for (index, prompt) in prompts.iter().enumerate() {
        rows.extend((0..returns).map(|text| Row {
            prompt: index,
            text,
            tokens: prompt.tokens.clone(),
            log_probs: Vec::new(),
        }));
    }
    // The prompts are read once; each of their texts goes on from the same scores.
    let mut logits_of: Vec<usize> = rows.iter().map(|row| row.prompt).collect();
    let mut done: Vec<Vec<Option<Written>>> = vec![vec![None; returns]; prompts.len()];
    while !rows.is_empty() {
        if services::interrupted() {
            return Err(Stopped.into());
        }
        let (strategy, chain, logits) = (engine.strategy, engine.chain, &decoder.logits);
        let chosen = each(rows.len(), |at| {
            let (row, raw) = (&rows[at], logits.row(logits_of[at]));
            choose(strategy, chain, row, &prompts[row.prompt], raw)
        });
        for (row, chosen) in rows.iter_mut().zip(chosen) {
            let (token, log_prob) = chosen?;
            row.log_probs.extend(log_prob);
            row.tokens.push(token);
        }
        let (mut kept, mut from, mut next) = (Vec::new(), Vec::new(), Vec::new());
        for (row, from_row) in rows.into_iter().zip(logits_of) {
            let written = &row.tokens[prompts[row.prompt].tokens.len()..];
            let token = written.last().copied().unwrap_or_default();
            let end = ended(engine, written, limits[row.prompt])?;
            if end != Some(End::Eos)
                && row.text == 0
                && let Some(on_token) = on_token.as_mut()
            {
                on_token(row.prompt, token)?;
            }
            if let Some(end) = end {
                done[row.prompt][row.text] = Some(finished(&row, written, end));
            } else {
                kept.push(row);
                from.push(from_row);
                next.push(token);
            }
        }
        rows = kept;
        logits_of = (0..rows.len()).collect();
        if !rows.is_empty() {
            decoder.select(&from)?;
            decoder.step(&next)?;
        }
    }
    Ok(done
        .into_iter()
        .map(|texts| texts.into_iter().flatten().collect())
        .collect())
}

/// The next token of a text, given the model's scores, and its log-probability where that is asked for.
fn choose(
    strategy: &Strategy,
    chain: &Chain,
    row: &Row,
    prompt: &Prompt,
    raw: &[f32],
) -> Result<(u32, Option<f32>)> {
    let mut changed = Vec::new();
    if !chain.is_empty() {
        changed.extend_from_slice(raw);
        chain.apply(sequence(row, prompt), &mut changed)?;
    }
    let scores = if chain.is_empty() { raw } else { &changed };
    let token = match strategy.sample {
        false => argmax(scores),
        true => {
            let place = [prompt.number, row.text, row.tokens.len()];
            let place = place.map(|part| part as u64);
            draw(scores, uniform(strategy.seed, place))
        }
    };
    let log_prob = strategy.log_probs.then(|| log_prob(raw, token));
    Ok((token as u32, log_prob))
}

fn sequence<'a>(row: &'a Row, prompt: &'a Prompt) -> Sequence<'a> {
    Sequence {
        tokens: &row.tokens,
        prompt: prompt.tokens.len(),
        source: &prompt.source,
        siblings: &[],
    }
}

/// Whether what was written is at its end.
pub fn ended(engine: &Engine<'_>, written: &[u32], limit: usize) -> Result<Option<End>> {
    let last = written.last().copied().unwrap_or_default();
    Ok(if engine.strategy.eos.contains(&last) {
        Some(End::Eos)
    } else if engine.stop.ended(written)? {
        Some(End::Stop)
    } else if written.len() >= limit {
        Some(End::Length)
    } else {
        None
    })
}

fn finished(row: &Row, written: &[u32], end: End) -> Written {
    let kept = written.len() - usize::from(end == End::Eos);
    Written {
        tokens: written[..kept].to_vec(),
        log_probs: row.log_probs.clone(),
        score: None,
        end,
    }
}
