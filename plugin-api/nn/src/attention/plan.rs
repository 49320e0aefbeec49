//! Everything about an attention but its tensors, and its division into units of work.

use super::{Attention, Sight};
use crate::dropout::Masking;
use crate::simd::LANES;

/// Everything about an attention but its tensors.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    queries: Vec<usize>,
    keys: Vec<usize>,
    pub heads: usize,
    pub kv_heads: usize,
    pub dim: usize,
    pub scale: f32,
    sight: Sight,
    masking: Option<Masking>,
}

impl Plan {
    pub fn new(attention: &Attention<'_>, width: i64) -> Self {
        let starts = |starts: &[i64]| starts.iter().map(|&start| start as usize).collect();
        Self {
            queries: starts(attention.queries.starts()),
            keys: starts(attention.keys.starts()),
            heads: attention.heads as usize,
            kv_heads: attention.kv_heads as usize,
            dim: (width / attention.heads) as usize,
            scale: attention.scale as f32,
            sight: attention.sight,
            masking: (!attention.dropout.is_off()).then(|| attention.dropout.masking()),
        }
    }

    pub fn sequences(&self) -> usize {
        self.queries.len() - 1
    }

    pub fn query_tokens(&self) -> usize {
        self.queries.last().copied().unwrap_or(0)
    }

    pub fn key_tokens(&self) -> usize {
        self.keys.last().copied().unwrap_or(0)
    }

    pub fn longest_key(&self) -> usize {
        self.keys
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .max()
            .unwrap_or(0)
    }

    /// Whether queries of a sequence see different keys.
    pub fn is_triangular(&self) -> bool {
        self.sight != Sight::All
    }

    /// A head of the keys of a sequence.
    pub fn unit(&self, sequence: usize, kv_head: usize) -> Unit {
        Unit {
            first_query: self.queries[sequence],
            queries: self.queries[sequence + 1] - self.queries[sequence],
            first_key: self.keys[sequence],
            keys: self.keys[sequence + 1] - self.keys[sequence],
            column: kv_head * self.dim,
            sight: self.sight,
        }
    }

    /// The heads of queries that see a head of keys.
    pub fn group(&self, kv_head: usize) -> std::ops::Range<usize> {
        let group = self.heads / self.kv_heads;
        kv_head * group..(kv_head + 1) * group
    }

    /// The dropout of a head of a sequence.
    pub fn masking(&self, sequence: usize, head: usize) -> Option<Masking> {
        let part = (sequence * self.heads + head) as u64;
        self.masking.map(|masking| masking.part(part))
    }

    /// Where `log Σ exp` of a query is kept.
    pub fn log_sum(&self, head: usize, query: usize) -> usize {
        head * self.query_tokens() + query
    }
}

/// One head of the keys of one sequence.
#[derive(Clone, Copy)]
pub(super) struct Unit {
    pub first_query: usize,
    pub queries: usize,
    pub first_key: usize,
    pub keys: usize,
    pub column: usize,
    sight: Sight,
}

impl Unit {
    /// The keys that a query of the sequence sees: from, and to but without.
    #[inline(always)]
    pub fn seen(&self, query: usize) -> [usize; 2] {
        let end = query + 1 + self.keys.saturating_sub(self.queries);
        match self.sight {
            Sight::All => [0, self.keys],
            Sight::Before => [0, end],
            Sight::Window(window) => [end.saturating_sub(window as usize), end],
        }
    }

    /// The keys that some of `rows` queries from `first` on see, from a whole number of vectors on.
    pub fn block(&self, first: usize, rows: usize) -> [usize; 2] {
        let [from, _] = self.seen(first);
        let [_, to] = self.seen(first + rows - 1);
        [from / LANES * LANES, to]
    }
}
