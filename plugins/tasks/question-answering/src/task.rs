//! The task: records to windows, logits to losses and answers.

use tenon_plugin_api::task::prelude::*;
use tenon_plugin_api::tch::Reduction;

use crate::answers;
use crate::options::Options;
use crate::spans::{Scored, merge, to_numbers};
use crate::windows::{self, Lengths};

/// The task.
#[derive(Debug)]
pub struct QuestionAnswering {
    options: Options,
    lengths: Lengths,
}

/// Tokens of a window, of the overlap of two and of a question where the run file says nothing.
const USUAL: Lengths = Lengths {
    window: 384,
    overlap: 128,
    question: 64,
};

impl Task for QuestionAnswering {
    const ID: &'static str = "question-answering";
    const ABOUT: &'static str =
        "Finds the answer to a question in a passage, or that there is none";
    const OUTPUTS: &'static [&'static str] = &["text"];
    type Options = Options;

    fn new(options: Options) -> Result<Self> {
        ensure!(
            options.no_answer || options.no_answer_threshold == 0.0,
            Options,
            "no_answer_threshold has a meaning only with no_answer = true"
        );
        let lengths = lengths(&options, 0)?;
        Ok(Self { options, lengths })
    }

    fn describe(&self) -> TaskInfo {
        let options = &self.options;
        let column = |column: &Column, kind, for_prediction| ColumnInfo {
            name: column.name().to_owned(),
            kind,
            for_prediction,
        };
        TaskInfo {
            columns: vec![
                column(&options.question, ColumnKind::Text, true),
                column(&options.context, ColumnKind::Text, true),
                column(&options.answers, ColumnKind::Json, false),
            ],
            head: Some(HeadInfo {
                kind: "question-answering".to_owned(),
                num_labels: 2,
                problem_type: None,
            }),
            fields: vec![
                FieldInfo::token_ids("input_ids"),
                FieldInfo::ints("token_type_ids", 0),
                FieldInfo::ints("passage_starts", NOWHERE),
                FieldInfo::ints("passage_ends", NOWHERE),
                FieldInfo::stacked("start_positions", FieldKind::Int),
                FieldInfo::stacked("end_positions", FieldKind::Int),
            ],
            output: OutputInfo {
                kind: "text".to_owned(),
                ..OutputInfo::default()
            },
            metrics: vec![match options.no_answer {
                true => MetricRequest::new("squad").option("version", "2.0"),
                false => MetricRequest::new("squad"),
            }],
            concludes: true,
            ..TaskInfo::default()
        }
    }

    fn prepare(&mut self, data: &DataInfo) -> Result<()> {
        self.lengths = lengths(&self.options, data.max_length)?;
        Ok(())
    }

    fn encode(
        &self,
        record: Record<'_>,
        tokenizer: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()> {
        let options = &self.options;
        let question = record.text(&options.question)?;
        let context = record.text(&options.context)?;
        let answer = match record.has(&options.answers) {
            true => Some(self.learnt(record, context)?),
            false => None,
        };
        for window in windows::cut(question, context, self.lengths, tokenizer)? {
            let example = examples
                .example()
                .ints("input_ids", &window.ids)
                .ints("token_type_ids", &window.types)
                .ints("passage_starts", &window.starts)
                .ints("passage_ends", &window.ends);
            if let Some(answer) = &answer {
                let tokens = answer.as_ref().and_then(|answer| window.tokens_of(answer));
                let (start, end) = tokens.unwrap_or((NULL, NULL));
                let example = example.int("start_positions", start);
                let _ = example.int("end_positions", end);
            }
        }
        Ok(())
    }

    fn loss(&self, outputs: &TensorMap, batch: &TensorMap) -> Result<Loss> {
        let padding = batch.require("attention_mask")?.f_eq(0)?;
        let end = |which: &str| -> Result<Tensor> {
            let logits = logits(outputs, which, &padding)?; // [batch, time]
            let targets = batch.require(&format!("{which}_positions"))?.f_view([-1])?;
            let none = None::<Tensor>;
            Ok(logits.f_cross_entropy_loss(&targets, none, Reduction::Sum, IGNORED, 0.0)?)
        };
        let sum = (end("start")?.f_add(&end("end")?)?).f_div_scalar(2.0)?;
        Ok(Loss {
            sum,
            weight: padding.size()[0] as f64,
        })
    }

    /// The best spans of each window, as [`crate::spans`] writes them.
    fn predict(&self, outputs: &TensorMap, batch: &TensorMap) -> Result<Predictions> {
        let padding = batch.require("attention_mask")?.f_eq(0)?;
        let time = padding.size()[1] as usize;
        let starts = floats(&logits(outputs, "start", &padding)?)?;
        let ends = floats(&logits(outputs, "end", &padding)?)?;
        let from = ints(batch.require("passage_starts")?)?;
        let to = ints(batch.require("passage_ends")?)?;
        ensure!(
            time > 0 && from.len() == starts.len() && to.len() == starts.len(),
            Tensor,
            "expected passage_starts and passage_ends to have the shape of attention_mask"
        );
        let mut predictions = Values::new(ValueKind::Numbers);
        for at in (0..starts.len()).step_by(time) {
            let row = at..at + time;
            let window = Scored {
                starts: &starts[row.clone()],
                ends: &ends[row.clone()],
                from: &from[row.clone()],
                to: &to[row],
            };
            let spans = window.best(self.candidates(), self.options.max_answer_length);
            predictions.push_numbers(&to_numbers(window.null(), &spans));
        }
        Ok(Predictions {
            predictions,
            references: None,
        })
    }

    fn conclude(&self, records: Records<'_>, found: Found<'_>) -> Result<Predictions> {
        let options = &self.options;
        let mut predictions = Values::new(ValueKind::Text);
        let mut none = Vec::new();
        let mut references = Values::new(ValueKind::Text);
        for (number, record) in records.iter().enumerate() {
            let context = record.text(&options.context)?;
            let (null, spans) = merge(found, number, options.n_best)?;
            let best = spans.first().map_or(f64::NEG_INFINITY, |span| span.score);
            let mut texts = Vec::with_capacity(spans.len() + 1);
            for span in &spans {
                let text = context.get(span.start..span.end);
                texts.push(text.context("a span that is not of the passage")?);
            }
            if texts.is_empty() || options.no_answer && null - best > options.no_answer_threshold {
                texts.insert(0, "");
                texts.truncate(options.n_best);
            }
            predictions.push_texts(texts);
            none.push(1.0 / (1.0 + (best - null).exp()));
            if record.has(&options.answers) {
                let answers = answers::read(record, &options.answers)?;
                match answers.is_empty() {
                    true => references.push_text(""),
                    false => references.push_texts(answers.iter().map(|answer| &answer.text)),
                }
            }
        }
        if options.no_answer {
            predictions.set_scores(none)?;
        }
        let known = references.len() == predictions.len();
        Ok(Predictions {
            predictions,
            references: known.then_some(references),
        })
    }
}

