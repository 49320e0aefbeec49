//! Beam search, as `transformers` does it: also in groups (Vijayakumar et al. 2018) and with drawn tokens.
//!
//! Of each prompt `beams` texts are written on side by side. In each step the best `(1 + |eos|)·beams`
//! continuations of all of them are looked at, so that enough are left when all of the best ones end. A text that
//! ends is scored by the sum of its log-probabilities divided by `length ^ length_penalty`, and the best
//! `beams` of those are kept. Groups of beams take their tokens one after the other; a token costs
//! `diversity_penalty` for each beam of an earlier group that has just taken it.

use anyhow::Result;
use tenon_plugin_api::processor::Sequence;

use super::chain::Chain;
use super::decoder::{Decoder, Logits, Prompt, Target};
use super::each::each;
use super::scores::{Best, max, uniform};
use super::single::ended;
use super::strategy::{Early, Strategy};
use super::{End, Engine, Written};
use crate::evaluate::Stopped;
use crate::services;

/// The most that [`Search::noise`] is: `-ln(-ln u)` of the largest number below 1 that is drawn.
const MOST_NOISE: f32 = 37.0;

/// What stands for "none": a score below every real one, as `transformers` has it.
const NONE: f32 = -1.0e9;

/// A text that is being written.
#[derive(Clone)]
struct Running {
    tokens: Vec<u32>,
    score: f32,
    /// The row of the scores, and of the cache, that it goes on from.
    row: usize,
}

/// A text that has ended, or a place for one.
#[derive(Clone)]
struct Finished {
    tokens: Vec<u32>,
    score: f32,
    end: Option<End>,
}

/// One group of beams of one prompt.
struct Group {
    running: Vec<Running>,
    finished: Vec<Finished>,
    /// Whether a better text than those that ended is still likely.
    open: bool,
    done: bool,
}

/// A continuation of a running text.
#[derive(Clone)]
struct Candidate {
    tokens: Vec<u32>,
    score: f32,
    row: usize,
    end: Option<End>,
}

/// Writes the best [`returns`](super::Strategy::returns) texts for each prompt.
pub fn run(
    engine: &Engine<'_>,
    target: &Target<'_>,
    prompts: &[Prompt],
    limits: &[usize],
) -> Result<Vec<Vec<Written>>> {
    let strategy = engine.strategy;
    let most = limits.iter().copied().max().unwrap_or(0);
    let mut decoder = Decoder::start(target, prompts, strategy.beams, most, false)?;
    let mut groups: Vec<Vec<Group>> = (prompts.iter().enumerate())
        .map(|(row, prompt)| groups(engine, prompt, row))
        .collect();
    loop {
        if services::interrupted() {
            return Err(Stopped.into());
        }
        let scan = |index: usize| Scan {
            strategy,
            chain: engine.chain,
            prompt: &prompts[index],
            logits: &decoder.logits,
        };
        // What the first groups find, which wait for no others.
        let first = |index: usize| match groups[index].first().filter(|group| !group.done) {
            Some(group) => scan(index).best(&group.running, &[]),
            None => Ok(Vec::new()),
        };
        let mut found = each(prompts.len(), first).into_iter();
        for (index, prompt) in prompts.iter().enumerate() {
            let search = Search {
                engine,
                prompt,
                limit: limits[index],
                scan: scan(index),
            };
            let found = found.next().transpose()?.unwrap_or_default();
            search.advance(&mut groups[index], found)?;
        }
        // Every text that goes on, in order; its row in the next step is its place here.
        let (mut rows, mut next) = (Vec::new(), Vec::new());
        let open = groups.iter_mut().flatten().filter(|group| !group.done);
        for running in open.flat_map(|group| &mut group.running) {
            rows.push(running.row);
            next.push(running.tokens.last().copied().unwrap_or_default());
            running.row = rows.len() - 1;
        }
        if rows.is_empty() {
            break;
        }
        decoder.select(&rows)?;
        decoder.step(&next)?;
    }
    let texts = groups.into_iter().zip(prompts);
    Ok(texts
        .map(|(groups, prompt)| best(engine, groups, prompt))
        .collect())
}

fn groups(engine: &Engine<'_>, prompt: &Prompt, row: usize) -> Vec<Group> {
    let (count, beams) = (engine.strategy.groups, engine.strategy.beams);
    let group = |_| {
        // All but the first begin with nothing, so that they do not all write the same.
        let running = |beam: usize| Running {
            tokens: prompt.tokens.clone(),
            score: if beam == 0 { 0.0 } else { NONE },
            row,
        };
        let none = Finished {
            tokens: Vec::new(),
            score: NONE,
            end: None,
        };
        Group {
            running: (0..beams / count).map(running).collect(),
            finished: vec![none; beams / count],
            open: true,
            done: false,
        }
    };
    (0..count).map(group).collect()
}

