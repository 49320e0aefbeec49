//! `tenon score`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tenon_core::config::{self, PluginSettings};
use tenon_core::registry::{Registry, Search};
use tenon_core::request::exit;
use tenon_core::score::{
    Baseline, ColumnNames, NamedScore, PairedTest, ScoreRequest, Scored, Significance, System,
    score,
};

use super::options::PluginOptions;
use super::output::{BOLD, NAME, pad};
use super::{Failure, Output};

/// Compute metrics on files of predictions and references
///
/// No model is needed, and no libtorch. Each file of predictions is a system of its own and gets a
/// line of scores. Its rows pair with those of the references by position.
///
/// Files are jsonl, csv, tsv, parquet, or plain text with one value a line. The column that holds
/// the values is, unless named: `prediction` (`reference` of the references); what `tenon predict`
/// writes, so `label`, `labels`, `value`, `text`, `tokens` or `numbers`, as the metric reads it; or
/// the only one. Metrics that rank, such as roc-auc, read `probabilities` besides; squad reads
/// `no_answer_probability`. A reference may be a list of texts that would all be right.
///
/// Labels that are whole numbers from 0 are class ids. Others are numbered in sorted order, as
/// training does.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tenon score --metric f1 --references ref.jsonl pred.jsonl
  tenon score --metric accuracy --metric f1,average=macro --references test.csv a.jsonl b.jsonl
  tenon score --metric pearson --references gold.txt --json predicted.txt
  tenon predict runs/spam -i test.jsonl | tenon score --metric roc-auc --references test.jsonl -
  tenon score --metric distinct --metric repetition written.txt
  tenon score --metric bleu --metric chrf,word_order=2 --references ref.de --confidence 1000 a.de
  tenon score --metric bleu --references ref.de --baseline old.de --paired ar new.de other.de

How far to trust scores (as sacrebleu does it, with the same numbers for the same seed):
  --confidence scores so many draws of the rows, each as many as there are, with replacement. In
  the table `± 95%` is half the width of the interval that holds 95 % of these scores.
  --baseline adds a system, scored first, and tests each of the others against it. `p` is how
  often chance alone would set two equal systems as far apart; below 0.05 is the usual measure.
  --paired bs scores both systems on the same draws (Koehn 2004), --paired ar exchanges their rows
  at random (Riezler and Maxwell 2005), which errs less often on the side of a difference.

`tenon plugin list` shows the metrics, `tenon plugin inspect f1` the options of one.")]
pub struct ScoreArgs {
    /// Files of predictions, one for each system; `-` is standard input
    #[arg(value_name = "PREDICTIONS", required = true)]
    predictions: Vec<PathBuf>,
    /// What would be right: a file, or a quoted pattern or a folder for several; metrics that look
    /// at predictions alone, such as distinct, need none
    #[arg(long, short, value_name = "FILE")]
    references: Option<PathBuf>,
    /// A metric, with its options behind commas: `f1,average=macro`; may be repeated
    #[arg(
        long = "metric",
        short,
        value_name = "NAME[,KEY=VALUE]...",
        required = true
    )]
    metrics: Vec<String>,
    /// Column of the predictions
    #[arg(long, value_name = "COLUMN")]
    prediction_column: Option<String>,
    /// Column of the references
    #[arg(long, value_name = "COLUMN", requires = "references")]
    reference_column: Option<String>,
    /// Column of the probabilities: by class name, a list by class id, or one, that of class 1; of
    /// answers, that there is none
    #[arg(long, value_name = "COLUMN")]
    probability_column: Option<String>,
    /// Names of all classes in the order of their ids, between commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    labels: Option<Vec<String>>,
    /// Confidence intervals, from so many draws of the rows; 1000 is usual
    #[arg(long, value_name = "DRAWS", value_parser = count())]
    confidence: Option<u64>,
    /// Predictions of a system to test the others against
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// The test against --baseline: paired bootstrap, or approximate randomization
    #[arg(long, value_name = "TEST", value_enum, default_value_t = Paired::Bs, requires = "baseline")]
    paired: Paired,
    /// How often --paired ar exchanges rows at random
    #[arg(long, value_name = "TRIALS", default_value_t = 10_000, value_parser = count())]
    trials: u64,
    /// Where --confidence and --paired draw from
    #[arg(long, value_name = "SEED", default_value_t = 12_345)]
    seed: u64,
    #[command(flatten)]
    plugins: PluginOptions,
}

