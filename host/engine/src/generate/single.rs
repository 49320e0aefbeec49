//! Texts written one by one: the most probable token each time, or one drawn.

use anyhow::Result;
use tenon_plugin_api::processor::Sequence;

use super::decoder::{Decoder, Prompt, Target};
use super::each::each;
use super::scores::{argmax, draw, log_prob, uniform};
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
    let strategy = engine.strategy;
    let returns = strategy.returns;
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
    let mut scratch = Vec::new();
    while !rows.is_empty() {
        if services::interrupted() {
            return Err(Stopped.into());
        }
        let shared = logits_of.len() != decoder.logits.rows();
        if !engine.chain.is_empty() && !shared {
            let sequence = |row: usize| sequence(&rows[row], prompts);
            if strategy.log_probs {
                scratch.clear();
                scratch.extend((0..rows.len()).map(|row| decoder.logits.row(row).to_vec()));
            }
            engine.chain.apply(&mut decoder.logits, sequence)?;
        }
        let (chain, logits) = (engine.chain, &decoder.logits);
        let chosen = each(rows.len(), |at| {
            let row = &rows[at];
            let raw = logits.row(logits_of[at]);
            let mut own = Vec::new();
            if shared && !chain.is_empty() {
                own.extend_from_slice(raw);
                chain.apply_one(sequence(row, prompts), &mut own)?;
            }
            let scores = if own.is_empty() { raw } else { &own };
            let token = match strategy.sample {
                false => argmax(scores),
                true => {
                    let number = prompts[row.prompt].number as u64;
                    let place = [number, row.text as u64, row.tokens.len() as u64];
                    draw(scores, uniform(strategy.seed, place))
                }
            };
            let raw = scratch.get(at).map_or(raw, |kept: &Vec<f32>| &kept[..]);
            let log_prob = strategy.log_probs.then(|| log_prob(raw, token));
            anyhow::Ok((token as u32, log_prob))
        });
        let mut next = Vec::with_capacity(rows.len());
        for (row, chosen) in rows.iter_mut().zip(chosen) {
            let (token, log_prob) = chosen?;
            row.log_probs.extend(log_prob);
            row.tokens.push(token);
            next.push(token);
        }
        scratch.clear();
        let mut kept = Vec::with_capacity(rows.len());
        for (at, row) in rows.iter().enumerate() {
            let prompt = &prompts[row.prompt];
            let written = &row.tokens[prompt.tokens.len()..];
            let end = ended(engine, written, limits[row.prompt])?;
            if end != Some(End::Eos)
                && row.text == 0
                && let Some(on_token) = on_token.as_mut()
            {
                on_token(row.prompt, next[at])?;
            }
            match end {
                Some(end) => done[row.prompt][row.text] = Some(finished(row, written, end)),
                None => kept.push(at),
            }
        }
        if kept.is_empty() {
            break;
        }
        let from: Vec<usize> = kept.iter().map(|at| logits_of[*at]).collect();
        decoder.select(&from)?;
        next = kept.iter().map(|at| next[*at]).collect();
        let mut index = 0;
        rows.retain(|_| {
            index += 1;
            kept.binary_search(&(index - 1)).is_ok()
        });
        logits_of = (0..rows.len()).collect();
        decoder.step(&next)?;
    }
    Ok(done
        .into_iter()
        .map(|texts| texts.into_iter().flatten().collect())
        .collect())
}

fn sequence<'a>(row: &'a Row, prompts: &'a [Prompt]) -> Sequence<'a> {
    let prompt = &prompts[row.prompt];
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