/// Offset of a token that is not of the passage.
const NOWHERE: i64 = -1;

/// Where there being no answer is read: the token in front.
const NULL: i64 = 0;

/// `ignore_index` of libtorch's cross entropy; no position has this number.
const IGNORED: i64 = -100;

impl QuestionAnswering {
    /// Spans that are kept of a window: as many as are asked for.
    fn candidates(&self) -> usize {
        self.options.n_best
    }

    /// Where the answer to learn stands, in bytes; `None` where there is none.
    fn learnt(&self, record: Record<'_>, context: &str) -> Result<Option<std::ops::Range<usize>>> {
        let options = &self.options;
        let answers = answers::read(record, &options.answers)?;
        match answers.first() {
            Some(answer) => answers::find(answer, context, options.offsets).map(Some),
            None if options.no_answer => Ok(None),
            None => Err(
                Error::data(format!("column `{}` has no answer", options.answers.name()))
                    .with_help(
                        "set no_answer = true where a question may have none, as in SQuAD 2.0",
                    ),
            ),
        }
    }
}

/// What the options say and what is usual; the model's limit is 0 when it has none, or is not known.
fn lengths(options: &Options, limit: usize) -> Result<Lengths> {
    if let Some(wanted) = options
        .max_length
        .filter(|wanted| limit > 0 && *wanted > limit)
    {
        bail!(
            Options,
            "max_length: the model takes {limit} tokens, fewer than {wanted}"
        );
    }
    let usual = match limit {
        0 => USUAL.window,
        limit => limit.min(USUAL.window),
    };
    let window = options.max_length.unwrap_or(usual);
    let usual = |usual: usize, share: usize| usual.min(window / share);
    let lengths = Lengths {
        window,
        overlap: options.doc_stride.unwrap_or(usual(USUAL.overlap, 3)),
        question: options
            .max_question_length
            .unwrap_or(usual(USUAL.question, 2)),
    };
    for (key, value) in [
        ("doc_stride", lengths.overlap),
        ("max_question_length", lengths.question),
    ] {
        ensure!(
            value < window,
            Options,
            "{key}: expected less than the {window} tokens of a window, found {value}"
        );
    }
    Ok(lengths)
}

/// Logits of starts or ends, those at padding out of reach: `[batch, time]`.
fn logits(outputs: &TensorMap, which: &str, padding: &Tensor) -> Result<Tensor> {
    let logits = outputs.require(&format!("{which}_logits"))?;
    ensure!(
        logits.size() == padding.size(),
        Tensor,
        "expected {which}_logits to have the shape of attention_mask, {:?}; found {:?}",
        padding.size(),
        logits.size()
    );
    let logits = logits.f_to_kind(Kind::Float)?;
    Ok(logits.f_masked_fill(padding, f64::NEG_INFINITY)?)
}

fn ints(tensor: &Tensor) -> Result<Vec<i64>> {
    let flat = tensor.f_to_device(Device::Cpu)?.f_reshape([-1])?;
    Ok(Vec::try_from(&flat.f_to_kind(Kind::Int64)?)?)
}

fn floats(tensor: &Tensor) -> Result<Vec<f64>> {
    let flat = tensor
        .f_detach()?
        .f_to_device(Device::Cpu)?
        .f_reshape([-1])?;
    Ok(Vec::try_from(&flat.f_to_kind(Kind::Double)?)?)
}
