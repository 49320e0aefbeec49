//! Tasks, models and PEFT methods on the bench, sound ones and one that panics everywhere.

use serde_json::{Value, json};
use tenon_plugin_api::info::SiteKind;
use tenon_plugin_api::model::prelude::*;
use tenon_plugin_api::peft::prelude::{Attach, ModelView, Peft, Plan};
use tenon_plugin_api::task::prelude::{
    Column, ColumnInfo, ColumnKind, DataInfo, Encode, Examples, FieldInfo, FieldKind, Loss,
    OutputInfo, Pad, Predictions, Record, Task, TaskInfo, Tokenizer, Values,
};
use tenon_testkit::model::Weights;
use tenon_testkit::{conformance, peft};

/// Options of `bag`.
#[derive(Options)]
struct BagOptions {
    /// Size of the embeddings.
    #[default(4)]
    hidden_size: i64,
}

/// The mean of the tokens' embeddings, and a linear layer.
struct Bag {
    table: Tensor,
    weight: Tensor,
    site: Site,
}

impl Model for Bag {
    const ID: &'static str = "bag";
    const ABOUT: &'static str = "Mean of embeddings.";
    const MODEL_TYPES: &'static [&'static str] = &["bag"];
    const OFFERS: &'static [&'static str] = &["sequence-classification"];
    const INPUTS: &'static [&'static str] = &["input_ids", "attention_mask"];
    const SITES: &'static [SiteDeclaration] = &[SiteDeclaration {
        role: "classifier",
        path: "classifier",
        kind: "linear",
    }];
    type Options = BagOptions;

    fn build(options: BagOptions, build: &Build) -> Result<Self> {
        let hidden = options.hidden_size;
        let labels = build.head().context("no head")?.num_labels as i64;
        let std = Init::Normal { std: 1.0 };
        let table = build
            .sub("embeddings")
            .param("weight", &[20, hidden], std)?;
        let classifier = build.sub("classifier").as_new();
        let weight = classifier.param("weight", &[labels, hidden], std)?;
        let site = SiteInfo {
            name: "classifier".into(),
            role: "classifier".into(),
            kind: SiteKind::Linear,
            layer: None,
            in_features: hidden,
            out_features: labels,
            transposed: false,
        };
        let site = build.site(&site, &[("weight", &weight)])?;
        Ok(Self {
            table,
            weight,
            site,
        })
    }

    fn describe(&self) -> ModelInfo {
        ModelInfo {
            architecture: "Bag".into(),
            ..ModelInfo::default()
        }
    }

    fn forward(&self, inputs: &TensorMap, forward: &Forward) -> Result<TensorMap> {
        let ids = inputs.require("input_ids")?;
        // [batch, time] -> [batch, time, 1]
        let mask = inputs
            .require("attention_mask")?
            .to_kind(Kind::Float)
            .unsqueeze(2);
        // [batch, time, hidden] -> [batch, hidden]
        let tokens = Tensor::f_embedding(&self.table, ids, -1, false, false)? * &mask;
        let dims = [1_i64].as_slice();
        let mean = tokens.sum_dim_intlist(dims, false, Kind::Float)
            / mask.sum_dim_intlist(dims, false, Kind::Float);
        let logits = mean.f_linear::<&Tensor>(&self.weight, None)?;
        let logits = self.site.linear(&mean, logits, forward)?;
        Ok(TensorMap::new().with("logits", logits))
    }
}

#[test]
fn a_sound_model_passes() {
    conformance::model::<Bag>(json!({}));
}

#[test]
fn parameters_are_given_or_drawn() {
    let given = Tensor::ones([20, 4], (Kind::Float, Device::Cpu));
    let weights = Weights::seeded(1)
        .head("sequence-classification", 2)
        .with("embeddings.weight", given);
    tenon_testkit::model::<Bag>(json!({}), &weights);
    assert_eq!(
        weights
            .parameter("embeddings.weight")
            .sum(None)
            .double_value(&[]),
        80.0
    );
    let again = Weights::seeded(1).head("sequence-classification", 2);
    tenon_testkit::model::<Bag>(json!({}), &again);
    let name = "classifier.weight";
    assert_eq!(weights.parameter(name), again.parameter(name));

    let wrong = Weights::seeded(1)
        .head("sequence-classification", 2)
        .with(name, Tensor::ones([3, 4], (Kind::Float, Device::Cpu)));
    let built = tenon_plugin_api::host::ModelHandle::of::<Bag>("{}", wrong);
    assert_eq!(
        tenon_testkit::error(built.map(drop), "a wrong shape").to_string(),
        "host: parameter `classifier.weight` has shape [3, 4], the model wants [2, 4]"
    );
}

/// Options of `parity`.
#[derive(Options)]
struct ParityOptions {
    /// The text.
    #[default("text")]
    text: Column,
    /// Its class.
    #[default("label")]
    label: Column,
}

/// Single-label classification; `MEAN` takes the mean for the sum.
struct Classify<const MEAN: bool> {
    options: ParityOptions,
    labels: Vec<String>,
}

