//! Every head of BERT and RoBERTa equals that of `transformers`, frozen in `tests/fixtures/encoders`: outputs,
//! losses and every gradient.

mod host;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use host::{Store, close, load, same_gradients};
use tenon_plugin_api::Result;
use tenon_plugin_api::host::ModelHandle;
use tenon_plugin_api::info::HeadInfo;
use tenon_plugin_api::model::Forward;
use tenon_plugin_api::tch::{Kind, Reduction, Tensor};
use tenon_plugin_api::tensor::TensorMap;

/// Share of the largest gradient below which those are that cancel, as that of `qa_outputs.bias`: a softmax does
/// not see it.
const FLOOR: f64 = 2e-2;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../tests/fixtures/encoders")
        .join(name)
}

/// The fixtures, and the head that each has.
const CASES: [(&str, &str); 12] = [
    ("bert-answers", "question-answering"),
    ("bert-tokens", "token-classification"),
    ("bert-words", "masked-lm"),
    ("bert-words-untied", "masked-lm"),
    ("roberta-encoder", ""),
    ("roberta-sequences", "sequence-classification"),
    ("roberta-answers", "question-answering"),
    ("roberta-tokens", "token-classification"),
    ("roberta-words", "masked-lm"),
    ("camembert-words", "masked-lm"),
    ("xlm-roberta-sequences", "sequence-classification"),
    ("roberta-pair-sequences", "sequence-classification"),
];

/// A fixture's weights, what is frozen of it, and the model on them.
struct Fixture {
    store: Store,
    frozen: host::Tensors,
    model: ModelHandle,
}

fn fixture(name: &str, kind: &str) -> Fixture {
    let frozen = load(&folder(name).join("expected.safetensors"));
    let config = host::config(&folder(name));
    let head = (!kind.is_empty()).then(|| HeadInfo {
        kind: kind.into(),
        num_labels: frozen.get("output.logits").map_or(2, |logits| {
            *logits.size().last().expect("a dimension") as usize
        }),
        problem_type: None,
    });
    let id = match name.starts_with("bert") {
        true => "bert",
        false => "roberta",
    };
    let store = Store::open(&folder(name), head).for_model(id);
    let model = store.model(&host::options(&config));
    Fixture {
        store,
        frozen,
        model,
    }
}

impl Fixture {
    fn input(&self, name: &str) -> &Tensor {
        &self.frozen[&format!("input.{name}")]
    }

    /// The inputs that the fixture has among `names`.
    fn inputs(&self, names: &[&str]) -> TensorMap {
        let given = names.iter().filter_map(|name| {
            let tensor = self.frozen.get(&format!("input.{name}"))?;
            Some(((*name).to_owned(), tensor.shallow_clone()))
        });
        given.collect()
    }

    fn forward(&self, inputs: &TensorMap) -> Result<BTreeMap<String, Tensor>> {
        let outputs = self.model.forward(inputs, &Forward::new(false, 0))?;
        let all = outputs.iter();
        Ok(all
            .map(|(name, tensor)| (name.to_owned(), tensor.shallow_clone()))
            .collect())
    }

    /// The loss that the fixture's script computed.
    fn loss(&self, kind: &str, outputs: &BTreeMap<String, Tensor>) -> Tensor {
        let cross_entropy = |logits: &Tensor, labels: &Tensor| {
            logits.cross_entropy_loss::<Tensor>(labels, None, Reduction::Mean, -100, 0.0)
        };
        match kind {
            "" => {
                let weighed = &outputs["last_hidden_state"] * &self.frozen["weight.hidden"];
                weighed.sum(Kind::Float) + outputs["pooler_output"].sum(Kind::Float)
            }
            "question-answering" => {
                let padding = self.input("attention_mask").eq(0);
                let end = |which: &str| {
                    let logits = &outputs[&format!("{which}_logits")];
                    let logits = logits.masked_fill(&padding, f64::NEG_INFINITY);
                    cross_entropy(&logits, self.input(&format!("{which}_positions")))
                };
                (end("start") + end("end")) / 2
            }
            _ => {
                let logits = &outputs["logits"];
                let classes = *logits.size().last().expect("a dimension");
                let labels = self.input("labels").reshape([-1]);
                cross_entropy(&logits.reshape([-1, classes]), &labels)
            }
        }
    }
}

#[test]
fn outputs_losses_and_gradients() {
    for (name, kind) in CASES {
        println!("{name}");
        let fixture = fixture(name, kind);
        let inputs = fixture.inputs(&["input_ids", "attention_mask", "token_type_ids"]);
        let outputs = fixture.forward(&inputs).expect("outputs");
        let mut compared = 0;
        for (output, found) in &outputs {
            let expected = &fixture.frozen[&format!("output.{output}")];
            assert_eq!(found.size(), expected.size(), "{name}: {output}");
            close(output, found, expected, 0.0);
            compared += 1;
        }
        assert!(compared > 0, "{name} has outputs");
        let loss = fixture.loss(kind, &outputs);
        close("loss", &loss, &fixture.frozen["output.loss"], 0.0);
        loss.backward();
        same_gradients(&fixture.frozen, &fixture.store, FLOOR);
    }
}

