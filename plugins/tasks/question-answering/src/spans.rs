//! Spans of a passage with their scores: those of a window, and the best of all windows.
//!
//! Between the two they cross the host as numbers: `[null, start, end, score, start, end, score, …]`, offsets in
//! bytes, best first.

use std::cmp::Ordering;

use tenon_plugin_api::task::prelude::*;

/// A span of the passage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Its first byte.
    pub start: usize,
    /// The byte after its last.
    pub end: usize,
    /// The sum of its logits.
    pub score: f64,
}

impl Span {
    /// The better one first, then the one that comes first.
    fn order(&self, other: &Self) -> Ordering {
        let place = |span: &Self| (span.start, span.end);
        let by_score = other.score.total_cmp(&self.score);
        by_score.then_with(|| place(self).cmp(&place(other)))
    }
}

/// What a model made of one window; all lists are `[tokens]`.
pub struct Scored<'a> {
    /// Logits of starts.
    pub starts: &'a [f64],
    /// Logits of ends.
    pub ends: &'a [f64],
    /// First bytes, -1 for what is not of the passage.
    pub from: &'a [i64],
    /// Bytes after the last.
    pub to: &'a [i64],
}

impl Scored<'_> {
    /// The score of there being no answer.
    pub fn null(&self) -> f64 {
        let first = |logits: &[f64]| logits.first().copied().unwrap_or(f64::NEG_INFINITY);
        first(self.starts) + first(self.ends)
    }

    /// The `count` best spans of at most `longest` tokens, best first.
    pub fn best(&self, count: usize, longest: usize) -> Vec<Span> {
        let mut spans = Vec::new();
        for start in (0..self.from.len()).filter(|at| self.from[*at] >= 0) {
            let ends = start..self.from.len().min(start + longest);
            for end in ends.take_while(|at| self.from[*at] >= 0) {
                spans.push(Span {
                    start: self.from[start] as usize,
                    end: self.to[end] as usize,
                    score: self.starts[start] + self.ends[end],
                });
            }
        }
        first_of(spans, count)
    }
}

/// The `count` first spans in order.
fn first_of(mut spans: Vec<Span>, count: usize) -> Vec<Span> {
    if spans.len() > count && count > 0 {
        spans.select_nth_unstable_by(count - 1, Span::order);
    }
    spans.truncate(count);
    spans.sort_unstable_by(Span::order);
    spans
}

/// A window's spans as numbers.
pub fn to_numbers(null: f64, spans: &[Span]) -> Vec<f64> {
    let triples = spans
        .iter()
        .flat_map(|span| [span.start as f64, span.end as f64, span.score]);
    std::iter::once(null).chain(triples).collect()
}

/// The best spans of a passage, of all its windows, and the least score of there being no answer.
///
/// # Errors
/// The numbers are not those of windows.
pub fn merge(found: Found<'_>, record: usize, count: usize) -> Result<(f64, Vec<Span>)> {
    let kind = found.values().kind();
    ensure!(
        kind == Some(ValueKind::Numbers),
        Data,
        "expected the spans of windows as numbers, found {}",
        kind.map_or("something unknown", ValueKind::name)
    );
    let mut null = f64::INFINITY;
    let mut spans: Vec<Span> = Vec::new();
    for window in found.of(record) {
        let [first, triples @ ..] = found.values().numbers_at(window) else {
            bail!(Data, "nothing was found of window {window}");
        };
        null = null.min(*first);
        spans.extend(triples.chunks_exact(3).map(|numbers| Span {
            start: numbers[0] as usize,
            end: numbers[1] as usize,
            score: numbers[2],
        }));
    }
    // what two windows hold is the same answer
    spans.sort_unstable_by(|a, b| {
        let place = |span: &Span| (span.start, span.end);
        place(a).cmp(&place(b)).then_with(|| a.order(b))
    });
    spans.dedup_by_key(|span| (span.start, span.end));
    Ok((null, first_of(spans, count)))
}
