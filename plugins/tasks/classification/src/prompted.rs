//! Classification by prompts (Brown et al. 2020; Schick and Schütze 2021): a language model says how likely the word
//! of each label is where the answer stands, and the likeliest one is the prediction. Nothing is trained.
//!
//! A record makes an example for each label, with the label's word in its place; a causal model is asked for the
//! probability of the word after what comes before it, a masked one for that of the masked word:
//! `score(y) = Σ_i log p(w_i | …)` over the tokens `w` of the word of `y`. With `calibrate` it makes as many examples
//! again in which the texts are [`NOTHING`], whose scores are taken off (Zhao et al. 2021, of which this is the
//! diagonal correction in logarithms).

use std::collections::BTreeMap;
use std::ops::Range;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value};
use tenon_nn::{IGNORED, counted};
use tenon_plugin_api::names::did_you_mean;
use tenon_plugin_api::prompt::fitting;
use tenon_plugin_api::task::prelude::*;

/// What stands for the texts where a prompt is to say nothing.
const NOTHING: &str = "N/A";
/// What stands for the answer while its place is looked for: a private character, which no text has.
const PLACE: &str = "\u{f8ff}";
const NAME: &str = "template";

/// Makes prompts, and reads what a model answers.
#[derive(Debug)]
pub struct Prompted {
    environment: Environment<'static>,
    template: String,
    info: PromptInfo,
    columns: Vec<String>,
    label: String,
    /// The word of each label.
    words: Vec<String>,
    masked: bool,
    context: usize,
    /// The demonstrations.
    shown: Vec<String>,
}

impl Prompted {
    /// For the columns with texts and the column of the label; `labels` are the class names by id.
    ///
    /// # Errors
    /// A template with an error, a label that there is not, or a model that is no language model.
    pub fn new(
        data: &DataInfo,
        info: &PromptInfo,
        columns: Vec<String>,
        label: &str,
        labels: &[String],
    ) -> Result<Self> {
        let causal = data.model.offers("causal-lm");
        ensure!(
            causal || data.model.offers("masked-lm"),
            Options,
            "[prompt]: prompts need a language model, and {} offers {}",
            data.model.id,
            data.model.offers.join(", ")
        );
        for name in info.verbalizers.keys() {
            ensure!(
                labels.contains(name),
                Options,
                "prompt.verbalizers.{name}: `{label}` has no class `{name}`{} (classes: {})",
                did_you_mean(name, labels.iter().map(String::as_str)),
                labels.join(", ")
            );
        }
        let word = |label: &String| info.verbalizers.get(label).unwrap_or(label).clone();
        let template = info.template.clone().ok_or_else(|| {
            let example = format!("\"{{{{ {} }}}} {{{{ answer }}}}\"", columns.join(" }} {{ "));
            Error::options("prompt.template: missing: a record is asked about in its words")
                .with_help(format!("the shortest one is {example}"))
        })?;
        let mut prompted = Self {
            environment: compile(&template)?,
            template,
            words: labels.iter().map(word).collect(),
            info: info.clone(),
            columns,
            label: label.to_owned(),
            masked: !causal,
            context: data.max_length,
            shown: Vec::new(),
        };
        let empty: BTreeMap<&str, &str> = prompted.cells(|_| Ok(""))?;
        let (_, after) = prompted.around(&empty)?;
        ensure!(
            prompted.masked || after.trim().is_empty(),
            Options,
            "prompt.template: a causal model reads nothing behind the answer; let `{{{{ answer }}}}` be the end"
        );
        prompted.shown = prompted.show()?;
        Ok(prompted)
    }