/// A test of whether two systems differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Paired {
    /// Paired bootstrap, on the draws of --confidence (1000 unless given)
    Bs,
    /// Approximate randomization, with --trials; intervals only with --confidence
    Ar,
}

/// Numbers of draws and trials.
fn count() -> clap::builder::RangedU64ValueParser<u64> {
    clap::value_parser!(u64).range(2..=1_000_000)
}

impl ScoreArgs {
    fn significance(&self) -> Significance {
        let resamples = self.confidence.map(|count| count as usize);
        let Some(predictions) = self.baseline.clone() else {
            return Significance {
                resamples,
                baseline: None,
                seed: self.seed,
            };
        };
        let (test, resamples) = match self.paired {
            Paired::Bs => (PairedTest::Bootstrap, Some(resamples.unwrap_or(1000))),
            Paired::Ar => {
                let trials = self.trials as usize;
                (PairedTest::Randomization { trials }, resamples)
            }
        };
        Significance {
            resamples,
            baseline: Some(Baseline { predictions, test }),
            seed: self.seed,
        }
    }
}

/// Scores.
pub fn run(args: &ScoreArgs, output: &Output) -> Result<i32, Failure> {
    let stdin = args
        .predictions
        .iter()
        .filter(|path| path.as_os_str() == "-");
    let references = args.references.as_deref();
    if stdin.count() > 1 || references.is_some_and(|path| path.as_os_str() == "-") {
        let text = "standard input (`-`) can give the predictions of one system only";
        return Err(Failure::Usage(text.to_owned()));
    }
    if let Some(twice) = args.labels.as_deref().and_then(repeated) {
        return Err(Failure::Usage(format!("--labels names `{twice}` twice")));
    }
    let search = Search::new(&args.plugins.dirs, &[]);
    let registry = Registry::scan(&search, &PluginSettings::default());
    output.warn_of_plugins(&registry);
    let request = ScoreRequest {
        metrics: config::metrics("--metric", &args.metrics, &registry).map_err(Failure::Metrics)?,
        references: args.references.clone(),
        predictions: args.predictions.clone(),
        columns: ColumnNames {
            reference: args.reference_column.clone(),
            prediction: args.prediction_column.clone(),
            probability: args.probability_column.clone(),
        },
        labels: args.labels.clone(),
        significance: args.significance(),
    };
    let scored = score(&request, &registry)?;
    for note in &scored.notes {
        output.note(note);
    }
    match output.json {
        true => output.print_json(&json!(scored)),
        false => output.print(&table(&scored, output)),
    }
    Ok(exit::OK)
}

fn repeated(names: &[String]) -> Option<&String> {
    let seen = |(index, name): &(usize, &String)| names[..*index].contains(name);
    names.iter().enumerate().find(seen).map(|(_, name)| name)
}

