//! The task: records to examples, logits to losses and predictions.

use tenon_plugin_api::names::did_you_mean;
use tenon_plugin_api::task::prelude::*;
use tenon_plugin_api::tch::Reduction;

use crate::options::{Options, Problem};
use crate::prompted::Prompted;

/// The task.
#[derive(Debug)]
pub struct Classification {
    options: Options,
    /// What the label is; [`Problem::Auto`] until the data is known.
    problem: Problem,
    /// Class names by id; empty for a regression.
    labels: Vec<String>,
    /// One a class; empty when all are 1.
    class_weights: Vec<f32>,
    max_length: Option<usize>,
    /// Asks a language model in place of a head.
    prompted: Option<Prompted>,
}

impl Task for Classification {
    const ID: &'static str = "classification";
    const ABOUT: &'static str =
        "Predicts a class, a set of classes or a number for a text or a pair of texts";
    const OUTPUTS: &'static [&'static str] = &["label", "labels", "number"];
    type Options = Options;

    fn new(options: Options) -> Result<Self> {
        let problem = options.problem;
        check_options(&options, problem)?;
        let max_length = options.max_length;
        let (labels, class_weights) = (Vec::new(), Vec::new());
        Ok(Self {
            options,
            problem,
            labels,
            class_weights,
            max_length,
            prompted: None,
        })
    }

    fn describe(&self) -> TaskInfo {
        let options = &self.options;
        let text = |column: &Column| ColumnInfo {
            name: column.name().to_owned(),
            kind: ColumnKind::Text,
            for_prediction: true,
        };
        let mut columns = vec![text(&options.text)];
        columns.extend(options.text_pair.as_ref().map(text));
        columns.push(ColumnInfo {
            name: options.label.name().to_owned(),
            kind: label_column(self.problem),
            for_prediction: false,
        });
        let label_values = match self.problem {
            Problem::Auto | Problem::SingleLabel => FieldKind::Int,
            Problem::MultiLabel | Problem::Regression => FieldKind::Float,
        };
        let head = match &self.prompted {
            Some(prompted) => HeadInfo {
                kind: prompted.head().to_owned(),
                ..HeadInfo::default()
            },
            None => HeadInfo {
                kind: "sequence-classification".to_owned(),
                num_labels: self.num_labels(),
                problem_type: problem_type(self.problem).map(str::to_owned),
            },
        };
        let fields = match &self.prompted {
            Some(_) => Prompted::fields(),
            None => vec![
                FieldInfo::token_ids("input_ids"),
                FieldInfo::ints("token_type_ids", 0),
                FieldInfo::stacked("labels", label_values),
            ],
        };
        TaskInfo {
            columns,
            head: Some(head),
            fields,
            promptable: true,
            concludes: self.prompted.is_some(),
            output: OutputInfo {
                kind: output_kind(self.problem).name().to_owned(),
                labels: self.labels.clone(),
            },
            metrics: default_metrics(self.problem),
            ..TaskInfo::default()
        }
    }

    fn prepare(&mut self, data: &DataInfo) -> Result<()> {
        let column = self.options.label.name();
        self.problem = match (self.options.problem, data.kinds.get(column)) {
            (Problem::Auto, _) if self.options.num_labels == Some(1) => Problem::Regression,
            (Problem::Auto, Some(ColumnKind::Labels)) => Problem::MultiLabel,
            (Problem::Auto, Some(ColumnKind::Number)) => Problem::Regression,
            (Problem::Auto, _) => Problem::SingleLabel,
            (given, _) => given,
        };
        check_options(&self.options, self.problem)?;
        if self.problem != Problem::Regression {
            let found = data.labels.get(column).map_or(&[][..], Vec::as_slice);
            self.labels = class_names(&self.options, self.problem, found)?;
        }
        self.class_weights = class_weights(&self.options, &self.labels)?;
        self.max_length = max_length(self.options.max_length, data.max_length)?;
        if let Some(prompt) = &data.prompt {
            ensure!(
                self.problem == Problem::SingleLabel,
                Options,
                "[prompt]: a prompt is answered with one label, and the problem is another"
            );
            let pair = self.options.text_pair.as_ref();
            let texts = std::iter::once(&self.options.text).chain(pair);
            let texts = texts.map(|column| column.name().to_owned()).collect();
            let prompted = Prompted::new(data, prompt, texts, column, &self.labels)?;
            self.prompted = Some(prompted);
        }
        Ok(())
    }

    fn encode(
        &self,
        record: Record<'_>,
        tokenizer: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()> {
        if let Some(prompted) = &self.prompted {
            return prompted.encode(record, tokenizer, examples);
        }
        let options = &self.options;
        let text = record.text(&options.text)?;
        let pair = match &options.text_pair {
            Some(column) => Some(record.text(column)?),
            None => None,
        };
        let how = Encode {
            pair,
            max_length: self.max_length,
            truncation: options.truncation.into(),
            ..Encode::default()
        };
        let encoding = tokenizer.encode(text, &how)?;
        let target = match record.has(&options.label) {
            true => Some(self.target(record)?),
            false => None,
        };
        let example = examples
            .example()
            .ints("input_ids", &encoding.ids)
            .ints("token_type_ids", &encoding.type_ids);
        match target {
            Some(Target::Class(id)) => drop(example.int("labels", id)),
            Some(Target::Numbers(numbers)) => drop(example.floats("labels", &numbers)),
            None => {}
        }
        Ok(())
    }

    fn loss(&self, outputs: &TensorMap, batch: &TensorMap) -> Result<Loss> {
        ensure!(
            self.prompted.is_none(),
            Unsupported,
            "with [prompt] nothing is trained; leave it out to fine-tune"
        );
        let labels = batch.require("labels")?;
        let logits = self.logits(outputs)?; // [batch, num_labels]
        let examples = logits.size()[0] as f64;
        match self.problem {
            Problem::Auto | Problem::SingleLabel => {
                let labels = labels.f_to_kind(Kind::Int64)?.f_view([-1])?; // [batch]
                let weights = self.weights_on(logits.device())?;
                let weight = match &weights {
                    Some(weights) => weights
                        .f_index_select(0, &labels)?
                        .f_sum(Kind::Double)?
                        .f_double_value(&[])?,
                    None => examples,
                };
                let smoothing = self.options.label_smoothing;
                let sum = logits.f_cross_entropy_loss(
                    &labels,
                    weights,
                    Reduction::Sum,
                    NO_CLASS,
                    smoothing,
                )?;
                Ok(Loss { sum, weight })
            }
            Problem::MultiLabel => {
                let labels = labels.f_to_kind(Kind::Float)?.f_view_as(&logits)?;
                let none = None::<Tensor>;
                let present = self.weights_on(logits.device())?;
                let all = logits.f_binary_cross_entropy_with_logits(
                    &labels,
                    none,
                    present,
                    Reduction::Sum,
                )?;
                let sum = all.f_div_scalar(self.num_labels() as f64)?;
                Ok(Loss {
                    sum,
                    weight: examples,
                })
            }
            Problem::Regression => {
                let labels = labels.f_to_kind(Kind::Float)?.f_view_as(&logits)?;
                let sum = logits.f_mse_loss(&labels, Reduction::Sum)?;
                Ok(Loss {
                    sum,
                    weight: examples,
                })
            }
        }
    }

    fn predict(&self, outputs: &TensorMap, batch: &TensorMap) -> Result<Predictions> {
        if let Some(prompted) = &self.prompted {
            return prompted.predict(outputs, batch);
        }
        let logits = self.logits(outputs)?.f_detach()?; // [batch, num_labels]
        let labels = batch.get("labels");
        match self.problem {
            Problem::Auto | Problem::SingleLabel => {
                let ids = ints(&logits.f_argmax(-1, false)?)?;
                let scores = floats(&logits.f_softmax(-1, Kind::Float)?)?;
                let references = labels.map(ints).transpose()?;
                Ok(Predictions {
                    predictions: Values::labels_with_scores(ids, scores)?,
                    references: references.map(Values::labels),
                })
            }
            Problem::MultiLabel => {
                let scores = floats(&logits.f_sigmoid()?)?;
                let classes = self.num_labels();
                let sets = classes_above(&scores, classes, self.options.threshold);
                let references = labels.map(floats).transpose()?;
                let references =
                    references.map(|present| classes_above(&present, classes, PRESENT));
                Ok(Predictions {
                    predictions: Values::label_sets_with_scores(sets, scores)?,
                    references: references.map(Values::label_sets),
                })
            }
            Problem::Regression => Ok(Predictions {
                predictions: Values::numbers(floats(&logits)?),
                references: labels.map(floats).transpose()?.map(Values::numbers),
            }),
        }
    }

    fn conclude(&self, records: Records<'_>, found: Found<'_>) -> Result<Predictions> {
        match &self.prompted {
            Some(prompted) => prompted.conclude(records, found),
            None => bail!(Unsupported, "classification concludes of prompts only"),
        }
    }
}