/// A continuation of a running text that is being looked at: which text's, its token and score.
type Found = (usize, u32, f32);

/// Looks for the best continuations of one prompt's texts.
struct Scan<'a> {
    strategy: &'a Strategy,
    chain: &'a Chain,
    prompt: &'a Prompt,
    logits: &'a Logits,
}

impl Scan<'_> {
    /// The best continuations of the running texts, in falling order; `taken` are the tokens that beams of earlier
    /// groups have just taken.
    fn best(&self, running: &[Running], taken: &[u32]) -> Result<Vec<Found>> {
        let strategy = self.strategy;
        let keep = 2.max(1 + strategy.eos.len()) * running.len();
        let mut best: Best<Found> = Best::new(keep);
        let mut scratch = Vec::new();
        for (beam, text) in running.iter().enumerate() {
            let raw = self.logits.row(text.row);
            let processed = !self.chain.is_empty() || !taken.is_empty();
            if processed {
                scratch.clear();
                scratch.extend_from_slice(raw);
                self.process(text, taken, &mut scratch)?;
            }
            let scores = if processed { &scratch[..] } else { raw };
            let place = (text.tokens.len() * strategy.beams + beam) as u64;
            let gain = if strategy.sample { MOST_NOISE } else { 0.0 };
            add(scores, text.score, gain, &mut best, |token, score| {
                let drawn = match strategy.sample {
                    true => score + self.noise(place, token),
                    false => score,
                };
                (drawn, (beam, token, score))
            });
        }
        Ok(best
            .into_vec()
            .into_iter()
            .map(|(_, found)| found)
            .collect())
    }

    fn process(&self, text: &Running, taken: &[u32], scores: &mut [f32]) -> Result<()> {
        let sequence = Sequence {
            tokens: &text.tokens,
            prompt: self.prompt.tokens.len(),
            source: &self.prompt.source,
            siblings: taken,
        };
        self.chain.apply(sequence, scores)
    }

    /// What makes the largest scores a draw without replacement (Gumbel's trick).
    fn noise(&self, place: u64, token: u32) -> f32 {
        let number = self.prompt.number as u64;
        let drawn = uniform(self.strategy.seed, [number, place, u64::from(token)]);
        -(-(drawn.max(f64::MIN_POSITIVE)).ln()).ln() as f32
    }
}

/// One step of one prompt.
struct Search<'a> {
    engine: &'a Engine<'a>,
    prompt: &'a Prompt,
    limit: usize,
    scan: Scan<'a>,
}