/// A line for each system and a column for each number; then what is more than a number.
fn table(scored: &Scored, output: &Output) -> String {
    let mut columns: Vec<String> = Vec::new();
    // The baseline's columns last: it has no `p`, which goes beside its score.
    let (baseline, others): (Vec<_>, Vec<_>) = scored.systems.iter().partition(|s| s.baseline);
    for (name, _) in others.into_iter().chain(baseline).flat_map(numbers) {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    let name = |system: &System| match system.baseline {
        true => format!("{} (baseline)", system.predictions),
        false => system.predictions.clone(),
    };
    let names = scored.systems.iter().map(name);
    let width = names.map(|name| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    if !columns.is_empty() {
        let cells = columns.iter().map(|name| format!("  {name:>6}"));
        let head = format!("{}{}", " ".repeat(width), cells.collect::<String>());
        text.push_str(&format!("{}\n", output.paint(BOLD, &head)));
        for system in &scored.systems {
            text.push_str(&output.paint(NAME, &pad(&name(system), width)));
            let found: Vec<_> = numbers(system).collect();
            for column in &columns {
                let value = found.iter().find(|(name, _)| name == column);
                let cell = value.map_or_else(|| "-".to_owned(), |(_, value)| format!("{value:.4}"));
                text.push_str(&format!("  {cell:>0$}", column.chars().count().max(6)));
            }
            text.push('\n');
        }
    }
    text.push_str(&signatures(scored, output));
    text.push_str(&drawn(scored).unwrap_or_default());
    for system in &scored.systems {
        for named in &system.scores {
            if let Some(detail) = named.score.detail.as_ref().filter(|_| !has_value(named)) {
                let name = output.paint(BOLD, &named.score.name);
                text.push_str(&format!("\n{name} of {}\n", system.predictions));
                text.push_str(&grid(detail).unwrap_or_else(|| format!("{detail}\n")));
            }
        }
    }
    text
}

/// What scores were computed with, for those that say it in one line.
fn signatures(scored: &Scored, output: &Output) -> String {
    let mut lines: Vec<String> = Vec::new();
    for named in scored.systems.iter().flat_map(|system| &system.scores) {
        let detail = named.score.detail.as_ref();
        if let Some(signature) = detail.and_then(|detail| detail["signature"].as_str()) {
            let line = format!("{}  {signature}\n", output.paint(BOLD, &named.metric));
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    match lines.is_empty() {
        true => String::new(),
        false => format!("\n{}", lines.concat()),
    }
}

/// How intervals and p-values came about.
fn drawn(scored: &Scored) -> Option<String> {
    let significance = scored.significance.as_ref()?;
    let resamples = significance
        .resamples
        .map(|count| format!("± 95%: {count} draws"));
    let test = significance
        .baseline
        .as_ref()
        .map(|baseline| match baseline.test {
            PairedTest::Bootstrap => "p: paired bootstrap".to_owned(),
            PairedTest::Randomization { trials } => format!("p: {trials} random exchanges"),
        });
    let parts: Vec<String> = resamples.into_iter().chain(test).collect();
    Some(format!(
        "\n{}; seed {}\n",
        parts.join("; "),
        significance.seed
    ))
}

/// Whether the number is the score, and not only the detail: then it is better one way.
fn has_value(named: &NamedScore) -> bool {
    named.score.detail.is_none() || named.score.higher_is_better.is_some()
}

/// The numbers of a system: scores, and how far they can be trusted. A score bears the name that
/// the user gave its metric.
fn numbers(system: &System) -> impl Iterator<Item = (String, f64)> {
    let plain = system.scores.iter().filter(|named| has_value(named));
    plain.flat_map(|named| {
        let of_metric = system
            .scores
            .iter()
            .filter(|other| other.metric == named.metric);
        let own = named.metric.replace('-', "_");
        let name = match named.score.name.starts_with(&own) {
            true => named.score.name.clone(),
            false if of_metric.count() == 1 => named.metric.clone(),
            false => format!("{}.{}", named.metric, named.score.name),
        };
        let confidence = named.confidence.map(|found| {
            let mean = (format!("{name} mean"), found.mean);
            [mean, (format!("{name} ± 95%"), found.interval)]
        });
        let p = named.p_value.map(|p| (format!("{name} p"), p));
        let rest = confidence.into_iter().flatten().chain(p);
        std::iter::once((name, named.score.value)).chain(rest)
    })
}

/// A matrix by labels, `{"labels": […], "matrix": [[…]]}`, with the references down and the
/// predictions across; `None` for a detail of another form.
fn grid(detail: &Value) -> Option<String> {
    let labels: Vec<&str> = detail["labels"]
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let rows: Vec<Vec<String>> = detail["matrix"]
        .as_array()?
        .iter()
        .map(|row| row.as_array()?.iter().map(number).collect())
        .collect::<Option<_>>()?;
    let cells = rows
        .iter()
        .flatten()
        .map(String::as_str)
        .chain(labels.iter().copied());
    let width = cells.map(|cell| cell.chars().count()).max()?;
    let first = labels.iter().map(|label| label.chars().count()).max()?;
    let mut text = format!("  {}", " ".repeat(first));
    labels
        .iter()
        .for_each(|label| text.push_str(&format!("  {label:>width$}")));
    text.push_str("  (predicted)\n");
    for (label, row) in labels.iter().zip(&rows) {
        text.push_str(&format!("  {}", pad(label, first)));
        row.iter()
            .for_each(|cell| text.push_str(&format!("  {cell:>width$}")));
        text.push('\n');
    }
    Some(text)
}

fn number(cell: &Value) -> Option<String> {
    match cell.as_u64() {
        Some(count) => Some(count.to_string()),
        None => cell.as_f64().map(|share| format!("{share:.4}")),
    }
}