impl<const MEAN: bool> Task for Classify<MEAN> {
    const ID: &'static str = "classify";
    const ABOUT: &'static str = "Single-label classification.";
    const OUTPUTS: &'static [&'static str] = &["label"];
    type Options = ParityOptions;

    fn new(options: ParityOptions) -> Result<Self> {
        let labels = Vec::new();
        Ok(Self { options, labels })
    }

    fn describe(&self) -> TaskInfo {
        let column = |name: &Column, kind, for_prediction| ColumnInfo {
            name: name.to_string(),
            kind,
            for_prediction,
        };
        TaskInfo {
            columns: vec![
                column(&self.options.text, ColumnKind::Text, true),
                column(&self.options.label, ColumnKind::Label, false),
            ],
            head: Some(HeadInfo {
                kind: "sequence-classification".into(),
                num_labels: self.labels.len(),
                problem_type: None,
            }),
            fields: vec![
                FieldInfo::token_ids("input_ids"),
                FieldInfo {
                    name: "labels".into(),
                    kind: FieldKind::Int,
                    pad: Pad::Stack,
                    length: false,
                },
            ],
            output: OutputInfo {
                kind: "label".into(),
                labels: self.labels.clone(),
            },
            ..TaskInfo::default()
        }
    }

    fn prepare(&mut self, data: &DataInfo) -> Result<()> {
        let labels = data.labels.get(&*self.options.label);
        self.labels = labels.cloned().context("no labels were found")?;
        Ok(())
    }

    fn encode(
        &self,
        record: Record<'_>,
        tokenizer: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()> {
        let text = record.text(&self.options.text)?;
        let how = Encode {
            max_length: Some(12),
            ..Encode::default()
        };
        let ids = tokenizer.encode(text, &how)?.ids;
        let example = examples.example().ints("input_ids", &ids);
        if let Some(label) = record.label(&self.options.label) {
            example.int("labels", label);
        }
        Ok(())
    }

    fn loss(&self, outputs: &TensorMap, batch: &TensorMap) -> Result<Loss> {
        let logits = outputs.require("logits")?;
        let reduction = if MEAN {
            tch::Reduction::Mean
        } else {
            tch::Reduction::Sum
        };
        let labels = batch.require("labels")?;
        Ok(Loss {
            sum: logits.f_cross_entropy_loss::<Tensor>(labels, None, reduction, -100, 0.0)?,
            weight: logits.size()[0] as f64,
        })
    }

    fn predict(&self, outputs: &TensorMap, batch: &TensorMap) -> Result<Predictions> {
        let ids = |tensor: &Tensor| -> Result<Values> {
            Ok(Values::labels(Vec::<i64>::try_from(tensor)?))
        };
        Ok(Predictions {
            predictions: ids(&outputs.require("logits")?.argmax(1, false))?,
            references: batch.get("labels").map(ids).transpose()?,
        })
    }
}

#[test]
fn a_sound_task_passes() {
    conformance::task::<Classify<false>>(json!({}));
}

#[test]
#[should_panic(expected = "the loss is no sum")]
fn a_mean_is_no_sum() {
    conformance::task::<Classify<true>>(json!({}));
}

/// Adds a trained vector to the output of query layers; `SCALED` forgets to merge the scale.
struct Shift<const SCALED: bool>;

struct ShiftAt<const SCALED: bool>(Tensor);

impl<const SCALED: bool> Peft for Shift<SCALED> {
    const ID: &'static str = "shift";
    const ABOUT: &'static str = "Adds a vector.";
    type Options = ();

    fn new((): ()) -> Result<Self> {
        Ok(Self)
    }

    fn plan(&mut self, model: &ModelView) -> Result<Plan> {
        let sites = model.sites.iter().filter(|site| site.role == "query");
        Ok(Plan {
            sites: sites.map(|site| site.name.clone()).collect(),
            trainable: vec!["classifier.weight".into()],
        })
    }

    fn attach(&mut self, site: &SiteInfo, _: &TensorMap, build: &Build) -> Result<Box<dyn Attach>> {
        let shift = build.param("shift", &[site.out_features], Init::Zeros)?;
        Ok(Box::new(ShiftAt::<SCALED>(shift)))
    }
}

impl<const SCALED: bool> Attach for ShiftAt<SCALED> {
    fn forward(&self, tensors: Vec<Tensor>, _: &Forward) -> Result<Vec<Tensor>> {
        let scale = if SCALED { 2.0 } else { 1.0 };
        Ok(vec![&tensors[1] + &self.0 * scale])
    }

    fn delta(&self) -> Result<Option<TensorMap>> {
        Ok(Some(TensorMap::new().with("bias", self.0.detach())))
    }
}

#[test]
fn a_sound_method_passes() {
    conformance::peft::<Shift<false>>();
}

#[test]
#[should_panic(expected = "merging at `bert.encoder.layer.0.attention.self.query` changes")]
fn a_wrong_merge_is_found() {
    conformance::peft::<Shift<true>>();
}

#[test]
fn a_method_attaches_to_a_model_that_it_does_not_know() {
    let weights = Weights::seeded(5).head("sequence-classification", 2);
    let model = tenon_testkit::model::<Bag>(json!({}), &weights);
    let mut method = peft::<Shift<false>>(Value::Object(serde_json::Map::new()));
    let attached = tenon_testkit::peft::attach(&mut method, &weights, "classifier", 1);
    attached.disturb(1);
    let input = |ids: &[i64]| {
        TensorMap::new()
            .with("input_ids", Tensor::from_slice(ids).unsqueeze(0))
            .with(
                "attention_mask",
                Tensor::from_slice(ids).ones_like().unsqueeze(0),
            )
    };
    let forward = Forward::new(false, 0);
    let logits = |model: &tenon_plugin_api::host::ModelHandle| {
        let out = tenon_testkit::ok(model.forward(&input(&[5, 6, 7]), &forward), "forward");
        tenon_testkit::ok(out.require("logits").map(Tensor::shallow_clone), "logits")
    };
    let before = logits(&model);
    let shift = attached.parameters[0].1.detach();
    let handle = attached.handle;
    weights.attach(
        "classifier",
        Box::new(move |tensors, forward| handle.forward(tensors, forward)),
    );
    let difference = tenon_testkit::model::largest_difference(&logits(&model), &(before + shift));
    assert!(difference < 1e-6, "{difference:e}");
}