impl Search<'_> {
    /// `found` is what the first group finds.
    fn advance(&self, groups: &mut [Group], found: Vec<Found>) -> Result<()> {
        let mut found = Some(found);
        let mut taken = Vec::new();
        for group in groups {
            let found = found.take();
            if group.done {
                continue;
            }
            let found = match found {
                Some(found) => found,
                None => self.scan.best(&group.running, &taken)?,
            };
            let candidates = self.candidates(&group.running, found)?;
            self.finish(group, &candidates);
            go_on(group, &candidates);
            self.judge(group, &candidates);
            let last = |running: &Running| running.tokens.last().copied();
            taken.extend(group.running.iter().filter_map(last));
        }
        Ok(())
    }

    /// What was found, as texts.
    fn candidates(&self, running: &[Running], found: Vec<Found>) -> Result<Vec<Candidate>> {
        let candidate = |(beam, token, score): Found| {
            let text: &Running = &running[beam];
            let mut tokens = Vec::with_capacity(text.tokens.len() + 1);
            tokens.extend_from_slice(&text.tokens);
            tokens.push(token);
            let end = ended(self.engine, &tokens[self.prompt.tokens.len()..], self.limit)?;
            Ok(Candidate {
                tokens,
                score,
                row: text.row,
                end,
            })
        };
        found.into_iter().map(candidate).collect()
    }

    /// Puts texts that have just ended among those that had, where they are better.
    fn finish(&self, group: &mut Group, candidates: &[Candidate]) {
        let strategy = self.engine.strategy;
        let full = group.finished.iter().all(|text| text.end.is_some());
        if !group.open || (full && strategy.early == Early::Enough) {
            return;
        }
        let beams = group.running.len();
        let ended = candidates
            .iter()
            .take(beams)
            .filter(|text| text.end.is_some());
        for text in ended {
            let length = (text.tokens.len() - self.prompt.tokens.len()) as f64;
            group.finished.push(Finished {
                tokens: text.tokens.clone(),
                score: text.score / length.powf(f64::from(strategy.length_penalty)) as f32,
                end: text.end,
            });
        }
        group.finished.sort_by(|a, b| b.score.total_cmp(&a.score));
        group.finished.truncate(beams);
    }

    /// Whether the group goes on.
    fn judge(&self, group: &mut Group, candidates: &[Candidate]) {
        let strategy = self.engine.strategy;
        let written = group.running.first().map_or(0, |text| text.tokens.len()) as f64
            - self.prompt.tokens.len() as f64;
        let length = match strategy.early {
            Early::Never if strategy.length_penalty > 0.0 => self.limit as f64,
            _ => written,
        };
        let penalty = length.powf(f64::from(strategy.length_penalty)) as f32;
        // With groups, what has just ended is taken for what may yet come, as `transformers` did while it had them.
        let best = match strategy.groups {
            1 => group.running.first().map(|text| text.score),
            _ => candidates.first().map(|text| text.score),
        };
        let possible = best.unwrap_or(NONE) / penalty;
        let worst = group.finished.last().map_or(NONE, |text| text.score);
        let beaten = |text: &Finished| possible > if text.end.is_some() { worst } else { NONE };
        group.open = group.open && group.finished.iter().any(beaten);
        let full = group.finished.iter().all(|text| text.end.is_some());
        let stuck = candidates.iter().all(|text| text.end.is_some());
        group.done = !group.open || (full && strategy.early == Early::Enough) || stuck;
    }
}

/// Scores that are looked at together.
const STRETCH: usize = 64;

/// Adds the continuations of one text, given their log-probabilities, that can be among the best. Drawing adds
/// `gain` to a score at most.
fn add(
    log_probs: &[f32],
    so_far: f32,
    gain: f32,
    best: &mut Best<(usize, u32, f32)>,
    entry: impl Fn(u32, f32) -> (f32, (usize, u32, f32)),
) {
    for (at, stretch) in log_probs.chunks(STRETCH).enumerate() {
        if max(stretch) + so_far + gain <= best.threshold() {
            continue;
        }
        for (token, log_prob) in stretch.iter().enumerate() {
            let score = log_prob + so_far;
            if score > f32::NEG_INFINITY {
                let (rank, what) = entry((at * STRETCH + token) as u32, score);
                if rank > best.threshold() {
                    best.add(rank, what);
                }
            }
        }
    }
}

/// The best continuations that have not ended are written on.
fn go_on(group: &mut Group, candidates: &[Candidate]) {
    let beams = group.running.len();
    let running = |text: &Candidate, score: f32| Running {
        tokens: text.tokens.clone(),
        score,
        row: text.row,
    };
    let mut next: Vec<Running> = candidates
        .iter()
        .filter(|text| text.end.is_none())
        .map(|text| running(text, text.score))
        .collect();
    // With a sharp processor there may be too few: what has ended then stands in, far behind.
    let ended = candidates.iter().filter(|text| text.end.is_some());
    next.extend(ended.map(|text| running(text, text.score + NONE)));
    next.sort_by(|a, b| b.score.total_cmp(&a.score));
    while next.len() < beams {
        let Some(first) = next.first().or(group.running.first()).cloned() else {
            break;
        };
        next.push(Running {
            score: NONE,
            ..first
        });
    }
    next.truncate(beams);
    group.running = next;
}

fn best(engine: &Engine<'_>, groups: Vec<Group>, prompt: &Prompt) -> Vec<Written> {
    let mut texts: Vec<(Finished, End)> = groups
        .into_iter()
        .flat_map(|group| group.finished)
        .filter_map(|text| text.end.map(|end| (text, end)))
        .collect();
    texts.sort_by(|(a, _), (b, _)| b.score.total_cmp(&a.score));
    texts.truncate(engine.strategy.returns);
    let written = |(text, end): (Finished, End)| {
        let kept = text.tokens.len() - usize::from(end == End::Eos);
        Written {
            tokens: text.tokens[prompt.tokens.len()..kept].to_vec(),
            log_probs: Vec::new(),
            score: Some(text.score),
            end,
        }
    };
    texts.into_iter().map(written).collect()
}