/// `ignore_index` of libtorch's cross entropy; no label has this id.
const NO_CLASS: i64 = -100;

/// The fields of a multi-label example are 0 or 1.
const PRESENT: f64 = 0.5;

/// The label of an example.
enum Target {
    Class(i64),
    /// The number of a regression, or 1 for each class that is present and 0 for the others.
    Numbers(Vec<f32>),
}

impl Classification {
    /// 0 until the data is known.
    fn num_labels(&self) -> usize {
        match self.problem {
            Problem::Regression => 1,
            _ => self.labels.len(),
        }
    }

    fn target(&self, record: Record<'_>) -> Result<Target> {
        let column = self.options.label.name();
        let absent = |expected: &str| {
            Error::data(format!(
                "reading `{column}`: expected {expected}, found none"
            ))
            .with_help("label the record, or leave it out")
        };
        match self.problem {
            Problem::Auto | Problem::SingleLabel => {
                let id = record.label(column).ok_or_else(|| absent("a class"))?;
                Ok(Target::Class(self.known(id)?))
            }
            Problem::MultiLabel => {
                let ids = record
                    .labels(column)
                    .ok_or_else(|| absent("a list of classes"))?;
                let mut present = vec![0.0; self.labels.len()];
                for id in ids {
                    present[self.known(*id)? as usize] = 1.0;
                }
                Ok(Target::Numbers(present))
            }
            Problem::Regression => {
                let number = record.number(column).ok_or_else(|| absent("a number"))?;
                ensure!(
                    number.is_finite(),
                    Data,
                    "reading `{column}`: expected a finite number, found {number}"
                );
                Ok(Target::Numbers(vec![number as f32]))
            }
        }
    }