/// Given labels, logits of masked words are computed only where there are some, and so are gradients.
#[test]
fn masked_words_are_predicted_only_where_there_are_labels() {
    for (name, _) in CASES.iter().filter(|(_, kind)| *kind == "masked-lm") {
        let fixture = fixture(name, "masked-lm");
        let names = ["input_ids", "attention_mask", "token_type_ids", "labels"];
        let outputs = fixture.forward(&fixture.inputs(&names)).expect("outputs");
        let labels = fixture.input("labels");
        let asked = labels.not_equal(-100);
        let expected = &fixture.frozen["output.logits"];
        let vocab = expected.size()[2];
        let expected = expected
            .masked_select(&asked.unsqueeze(2))
            .view([-1, vocab]);
        assert_eq!(outputs["logits"].size(), expected.size(), "{name}");
        close(name, &outputs["logits"], &expected, 0.0);

        let wanted = labels.masked_select(&asked);
        let loss = outputs["logits"].cross_entropy_loss::<Tensor>(
            &wanted,
            None,
            Reduction::Mean,
            -100,
            0.0,
        );
        close("loss", &loss, &fixture.frozen["output.loss"], 0.0);
        loss.backward();
        same_gradients(&fixture.frozen, &fixture.store, FLOOR);
    }
}

/// What is put before a sequence, as prompts are, moves its tokens on, and the head answers for them alone: as for
/// a batch with those tokens, less their places.
#[test]
fn heads_answer_for_the_tokens_that_came() {
    const PROMPT: i64 = 9;
    for (name, kind, site) in [
        (
            "bert-tokens",
            "token-classification",
            "bert.embeddings.word_embeddings",
        ),
        (
            "roberta-answers",
            "question-answering",
            "roberta.embeddings.word_embeddings",
        ),
        (
            "roberta-words",
            "masked-lm",
            "roberta.embeddings.word_embeddings",
        ),
    ] {
        let plain = fixture(name, kind);
        let mut longer = plain.inputs(&["input_ids", "attention_mask"]);
        for (input, value) in [("input_ids", PROMPT), ("attention_mask", 1)] {
            let given = plain.input(input);
            let front = Tensor::full([given.size()[0], 2], value, (Kind::Int64, given.device()));
            longer.insert(input, Tensor::cat(&[&front, given], 1));
        }
        let expected = plain.forward(&longer).expect("outputs");

        let word = Mutex::new(
            plain
                .store
                .param(&format!("{site}.weight"))
                .get(PROMPT)
                .detach(),
        );
        let prompted = plain.store.clone().with(
            site,
            Arc::new(move |tensors| {
                let word = word.lock().expect("no panic");
                let front = word.expand([tensors[0].size()[0], 2, -1], false);
                vec![Tensor::cat(&[&front, &tensors[0]], 1)]
            }),
        );
        let model = prompted.model(&host::options(&host::config(&folder(name))));
        let prompted = Fixture { model, ..plain };
        let inputs = prompted.inputs(&["input_ids", "attention_mask"]);
        let outputs = prompted.forward(&inputs).expect("outputs");
        for (output, found) in &outputs {
            let time = found.size()[1];
            close(output, found, &expected[output].narrow(1, 2, time), 0.0);
        }
    }
}

/// Files of the first BERTs hold the decoder's bias under its own name.
#[test]
fn a_bias_of_the_decoder_is_that_of_the_head() {
    for (name, id, old, new) in [
        (
            "bert-words",
            "bert",
            "cls.predictions.decoder.bias",
            "cls.predictions.bias",
        ),
        (
            "roberta-words",
            "roberta",
            "lm_head.decoder.bias",
            "lm_head.bias",
        ),
    ] {
        let mut weights = load(&folder(name).join("model.safetensors"));
        let bias = weights.remove(new).expect("a bias");
        weights.insert(old.to_owned(), bias.shallow_clone());
        let head = HeadInfo {
            kind: "masked-lm".into(),
            ..HeadInfo::default()
        };
        let store = Store::of(weights, Some(head)).for_model(id);
        store.model(&host::options(&host::config(&folder(name))));
        assert_eq!(store.param(new), bias, "{name}");
    }
}

#[test]
fn refusals() {
    let mut said = String::new();
    let mut note = |what: &str, error: tenon_plugin_api::Error| {
        said += &format!("{what}\n  {error}\n");
    };
    let fixture = fixture("roberta-words", "masked-lm");
    let ids = fixture.input("input_ids");
    let tokens = |time: i64| Tensor::full([1, time], 7, (Kind::Int64, ids.device()));
    let inputs = TensorMap::new().with("input_ids", tokens(23));
    note(
        "too long",
        fixture.forward(&inputs).expect_err("22 are allowed"),
    );
    let inputs = TensorMap::new()
        .with("input_ids", tokens(4))
        .with("labels", tokens(3));
    note(
        "labels of another shape",
        fixture.forward(&inputs).expect_err("4 and 3"),
    );
    let mut inputs = fixture.inputs(&["input_ids", "attention_mask"]);
    inputs.insert("labels", ids.ones_like());
    note(
        "labels at padding",
        fixture.forward(&inputs).expect_err("padding"),
    );

    let options = host::options(&host::config(&folder("roberta-words")));
    let build = |kind: &str, change: (&str, i64)| {
        let head = HeadInfo {
            kind: kind.into(),
            ..HeadInfo::default()
        };
        let mut options = options.clone();
        options[change.0] = change.1.into();
        Store::open(&folder("roberta-words"), Some(head))
            .for_model("roberta")
            .try_model(&options)
            .err()
            .expect("an error")
    };
    note(
        "no such head",
        build("next-sentence", ("num_hidden_layers", 2)),
    );
    note("no position left", build("masked-lm", ("pad_token_id", 23)));
    note(
        "heads do not divide",
        build("masked-lm", ("num_attention_heads", 3)),
    );
    insta::assert_snapshot!(said);
}
