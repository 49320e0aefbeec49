//! The overlap of one prediction with its references, as rouge-score measures it.

use rustc_hash::FxHashMap;
use tenon_plugin_api::values::Texts;

use crate::table::Columns;
use crate::words::{Vocabulary, Words};

/// A kind of overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of runs of this many words.
    Ngrams(usize),
    /// The longest common subsequence of the words.
    Lcs,
    /// The union, for each line of the reference, of its longest common subsequences with the lines
    /// of the prediction.
    LcsOfLines,
}

impl Kind {
    /// The kind that rouge-score calls `rouge1` to `rouge9`, `rougeL` or `rougeLsum`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name.strip_prefix("rouge")? {
            "L" => Some(Self::Lcs),
            "Lsum" => Some(Self::LcsOfLines),
            digit => match digit.as_bytes() {
                [n @ b'1'..=b'9'] => Some(Self::Ngrams(usize::from(n - b'0'))),
                _ => None,
            },
        }
    }
}

/// Precision, recall and their harmonic mean.
pub type Prf = [f64; 3];

/// The ratios of `hits` words or n-grams.
fn prf(hits: usize, predicted: usize, referred: usize) -> Prf {
    let precision = hits as f64 / predicted.max(1) as f64;
    let recall = hits as f64 / referred.max(1) as f64;
    let f = match precision + recall > 0.0 {
        true => 2.0 * precision * recall / (precision + recall),
        false => 0.0,
    };
    [precision, recall, f]
}

/// Measures pair after pair; keeps what they share: words met before, and memory.
pub struct Scorer<'a> {
    kinds: &'a [Kind],
    vocabulary: Vocabulary,
    prediction: Words,
    reference: Words,
    /// The prediction's n-grams, sorted, for each kind that needs them.
    ngrams: Vec<Vec<u64>>,
    others: Vec<u64>,
    runs: FxHashMap<u64, u64>,
    columns: Columns,
    /// The length of the longest common subsequence of the present pair, once it is known.
    subsequence: Option<usize>,
    common: Vec<bool>,
    counts: FxHashMap<u32, [usize; 2]>,
}

impl<'a> Scorer<'a> {
    pub fn new(kinds: &'a [Kind], stems: bool) -> Self {
        Self {
            kinds,
            vocabulary: Vocabulary::new(stems),
            prediction: Words::default(),
            reference: Words::default(),
            ngrams: vec![Vec::new(); kinds.len()],
            others: Vec::new(),
            runs: FxHashMap::default(),
            columns: Columns::default(),
            subsequence: None,
            common: Vec::new(),
            counts: FxHashMap::default(),
        }
    }

    /// For each kind, the scores against the reference with the highest F.
    pub fn score(&mut self, prediction: &str, references: Texts<'_>, best: &mut [Prf]) {
        self.vocabulary.read(prediction, &mut self.prediction);
        self.runs.clear();
        for (kind, ngrams) in self.kinds.iter().zip(&mut self.ngrams) {
            if let Kind::Ngrams(n) = kind {
                count(&self.prediction.ids, *n, &mut self.runs, ngrams);
            }
        }
        for (index, reference) in references.enumerate() {
            self.vocabulary.read(reference, &mut self.reference);
            self.subsequence = None;
            for (kind, best) in best.iter_mut().enumerate() {
                let found = self.pair(kind);
                if index == 0 || found[2] > best[2] {
                    *best = found;
                }
            }
        }
    }

    fn pair(&mut self, kind: usize) -> Prf {
        let (predicted, referred) = (self.prediction.ids.len(), self.reference.ids.len());
        let hits = match self.kinds[kind] {
            Kind::Ngrams(n) => {
                count(&self.reference.ids, n, &mut self.runs, &mut self.others);
                let ngrams = &self.ngrams[kind];
                return prf(
                    shared(ngrams, &self.others),
                    ngrams.len(),
                    self.others.len(),
                );
            }
            Kind::LcsOfLines if !is_one_line(&self.prediction, &self.reference) => {
                self.lines_in_common()
            }
            // Of one line each, the union is that one subsequence.
            Kind::Lcs | Kind::LcsOfLines => *self.subsequence.get_or_insert_with(|| {
                self.columns.set(&self.prediction.ids);
                self.columns.common(&self.reference.ids)
            }),
        };
        prf(hits, predicted, referred)
    }

    /// Words of the reference that some line of the prediction has in common with theirs, each
    /// counted at most as often as it occurs in the prediction.
    fn lines_in_common(&mut self) -> usize {
        let (prediction, reference) = (&self.prediction, &self.reference);
        self.common.clear();
        self.common.resize(reference.ids.len(), false);
        for across in prediction.by_line() {
            self.columns.set(&prediction.ids[across]);
            for down in reference.by_line() {
                let start = down.start;
                self.columns.subsequence(&reference.ids[down], |place| {
                    self.common[start + place] = true;
                });
            }
        }
        self.counts.clear();
        for (side, words) in [&prediction.ids, &reference.ids].into_iter().enumerate() {
            for word in words {
                self.counts.entry(*word).or_default()[side] += 1;
            }
        }
        let mut hits = 0;
        for (word, common) in reference.ids.iter().zip(&self.common) {
            if *common
                && let Some(left) = self.counts.get_mut(word)
                && left.iter().all(|count| *count > 0)
            {
                hits += 1;
                *left = left.map(|count| count - 1);
            }
        }
        hits
    }
}

/// Whether all words of each side stand on one line.
fn is_one_line(prediction: &Words, reference: &Words) -> bool {
    let lines = |words: &Words| words.by_line().filter(|line| !line.is_empty()).count();
    lines(prediction) <= 1 && lines(reference) <= 1
}

/// The n-grams of a text as numbers, sorted. `runs` numbers the shorter runs that they begin with.
fn count(ids: &[u32], n: usize, runs: &mut FxHashMap<u64, u64>, into: &mut Vec<u64>) {
    into.clear();
    if ids.len() < n {
        return;
    }
    into.extend(ids[..=ids.len() - n].iter().map(|id| u64::from(*id)));
    for further in 1..n {
        for (run, id) in into.iter_mut().zip(&ids[further..]) {
            if further > 1 {
                let next = runs.len() as u64;
                *run = *runs.entry(*run).or_insert(next);
            }
            *run = *run << 32 | u64::from(*id);
        }
    }
    into.sort_unstable();
}

/// How many items two sorted lists share, each as often as in the one that has fewer of it.
fn shared(left: &[u64], right: &[u64]) -> usize {
    let (mut i, mut j, mut count) = (0, 0, 0);
    while let (Some(one), Some(other)) = (left.get(i), right.get(j)) {
        count += usize::from(one == other);
        i += usize::from(one <= other);
        j += usize::from(other <= one);
    }
    count
}