    fn known(&self, id: i64) -> Result<i64> {
        let classes = self.labels.len();
        ensure!(
            (0..classes as i64).contains(&id),
            Data,
            "reading `{}`: expected a class id below {classes}, found {id}",
            self.options.label
        );
        Ok(id)
    }

    /// The logits in float32, `[batch, num_labels]`.
    fn logits(&self, outputs: &TensorMap) -> Result<Tensor> {
        let logits = outputs.require("logits")?;
        let (shape, classes) = (logits.size(), self.num_labels());
        ensure!(
            shape.len() == 2 && shape[1] == classes as i64,
            Tensor,
            "reading `logits`: expected the shape [batch, {classes}], found {shape:?}"
        );
        Ok(logits.f_to_kind(Kind::Float)?)
    }

    fn weights_on(&self, device: Device) -> Result<Option<Tensor>> {
        if self.class_weights.is_empty() {
            return Ok(None);
        }
        let weights = Tensor::f_from_slice(&self.class_weights)?;
        Ok(Some(weights.f_to_device(device)?))
    }
}

fn label_column(problem: Problem) -> ColumnKind {
    match problem {
        Problem::Auto => ColumnKind::Auto,
        Problem::SingleLabel => ColumnKind::Label,
        Problem::MultiLabel => ColumnKind::Labels,
        Problem::Regression => ColumnKind::Number,
    }
}

/// The name in `config.json`.
fn problem_type(problem: Problem) -> Option<&'static str> {
    match problem {
        Problem::Auto => None,
        Problem::SingleLabel => Some("single_label_classification"),
        Problem::MultiLabel => Some("multi_label_classification"),
        Problem::Regression => Some("regression"),
    }
}

fn output_kind(problem: Problem) -> ValueKind {
    match problem {
        Problem::Auto | Problem::SingleLabel => ValueKind::Label,
        Problem::MultiLabel => ValueKind::Labels,
        Problem::Regression => ValueKind::Number,
    }
}

fn default_metrics(problem: Problem) -> Vec<MetricRequest> {
    let f1 = |average: &str| MetricRequest::new("f1").option("average", average);
    match problem {
        Problem::Auto | Problem::SingleLabel => {
            vec![MetricRequest::new("accuracy"), f1("macro")]
        }
        Problem::MultiLabel => vec![f1("micro"), f1("macro"), MetricRequest::new("accuracy")],
        Problem::Regression => vec![
            MetricRequest::new("pearson"),
            MetricRequest::new("spearman"),
        ],
    }
}

