//! What is trained of a small BERT, and that no gradient reaches the rest.

use tenon_nn::{Embedding, LayerNorm, Linear, SiteLinear};
use tenon_plugin_api::info::ModelInfo;
use tenon_plugin_api::model::{Forward, Model};
use tenon_plugin_api::options::Options as _;
use tenon_plugin_api::peft::prelude::*;
use tenon_testkit::model::Weights;

use crate::layers::top_layers;
use crate::{Freeze, Options};

/// A BERT of two layers: 41 parameters, of which the classifier's two are the head.
fn bert() -> ModelView {
    let mut view = ModelView {
        model: "bert".to_owned(),
        ..ModelView::default()
    };
    let mut add = |name: &str, ends: &[&str], role, head| {
        for end in ends {
            view.parameters.push(ParamInfo {
                name: format!("{name}.{end}"),
                shape: vec![4; if *end == "bias" { 1 } else { 2 }],
                head,
                role,
                ..ParamInfo::default()
            });
        }
    };
    let both = ["weight", "bias"];
    for table in ["word", "position", "token_type"] {
        let name = format!("bert.embeddings.{table}_embeddings");
        add(&name, &both[..1], Some(ParamRole::Embedding), false);
    }
    let norm = Some(ParamRole::Norm);
    add("bert.embeddings.LayerNorm", &both, norm, false);
    for layer in 0..2 {
        for (part, _) in PARTS {
            add(
                &format!("bert.encoder.layer.{layer}.{part}"),
                &both,
                None,
                false,
            );
        }
        for part in ["attention.output", "output"] {
            let name = format!("bert.encoder.layer.{layer}.{part}.LayerNorm");
            add(&name, &both, norm, false);
        }
    }
    add("bert.pooler.dense", &both, None, false);
    add("classifier", &both, None, true);

    let mut site = |name: &str, role: &str, layer| view.sites.push(linear(name, role, layer));
    for layer in 0..2 {
        for (part, role) in PARTS {
            site(
                &format!("bert.encoder.layer.{layer}.{part}"),
                role,
                Some(layer),
            );
        }
    }
    site("bert.pooler.dense", "pooler", None);
    site("classifier", "classifier", None);
    view
}

const PARTS: [(&str, &str); 6] = [
    ("attention.self.query", "query"),
    ("attention.self.key", "key"),
    ("attention.self.value", "value"),
    ("attention.output.dense", "attention_output"),
    ("intermediate.dense", "intermediate"),
    ("output.dense", "output"),
];

fn linear(name: &str, role: &str, layer: Option<usize>) -> SiteInfo {
    SiteInfo {
        name: name.to_owned(),
        role: role.to_owned(),
        kind: SiteKind::Linear,
        layer,
        in_features: 4,
        out_features: 4,
        transposed: false,
    }
}

fn plan(options: &Value, model: &ModelView) -> Result<Plan> {
    Freeze::new(Options::from_json(&options.to_string())?)?.plan(model)
}

/// Holds that these options train `count` parameters: those that `is_trained` says.
#[track_caller]
fn check(options: Value, count: usize, is_trained: impl Fn(&str) -> bool) {
    let model = bert();
    let plan = plan(&options, &model).expect("a plan");
    tenon_testkit::peft::check_plan(&plan, &model);
    assert_eq!(plan.sites, [""; 0], "{options}");
    let names = model.parameters.iter().map(|info| info.name.as_str());
    let expected: Vec<_> = names.filter(|name| is_trained(name)).collect();
    assert_eq!(plan.trainable, expected, "{options}");
    assert_eq!(plan.trainable.len(), count, "{options}");
}

#[test]
fn the_head_alone() {
    check(json!({}), 2, |name| name.starts_with("classifier."));
}

#[test]
fn top_layers_and_the_head() {
    let head = |name: &str| name.starts_with("classifier.");
    check(json!({"layers": 1}), 18, |name| {
        name.contains("layer.1.") || head(name)
    });
    check(json!({"layers": 2}), 34, |name| {
        name.contains("layer.") || head(name)
    });
    check(json!({"layers": 1, "train": "pooler"}), 20, |name| {
        name.contains("layer.1.") || name.contains("pooler") || head(name)
    });
}

/// Whether a parameter of that name is trained.
type Expected = fn(&str) -> bool;