    /// The head that it needs.
    pub fn head(&self) -> &'static str {
        if self.masked {
            "masked-lm"
        } else {
            "causal-lm"
        }
    }

    /// Its fields. `answer` is never made: there is no loss to compute.
    pub fn fields() -> Vec<FieldInfo> {
        vec![
            FieldInfo::token_ids("input_ids"),
            FieldInfo::ints("labels", IGNORED),
            FieldInfo::stacked("answer", FieldKind::Int),
        ]
    }

    /// The examples of a record.
    ///
    /// # Errors
    /// A text is missing, or the prompt does not fit the model.
    pub fn encode(
        &self,
        record: Record<'_>,
        tokenizer: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()> {
        let asked = self.cells(|column| record.text(column))?;
        self.ask(&asked, tokenizer, examples)?;
        if self.info.calibrate {
            self.ask(&self.cells(|_| Ok(NOTHING))?, tokenizer, examples)?;
        }
        Ok(())
    }

    fn cells<'a>(
        &'a self,
        text: impl Fn(&str) -> Result<&'a str>,
    ) -> Result<BTreeMap<&'a str, &'a str>> {
        let columns = self.columns.iter();
        columns
            .map(|column| Ok((column.as_str(), text(column)?)))
            .collect()
    }

    /// An example for each label.
    fn ask(
        &self,
        cells: &BTreeMap<&str, &str>,
        tokenizer: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()> {
        let (before, after) = self.around(cells)?;
        let fits = |made: &(Vec<i64>, Vec<i64>)| self.context == 0 || made.0.len() <= self.context;
        for word in &self.words {
            let make = |skipped: usize| {
                let mut text: String = self.shown[skipped..].concat();
                let start = text.len() + before.len();
                text.push_str(&before);
                text.push_str(word);
                text.push_str(&after);
                self.example(&text, start..start + word.len(), tokenizer)
            };
            let made = fitting(self.shown.len(), make, fits)?;
            let (ids, labels) = match fits(&made) {
                true => made,
                false => self.cut(made)?,
            };
            let example = examples.example();
            example.ints("input_ids", &ids).ints("labels", &labels);
        }
        Ok(())
    }

    /// The demonstrations as text, each with the separator behind it.
    fn show(&self) -> Result<Vec<String>> {
        let solved = self.info.records()?;
        let shown = (0..solved.len()).map(|row| {
            let record = solved.record(row);
            let (before, after) = self.around(&self.cells(|column| record.text(column))?)?;
            let label = record.text(&self.label)?;
            let word = self.info.verbalizers.get(label);
            let word = word.map_or(label, String::as_str);
            Ok(format!("{before}{word}{after}{}", self.info.separator))
        });
        shown.collect()
    }

    /// What stands before the answer and behind it.
    fn around(&self, cells: &BTreeMap<&str, &str>) -> Result<(String, String)> {
        let mut cells = cells.clone();
        cells.insert("answer", PLACE);
        let template = self.environment.get_template(NAME);
        let filled = template.and_then(|template| {
            template.render(Value::from_pairs(
                cells.iter().map(|(name, text)| (*name, *text)),
            ))
        });
        let filled = filled.map_err(|error| {
            let known: Vec<&str> = cells.keys().copied().collect();
            Error::options(format!(
                "prompt.template: {error}; it may name {}",
                known.join(", ")
            ))
        })?;
        let Some((before, after)) = filled.split_once(PLACE) else {
            bail!(
                Options,
                "prompt.template: {:?} has no `{{{{ answer }}}}`",
                self.template
            );
        };
        Ok((before.to_owned(), after.to_owned()))
    }

    /// Ids and labels of a text whose answer is the bytes `answer`.
    fn example(
        &self,
        text: &str,
        answer: Range<usize>,
        tokenizer: &Tokenizer<'_>,
    ) -> Result<(Vec<i64>, Vec<i64>)> {
        // Without special tokens the host cuts nothing: which end goes is known here.
        let how = Encode {
            offsets: true,
            no_special_tokens: true,
            ..Encode::default()
        };
        let encoding = tokenizer.encode(text, &how)?;
        let mut frame = tokenizer.frame(false)?;
        if !self.masked {
            frame.after.clear();
        }
        let begin = frame.before.len();
        let mut ids = frame.around(&encoding.ids);
        let mut labels = vec![IGNORED; ids.len()];
        let own = |(at, (start, end)): (usize, &(usize, usize))| {
            (*start < answer.end && *end > answer.start).then_some(begin + at)
        };
        let places: Vec<usize> = encoding
            .offsets
            .iter()
            .enumerate()
            .filter_map(own)
            .collect();
        ensure!(
            !places.is_empty(),
            Data,
            "the word {:?} makes no token",
            &text[answer]
        );
        for at in places {
            if self.masked {
                let mask = tokenizer.special("mask");
                let mask = mask.context(
                    "the tokenizer has no mask token, which prompts for a masked model need",
                )?;
                labels[at] = std::mem::replace(&mut ids[at], i64::from(mask));
            } else if at > 0 {
                labels[at - 1] = ids[at];
            }
        }
        Ok((ids, labels))
    }

    /// Leaves out tokens at the front, behind one that is special, until the example fits.
    fn cut(&self, (mut ids, mut labels): (Vec<i64>, Vec<i64>)) -> Result<(Vec<i64>, Vec<i64>)> {
        // A special token at the front stays.
        let first = usize::from(self.masked);
        let gone = ids.len() - self.context;
        let answer = labels.iter().position(|label| *label != IGNORED);
        let answer = answer.unwrap_or(ids.len());
        ensure!(
            first + gone <= answer,
            Data,
            "the prompt has {} tokens, of which the model takes {}; a shorter template leaves room for the answer",
            ids.len(),
            self.context
        );
        ids.drain(first..first + gone);
        labels.drain(first..first + gone);
        Ok((ids, labels))
    }

    /// How likely the word of each example is: `Σ log p`, one number an example.
    ///
    /// # Errors
    /// An output is missing, or libtorch refuses an operation.
    pub fn predict(&self, outputs: &TensorMap, batch: &TensorMap) -> Result<Predictions> {
        let labels = batch.require("labels")?; // [batch, time]
        let (logits, ids) = counted(outputs.require("logits")?, labels)?; // [n, vocab], [n]
        let log_probs = logits
            .f_to_kind(Kind::Float)?
            .f_log_softmax(-1, None::<Kind>)?
            .f_gather(1, &ids.f_unsqueeze(1)?, false)?
            .f_squeeze_dim(1)?; // [n]
        let row = labels.f_ne(IGNORED)?.f_nonzero()?.f_select(1, 0)?; // [n]: the example of each token
        let sums = Tensor::f_zeros([labels.size()[0]], (Kind::Float, logits.device()))?
            .f_index_add(0, &row, &log_probs)?;
        let sums = Vec::<f64>::try_from(&sums.f_to_kind(Kind::Double)?.f_to_device(Device::Cpu)?)?;
        Ok(Predictions {
            predictions: Values::numbers(sums),
            references: None,
        })
    }

    /// The likeliest label of each record, scored by a softmax over the labels.
    ///
    /// # Errors
    /// There is not a score for each label.
    pub fn conclude(&self, records: Records<'_>, found: Found<'_>) -> Result<Predictions> {
        let classes = self.words.len();
        let (mut ids, mut scores, mut references) = (Vec::new(), Vec::new(), Vec::new());
        for (row, record) in records.iter().enumerate() {
            let asked: Vec<f64> = found
                .of(row)
                .map(|at| found.values().number_at(at))
                .collect();
            let sets = if self.info.calibrate { 2 } else { 1 };
            ensure!(
                asked.len() == classes * sets,
                Data,
                "{} scores of {classes} labels",
                asked.len()
            );
            let (own, nothing) = asked.split_at(classes);
            let score = |at: usize| own[at] - nothing.get(at).copied().unwrap_or(0.0);
            let all: Vec<f64> = (0..classes).map(score).collect();
            let best = (0..classes).max_by(|a, b| all[*a].total_cmp(&all[*b]).then(b.cmp(a)));
            let best = best.unwrap_or(0);
            let weights: Vec<f64> = all.iter().map(|score| (score - all[best]).exp()).collect();
            let total: f64 = weights.iter().sum();
            scores.extend(weights.iter().map(|weight| weight / total));
            ids.push(best as i64);
            references.extend(record.label(&self.label));
        }
        let complete = references.len() == records.len();
        Ok(Predictions {
            predictions: Values::labels_with_scores(ids, scores)?,
            references: complete.then(|| Values::labels(references)),
        })
    }
}

fn compile(template: &str) -> Result<Environment<'static>> {
    let refused = |error: minijinja::Error| {
        let line = error.line().unwrap_or(1);
        Error::options(format!("prompt.template: line {line}: {error}"))
    };
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
    environment.set_syntax(syntax.map_err(refused)?);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment
        .add_template_owned(NAME, template.to_owned())
        .map_err(refused)?;
    Ok(environment)
}
