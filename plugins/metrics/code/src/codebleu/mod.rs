//! CodeBLEU: n-grams, syntax and data flow of generated code against references.
//!
//! `α·BLEU + β·BLEU_weighted + γ·Match_ast + δ·Match_df` (Ren et al. 2020, arXiv:2009.10297), as the
//! package `codebleu` 0.7.0 computes it with the grammars of tree-sitter 0.21:
//!
//! - [`ngrams`]: BLEU over words between spaces, and a recall of reference n-grams in which
//!   keywords count five times as much as other words;
//! - [`syntax`]: the share of the reference's subtrees that the candidate has;
//! - [`flow`]: the share of the reference's edges "value comes from" that the candidate has. A corpus
//!   whose references have none scores 0 there, but counts as 1 in the sum.
//!
//! Comments, and strings that are statements in Python, are dropped before the latter two. All
//! counts are sums over the corpus, whole numbers each, so that shards merge exactly.
//!
//! In one respect the reference has no single value: where a value comes from several variables, it
//! orders them as Python's sets do, which differs from process to process. Here they stay in the
//! order in which the code names them.

mod comments;
mod docstrings;
mod flow;
mod language;
mod ngrams;
mod syntax;
mod tree;

use std::rc::Rc;
use std::sync::{Mutex, PoisonError};

use rustc_hash::FxHashMap;
use tenon_plugin_api::metric::prelude::*;
use tenon_plugin_api::services;
use tree_sitter::{Parser, Tree};

pub use language::Language;
use ngrams::NgramCounts;
use tree::FlatTree;

/// Options of `codebleu`.
#[derive(Options, Debug)]
pub struct CodeBleuOptions {
    /// The programming language.
    #[default(Language::Python)]
    pub lang: Language,
    /// Weights of n-grams, weighted n-grams, syntax and data flow.
    #[default([0.25, 0.25, 0.25, 0.25])]
    pub weights: Vec<f64>,
}

/// N-grams, syntax and data flow of code against references.
#[derive(Debug)]
pub struct CodeBleu {
    language: Language,
    weights: [f64; 4],
    counts: Counts,
}

/// Examples that a thread takes at a time.
const SHARE: usize = 64;

impl Metric for CodeBleu {
    const ID: &'static str = "codebleu";
    const ABOUT: &'static str = "N-grams, syntax and data flow that code shares with references";
    type Options = CodeBleuOptions;
    type Input = Text;

    fn new(options: CodeBleuOptions) -> Result<Self> {
        let given = options.weights.len();
        let Ok(weights) = <[f64; 4]>::try_from(options.weights) else {
            bail!(Options, "weights: expected 4 numbers, found {given}");
        };
        if let Some(wrong) = weights
            .iter()
            .find(|weight| !(weight.is_finite() && **weight >= 0.0))
        {
            bail!(Options, "weights: expected numbers ≥ 0, found {wrong}");
        }
        Ok(Self {
            language: options.lang,
            weights,
            counts: Counts::default(),
        })
    }

    fn update(&mut self, batch: Pairs<'_, Text>) -> Result<()> {
        let counts = Mutex::new(Ok(Counts::default()));
        services::parallel_for(batch.len().div_ceil(SHARE), |share| {
            let examples = share * SHARE..batch.len().min((share + 1) * SHARE);
            let found = self.count(batch, examples);
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            match (&mut *counts, found) {
                (Ok(counts), Ok(found)) => counts.add(&found),
                (Ok(_), Err(error)) => *counts = Err(error),
                (Err(_), _) => {}
            }
        });
        let counts = counts
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)?;
        self.counts.add(&counts);
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        self.counts.add(&other.counts);
    }

    fn compute(&self) -> Scores {
        let counts = &self.counts;
        let share = |matched: u64, of: u64| matched as f64 / of as f64;
        let bleu = counts.ngrams.bleu();
        let weighted = counts.ngrams.weighted_bleu();
        let syntax = share(counts.syntax_matched, counts.syntax);
        let flow = match counts.flow {
            // Not defined on nothing at all; 0 without an edge.
            0 if counts.syntax > 0 => 0.0,
            edges => share(counts.flow_matched, edges),
        };
        let parts = [bleu, weighted, syntax, if flow == 0.0 { 1.0 } else { flow }];
        let sum = parts
            .iter()
            .zip(&self.weights)
            .map(|(part, weight)| part * weight)
            .sum();
        let scores = [
            ("codebleu", sum),
            ("ngram_match_score", bleu),
            ("weighted_ngram_match_score", weighted),
            ("syntax_match_score", syntax),
            ("dataflow_match_score", flow),
        ];
        scores
            .into_iter()
            .fold(Scores::new(), |all, (name, value)| {
                all.and(name, value).higher_is_better().unit("fraction")
            })
    }
}