#[test]
fn groups_roles_names_and_patterns() {
    let cases: [(Value, usize, Expected); 9] = [
        (json!("biases"), 19, |name| name.ends_with(".bias")),
        (json!("norms"), 10, |name| name.contains("LayerNorm")),
        (json!("embeddings"), 3, |name| {
            name.ends_with("embeddings.weight")
        }),
        (json!("all"), 41, |_| true),
        // the role of the feed-forward network's, not the module of that name in attention
        (json!("output"), 4, |name| {
            name.contains(".output.dense") && !name.contains("attention")
        }),
        (json!("attention"), 20, |name| name.contains(".attention.")),
        (json!("query.weight"), 2, |name| {
            name.ends_with("query.weight")
        }),
        (json!("*.layer.0.*.bias"), 8, |name| {
            name.contains("layer.0.") && name.ends_with(".bias")
        }),
        (json!(["norms", "pooler"]), 12, |name| {
            name.contains("LayerNorm") || name.contains("pooler")
        }),
    ];
    for (train, count, is_trained) in cases {
        let head = |name: &str| name.starts_with("classifier.");
        let of_the_head = bert()
            .parameters
            .iter()
            .filter(|info| head(&info.name) && !is_trained(&info.name))
            .count();
        check(json!({ "train": train }), count + of_the_head, |name| {
            is_trained(name) || head(name)
        });
    }
}

#[test]
fn what_is_frozen_stays_so() {
    check(json!({"freeze": "embeddings"}), 38, |name| {
        !name.ends_with("embeddings.weight")
    });
    check(json!({"freeze": "*.embeddings.*"}), 36, |name| {
        !name.contains(".embeddings.")
    });
    check(json!({"freeze": "head"}), 39, |name| {
        !name.starts_with("classifier")
    });
    check(
        json!({"layers": 1, "freeze": ["head", "norms"]}),
        12,
        |name| name.contains("layer.1.") && !name.contains("LayerNorm"),
    );
}

/// A head that the pretrained weights bring is the task's head all the same, and so is one that
/// only its newness tells of.
#[test]
fn the_head_may_be_pretrained() {
    let mut model = bert();
    for info in &mut model.parameters {
        (info.new, info.head) = (info.head, false);
    }
    let plan = plan(&json!({}), &model).expect("a plan");
    assert_eq!(plan.trainable, ["classifier.weight", "classifier.bias"]);
}

/// A model of a later version may declare roles that this one does not know.
#[test]
fn unknown_roles_are_no_fault() {
    let info = json!({"name": "router.weight", "shape": [2, 4], "role": "router"});
    let info: ParamInfo = serde_json::from_value(info).expect("readable");
    assert_eq!(info.role, Some(ParamRole::Other));
    let mut model = bert();
    model.parameters.push(info);
    let plan = plan(&json!({"train": "router"}), &model).expect("a plan");
    assert_eq!(
        plan.trainable,
        ["classifier.weight", "classifier.bias", "router.weight"]
    );
}

#[test]
fn layers_are_told_by_sites_and_not_by_names() {
    let view = |sites: &[(&str, Option<usize>)]| ModelView {
        sites: sites
            .iter()
            .map(|(name, layer)| linear(name, "x", *layer))
            .collect(),
        ..ModelView::default()
    };
    // two stacks, the layers of one in no order of names
    let model = view(&[
        ("encoder.b9.attention.q", Some(0)),
        ("encoder.b9.mlp", Some(0)),
        ("encoder.b10.attention.q", Some(1)),
        ("encoder.b10.mlp", Some(1)),
        ("encoder.b11.attention.q", Some(2)),
        ("decoder.first.q", Some(0)),
        ("decoder.second.q", Some(1)),
        ("lm_head", None),
    ]);
    let top = |count| top_layers(&model, count).expect("so many layers");
    assert_eq!(top(1), ["decoder.second", "encoder.b11"]);
    assert_eq!(
        top(3),
        [
            "decoder.second",
            "decoder.first",
            "encoder.b11",
            "encoder.b10",
            "encoder.b9"
        ]
    );
    let single = view(&[
        ("m.blocks.only.q", Some(0)),
        ("m.blocks.only.k", Some(0)),
        ("m.head", None),
    ]);
    assert_eq!(top_layers(&single, 1).expect("one layer"), ["m.blocks"]);
}