/// Refuses options that say nothing for this problem.
fn check_options(options: &Options, problem: Problem) -> Result<()> {
    let word = match problem {
        Problem::Auto => return Ok(()),
        Problem::SingleLabel => "single_label",
        Problem::MultiLabel => "multi_label",
        Problem::Regression => "regression",
    };
    let smoothed = options.label_smoothing > 0.0;
    if smoothed && problem != Problem::SingleLabel {
        bail!(
            Options,
            "label_smoothing: it applies to `single_label`, and the problem is `{word}`"
        );
    }
    if problem == Problem::Regression {
        if !options.class_weights.is_empty() {
            bail!(Options, "class_weights: a regression has no classes");
        }
        if let Some(outputs) = options.num_labels.filter(|outputs| *outputs != 1) {
            bail!(
                Options,
                "num_labels: expected 1 for a regression, found {outputs}"
            );
        }
    }
    Ok(())
}

/// The classes of the head: those of the data, and as many more as `num_labels` asks for, named as
/// `transformers` does.
fn class_names(options: &Options, problem: Problem, found: &[String]) -> Result<Vec<String>> {
    let (column, count) = (&options.label, found.len());
    let wanted = options.num_labels.unwrap_or(count);
    if wanted < count {
        bail!(
            Options,
            "num_labels: `{column}` has {count} classes, more than {wanted}"
        );
    }
    let least = if problem == Problem::SingleLabel {
        2
    } else {
        1
    };
    if wanted < least {
        let found = match found.first() {
            Some(only) => format!("only `{only}`"),
            None => "none".to_owned(),
        };
        return Err(
            Error::data(format!("finding the classes in `{column}`: {found}"))
                .with_help("set `num_labels` if the data is to have more classes later"),
        );
    }
    let more = (count..wanted).map(|id| format!("LABEL_{id}"));
    Ok(found.iter().cloned().chain(more).collect())
}

fn class_weights(options: &Options, labels: &[String]) -> Result<Vec<f32>> {
    if options.class_weights.is_empty() {
        return Ok(Vec::new());
    }
    let mut weights = vec![1.0; labels.len()];
    for (name, weight) in &options.class_weights {
        if !(weight.is_finite() && *weight >= 0.0) {
            bail!(
                Options,
                "class_weights.{name}: expected a number ≥ 0, found {weight}"
            );
        }
        match labels.iter().position(|label| label == name) {
            Some(id) => weights[id] = *weight as f32,
            None => bail!(
                Options,
                "class_weights.{name}: `{}` has no class `{name}`{} (classes: {})",
                options.label,
                did_you_mean(name, labels.iter().map(String::as_str)),
                labels.join(", ")
            ),
        }
    }
    Ok(weights)
}

/// The most tokens of an example; the model's limit is 0 when it has none.
fn max_length(wanted: Option<usize>, limit: usize) -> Result<Option<usize>> {
    let limit = (limit > 0).then_some(limit);
    match (wanted, limit) {
        (Some(wanted), Some(limit)) if wanted > limit => Err(Error::options(format!(
            "max_length: the model takes {limit} tokens, fewer than {wanted}"
        ))),
        _ => Ok(wanted.or(limit)),
    }
}

/// For each row of `[examples, classes]`, the classes with a value above `threshold`.
fn classes_above(values: &[f64], classes: usize, threshold: f64) -> Vec<Vec<i64>> {
    let above = |row: &[f64]| {
        let ids = (0..).zip(row).filter(|(_, value)| **value > threshold);
        ids.map(|(id, _)| id).collect()
    };
    values.chunks_exact(classes).map(above).collect()
}

fn ints(tensor: &Tensor) -> Result<Vec<i64>> {
    let flat = tensor.f_to_device(Device::Cpu)?.f_view([-1])?;
    Ok(Vec::try_from(&flat.f_to_kind(Kind::Int64)?)?)
}

fn floats(tensor: &Tensor) -> Result<Vec<f64>> {
    let flat = tensor.f_to_device(Device::Cpu)?.f_view([-1])?;
    Ok(Vec::try_from(&flat.f_to_kind(Kind::Double)?)?)
}