/// What was counted over the corpus.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Counts {
    ngrams: NgramCounts,
    /// Subtrees of references.
    syntax: u64,
    syntax_matched: u64,
    /// Edges of references.
    flow: u64,
    flow_matched: u64,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.ngrams.add(&other.ngrams);
        self.syntax += other.syntax;
        self.syntax_matched += other.syntax_matched;
        self.flow += other.flow;
        self.flow_matched += other.flow_matched;
    }
}

impl CodeBleu {
    fn count(&self, batch: Pairs<'_, Text>, examples: std::ops::Range<usize>) -> Result<Counts> {
        let mut parser = CodeParser::new(self.language)?;
        let mut counts = Counts::default();
        for index in examples {
            let (candidate, references) = batch.get(index);
            let candidate = strip(candidate);
            let references: Vec<&str> = references.map(strip).collect();
            ensure!(!references.is_empty(), Data, "a candidate has no reference");
            let keywords = self.language.keywords();
            counts.ngrams.count(candidate, &references, keywords);
            count_trees(&mut parser, candidate, &references, &mut counts)?;
        }
        Ok(counts)
    }
}

fn count_trees(
    parser: &mut CodeParser,
    candidate: &str,
    references: &[&str],
    counts: &mut Counts,
) -> Result<()> {
    let mut candidate = parser.parse(candidate)?;
    for (index, reference) in references.iter().enumerate() {
        // The package strips the candidate once more for each reference.
        if index > 0 {
            candidate = parser.parse(&candidate.code)?;
        }
        let reference = parser.parse(reference)?;
        counts.syntax += reference.subtrees.len() as u64;
        counts.syntax_matched += syntax::matched(&candidate.subtrees, &reference.subtrees);
        counts.flow += reference.edges.len() as u64;
        counts.flow_matched += flow::matched(&candidate.edges, &reference.edges);
    }
    Ok(())
}

/// Code without its comments, and what is compared of it.
struct Parsed {
    code: String,
    subtrees: Vec<u64>,
    edges: Vec<flow::Edge>,
}

/// Parses code, the same code once: candidates for a problem have the same references.
struct CodeParser {
    parser: Parser,
    language: Language,
    known: FxHashMap<String, Rc<Parsed>>,
}

impl CodeParser {
    fn new(language: Language) -> Result<Self> {
        let mut parser = Parser::new();
        parser.set_language(&language.grammar()).map_err(|error| {
            let message = format!("the grammar does not fit: {error}");
            Error::new(ErrorCode::Other, message)
        })?;
        Ok(Self {
            parser,
            language,
            known: FxHashMap::default(),
        })
    }

    fn parse(&mut self, code: &str) -> Result<Rc<Parsed>> {
        if let Some(parsed) = self.known.get(code) {
            return Ok(Rc::clone(parsed));
        }
        let stripped = self.language.without_comments(code);
        let tree: Option<Tree> = self.parser.parse(&stripped, None);
        let tree = tree.ok_or_else(|| Error::new(ErrorCode::Other, "the parser gave no tree"))?;
        let flat = FlatTree::of(&tree, self.language.kinds());
        let parsed = Rc::new(Parsed {
            subtrees: syntax::subtrees(&flat),
            edges: flow::edges(&flat, &stripped, self.language),
            code: stripped,
        });
        self.known.insert(code.to_owned(), Rc::clone(&parsed));
        Ok(parsed)
    }
}

/// Without the white space of Python's `str.strip` at both ends.
fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// White space as Python's `str.isspace` has it.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}