#[test]
fn faults() {
    let mut plain = bert();
    plain.sites.clear();
    for info in &mut plain.parameters {
        (info.role, info.head) = (None, false);
    }
    let cases = [
        (json!({"train": ["biasses", "norm", "poooler"]}), bert()),
        (
            json!({"train": "*.layer.7.*", "freeze": "embedings"}),
            bert(),
        ),
        (json!({"freeze": "layer.2"}), bert()),
        (json!({"layers": 3}), bert()),
        (json!({"layers": 0}), bert()),
        (json!({"layer": 1}), bert()),
        (json!({"train": "all", "freeze": "all"}), bert()),
        (json!({"layers": 1}), plain.clone()),
        (json!({"train": ["norms", "head"]}), plain.clone()),
        (json!({}), plain),
    ];
    let text = cases.map(|(options, model)| {
        let error = tenon_testkit::error(plan(&options, &model), &options.to_string());
        format!("{options}\n  {error}")
    });
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn conformance() {
    tenon_testkit::conformance::peft::<Freeze>();
    tenon_testkit::conformance::peft_with::<Freeze>(json!({"layers": 1, "train": "norms"}));
}

/// Two residual layers `x + norm(dense(x))` over embeddings, and a classifier of their mean.
struct Tiny {
    words: Embedding,
    layers: Vec<(SiteLinear, LayerNorm)>,
    classifier: SiteLinear,
}

impl Model for Tiny {
    const ID: &'static str = "tiny";
    const MODEL_TYPES: &'static [&'static str] = &["tiny"];
    const OFFERS: &'static [&'static str] = &["sequence-classification"];
    const INPUTS: &'static [&'static str] = &["input_ids"];
    type Options = ();

    fn build((): (), build: &Build) -> Result<Self> {
        let layer = |number: usize| -> Result<_> {
            let build = build.sub(format!("blocks.{number}"));
            let dense = build.sub("dense");
            let linear =
                Linear::new(&dense, 4, 4, 0.5)?.with_site(&dense, "dense", Some(number))?;
            Ok((linear, LayerNorm::new(&build.sub("scale"), 4, 1e-5)?))
        };
        let head = build.as_new().sub("classifier");
        Ok(Self {
            words: Embedding::new(&build.sub("words"), 10, 4, 1.0)?,
            layers: (0..2).map(layer).collect::<Result<_>>()?,
            classifier: Linear::new(&head, 4, 2, 0.5)?.with_site(&head, "classifier", None)?,
        })
    }

    fn describe(&self) -> ModelInfo {
        ModelInfo::default()
    }

    fn forward(&self, inputs: &TensorMap, forward: &Forward) -> Result<TensorMap> {
        let mut x = self.words.forward(inputs.require("input_ids")?)?;
        for (dense, norm) in &self.layers {
            x = x.f_add(&norm.forward(&dense.forward(&x, forward)?)?)?;
        }
        let logits = self.classifier.forward(&x, forward)?;
        Ok(TensorMap::new().with("logits", logits))
    }
}

/// The names of the parameters of [`Tiny`] that a backward pass gives a gradient.
fn reached(options: &Value) -> Vec<String> {
    let weights = Weights::seeded(3).head("sequence-classification", 2);
    let model = tenon_testkit::model::<Tiny>(json!({}), &weights);
    let view = weights.view("tiny");
    assert_eq!(view.head.as_ref().map(|head| head.num_labels), Some(2));
    let mut method = tenon_testkit::peft::<Freeze>(options.clone());
    let plan = tenon_testkit::ok(method.plan(&view), "planning");
    // as the host does
    for info in &view.parameters {
        let _ = weights
            .parameter(&info.name)
            .set_requires_grad(plan.trainable.contains(&info.name));
    }
    let inputs = TensorMap::new().with("input_ids", Tensor::from_slice(&[1_i64, 5, 7]));
    let outputs = tenon_testkit::ok(model.forward(&inputs, &Forward::new(true, 1)), "forward");
    let logits = tenon_testkit::ok(
        outputs.require("logits").map(Tensor::shallow_clone),
        "logits",
    );
    logits.square().sum(Kind::Float).backward();
    let has_gradient = |name: &String| {
        let gradient = weights.parameter(name).grad();
        gradient.defined() && gradient.abs().max().double_value(&[]) > 0.0
    };
    let names = view.parameters.into_iter().map(|info| info.name);
    names.filter(has_gradient).collect()
}

#[test]
fn gradients_reach_what_is_trained_and_nothing_else() {
    let head = ["classifier.weight", "classifier.bias"];
    let cases: [(Value, &[&str]); 4] = [
        (json!({}), &[]),
        (
            json!({"layers": 1}),
            &[
                "blocks.1.dense.weight",
                "blocks.1.dense.bias",
                "blocks.1.scale.weight",
                "blocks.1.scale.bias",
            ],
        ),
        (
            json!({"train": "norms"}),
            &[
                "blocks.0.scale.weight",
                "blocks.0.scale.bias",
                "blocks.1.scale.weight",
                "blocks.1.scale.bias",
            ],
        ),
        (json!({"train": "embeddings"}), &["words.weight"]),
    ];
    for (options, expected) in cases {
        let mut expected: Vec<_> = expected.iter().chain(&head).copied().collect();
        expected.sort_unstable();
        let mut found = reached(&options);
        found.sort_unstable();
        assert_eq!(found, expected, "{options}");
    }
}
