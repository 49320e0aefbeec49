//! The whole model: embeddings, encoder, pooler, and the head that the task asks for.

use tenon_nn::{Dropout, Embedding, LayerNorm, Linear, Packing, SiteLinear, Spans};
use tenon_plugin_api::model::prelude::*;

use crate::encoder::{Layer, hidden_site, only};
use crate::options::Config;

/// BERT with or without a classification head.
pub struct Bert {
    config: Config,
    embeddings: Embeddings,
    layers: Vec<Layer>,
    pooler: Option<SiteLinear>,
    classifier: Option<SiteLinear>,
}

impl Model for Bert {
    const ID: &'static str = "bert";
    const ABOUT: &'static str =
        "BERT encoder with pooler and classification head (Devlin et al. 2019)";
    const MODEL_TYPES: &'static [&'static str] = &["bert"];
    const OFFERS: &'static [&'static str] = &["encoder", CLASSIFICATION];
    const INPUTS: &'static [&'static str] = &["input_ids", "attention_mask?", "token_type_ids?"];
    const BASE_PREFIX: &'static str = "bert";
    const RENAMES: &'static [(&'static str, &'static str)] = &[
        ("LayerNorm.gamma", "LayerNorm.weight"),
        ("LayerNorm.beta", "LayerNorm.bias"),
    ];
    const SITES: &'static [SiteDeclaration] = &SITES;
    type Options = Config;

    fn build(config: Config, build: &Build) -> Result<Self> {
        let (hidden, std) = (config.hidden_size, config.initializer_range);
        ensure!(
            hidden % config.num_attention_heads == 0,
            Options,
            "building bert: hidden_size {hidden} is not a multiple of num_attention_heads {}",
            config.num_attention_heads
        );
        let base = build.sub("bert");
        let layers = (0..config.num_hidden_layers)
            .map(|number| {
                Layer::new(
                    &config,
                    number,
                    &base.sub(format!("encoder.layer.{number}")),
                )
            })
            .collect::<Result<_>>();
        let embeddings = Embeddings::new(&config, &base.sub("embeddings"))?;
        let layers = layers?;
        // Under a new classifier a pooler may be new as well: masked language models have none.
        let pooler = match build.head() {
            Some(_) => base.or_new().sub("pooler.dense"),
            None => base.sub("pooler.dense"),
        };
        let pooler = if config.add_pooling_layer {
            Some(Linear::new(&pooler, hidden, hidden, std)?.with_site(&pooler, "pooler", None)?)
        } else {
            None
        };
        let classifier = match build.head() {
            None => None,
            Some(head) if head.kind == CLASSIFICATION => {
                ensure!(
                    pooler.is_some(),
                    Options,
                    "building bert: a classifier needs the pooler; remove add_pooling_layer = false"
                );
                let build = build.as_new().sub("classifier");
                let linear = Linear::new(&build, hidden, head.num_labels as i64, std)?;
                Some(linear.with_site(&build, "classifier", None)?)
            }
            Some(head) => bail!(
                Unsupported,
                "building bert: no head `{}`; it has `{CLASSIFICATION}`",
                head.kind
            ),
        };
        Ok(Self {
            config,
            embeddings,
            layers,
            pooler,
            classifier,
        })
    }

    fn describe(&self) -> ModelInfo {
        let architecture = if self.classifier.is_some() {
            "BertForSequenceClassification"
        } else {
            "BertModel"
        };
        let mut config = serde_json::Map::new();
        config.insert("model_type".into(), "bert".into());
        ModelInfo {
            architecture: architecture.into(),
            max_length: self.config.max_position_embeddings as usize,
            config,
        }
    }

    /// With a classifier: `logits` `[batch, labels]`. Without: `last_hidden_state` `[batch, time, hidden]`, zero
    /// at padding, and `pooler_output` `[batch, hidden]` of a model that has a pooler.
    fn forward(&self, inputs: &TensorMap, forward: &Forward) -> Result<TensorMap> {
        let (packing, ids) = pack(inputs, self.config.max_position_embeddings)?;
        if forward.training() && ids.device() != Device::Cpu {
            // there libtorch's own generator draws the masks
            tch::manual_seed(forward.next_seed() as i64);
        }
        let (mut x, spans) =
            self.embeddings
                .forward(&ids, inputs.get("token_type_ids"), &packing, forward)?;
        let firsts = spans.firsts(x.device())?;
        for (number, layer) in self.layers.iter().enumerate() {
            let last = self.classifier.is_some() && number + 1 == self.layers.len();
            x = layer.forward(&x, &spans, last.then_some(&firsts), forward)?;
        }
        let reduced = self.classifier.is_some() && !self.layers.is_empty();
        let first = if reduced {
            x.shallow_clone()
        } else {
            x.f_index_select(0, &firsts)?
        };
        let pooled = match &self.pooler {
            Some(pooler) => Some(pooler.forward(&first, forward)?.f_tanh()?),
            None => None,
        };
        let mut outputs = TensorMap::new();
        match (&self.classifier, pooled) {
            (Some(classifier), Some(pooled)) => {
                let p = self
                    .config
                    .classifier_dropout
                    .unwrap_or(self.config.hidden_dropout_prob);
                let pooled = Dropout::next(forward, p).apply(&pooled)?;
                outputs.insert("logits", classifier.forward(&pooled, forward)?);
            }
            (_, pooled) => {
                let hidden = if spans == *packing.spans() {
                    packing.unpack(&x)?
                } else {
                    spans.pad(&x)?
                };
                outputs.insert("last_hidden_state", hidden);
                if let Some(pooled) = pooled {
                    outputs.insert("pooler_output", pooled);
                }
            }
        }
        Ok(outputs)
    }
}

const CLASSIFICATION: &str = "sequence-classification";

const SITES: [SiteDeclaration; 12] = [
    site("embeddings", "bert.embeddings.word_embeddings", "embedding"),
    site(
        "query",
        "bert.encoder.layer.{layer}.attention.self.query",
        "linear",
    ),
    site(
        "key",
        "bert.encoder.layer.{layer}.attention.self.key",
        "linear",
    ),
    site(
        "value",
        "bert.encoder.layer.{layer}.attention.self.value",
        "linear",
    ),
    site(
        "key_value",
        "bert.encoder.layer.{layer}.attention.self",
        "key_value",
    ),
    site(
        "attention_output",
        "bert.encoder.layer.{layer}.attention.output.dense",
        "linear",
    ),
    site(
        "attention_sublayer",
        "bert.encoder.layer.{layer}.attention.output",
        "output",
    ),
    site(
        "intermediate",
        "bert.encoder.layer.{layer}.intermediate.dense",
        "linear",
    ),
    site(
        "output",
        "bert.encoder.layer.{layer}.output.dense",
        "linear",
    ),
    site(
        "feed_forward_sublayer",
        "bert.encoder.layer.{layer}.output",
        "output",
    ),
    site("pooler", "bert.pooler.dense", "linear"),
    site("classifier", "classifier", "linear"),
];

const fn site(role: &'static str, path: &'static str, kind: &'static str) -> SiteDeclaration {
    SiteDeclaration { role, path, kind }
}

/// The batch's packing, and its ids packed: `[tokens]`.
fn pack(inputs: &TensorMap, max_length: i64) -> Result<(Packing, Tensor)> {
    let ids = inputs.require("input_ids")?;
    let &[batch, time] = ids.size().as_slice() else {
        bail!(
            Tensor,
            "bert: expected input_ids [batch, time], found {:?}",
            ids.size()
        );
    };
    ensure!(
        time <= max_length,
        Data,
        "bert: a sequence of {time} tokens; max_position_embeddings allows {max_length}"
    );
    for name in ["attention_mask", "token_type_ids"] {
        if let Some(other) = inputs.get(name) {
            ensure!(
                other.size() == ids.size(),
                Tensor,
                "bert: expected {name} to have the shape of input_ids, {:?}; found {:?}",
                ids.size(),
                other.size()
            );
        }
    }
    let packing = match inputs.get("attention_mask") {
        Some(mask) => Packing::from_mask(mask)?,
        None => Packing::full(batch, time, ids.device())?,
    };
    let ids = packing.pack(ids)?;
    Ok((packing, ids))
}

/// The sum of word, position and segment embeddings, normalised.
struct Embeddings {
    words: Embedding,
    site: Site,
    positions: Embedding,
    types: Embedding,
    norm: LayerNorm,
    dropout: f64,
}

impl Embeddings {
    fn new(config: &Config, build: &Build) -> Result<Self> {
        let (hidden, std) = (config.hidden_size, config.initializer_range);
        let words = build.sub("word_embeddings");
        let site = hidden_site(&words, "embeddings", SiteKind::Embedding, None, hidden);
        let table = Embedding::new(&words, config.vocab_size, hidden, std)?;
        let site = words.site(&site, &[("weight", &table.weight)])?;
        Ok(Self {
            words: match config.pad_token_id {
                Some(pad) => table.with_padding(pad),
                None => table,
            },
            site,
            positions: Embedding::new(
                &build.sub("position_embeddings"),
                config.max_position_embeddings,
                hidden,
                std,
            )?,
            types: Embedding::new(
                &build.sub("token_type_embeddings"),
                config.type_vocab_size,
                hidden,
                std,
            )?,
            norm: LayerNorm::new(&build.sub("LayerNorm"), hidden, config.layer_norm_eps)?,
            dropout: config.hidden_dropout_prob,
        })
    }

    /// `ids` are packed, `types` are not. Returns `[tokens, hidden]` and where the sequences lie, which is
    /// elsewhere than before when what is attached has put tokens before them.
    fn forward(
        &self,
        ids: &Tensor,
        types: Option<&Tensor>,
        packing: &Packing,
        forward: &Forward,
    ) -> Result<(Tensor, Spans)> {
        let mut words = self
            .words
            .forward(ids)
            .context("looking up input_ids in the vocabulary")?;
        let mut positions = packing.columns()?;
        let mut types = match types {
            Some(types) => packing.pack(types)?,
            None => ids.f_zeros_like()?,
        };
        let mut spans = packing.spans().clone();
        if self.site.is_attached() {
            let embedded = only(self.site.apply(&[&spans.pad(&words)?], forward)?)?; // [b, t, hidden]
            let front = embedded.size()[1] - spans.longest();
            let grown = spans.grown(front);
            positions = put_before(
                &spans,
                &grown,
                &(positions + front),
                &Tensor::f_arange(front, (Kind::Int64, ids.device()))?,
            )?;
            types = put_before(
                &spans,
                &grown,
                &types,
                &Tensor::f_zeros([front], (Kind::Int64, ids.device()))?,
            )?;
            words = grown.unpad(&embedded)?;
            spans = grown;
        }
        let types = self
            .types
            .forward(&types)
            .context("looking up token_type_ids")?;
        let positions = self
            .positions
            .forward(&positions)
            .context("looking up positions")?;
        // in the order in which transformers adds them
        let sum = words.f_add(&types)?.f_add(&positions)?;
        let x = self.norm.forward(&sum)?;
        Ok((Dropout::next(forward, self.dropout).apply(&x)?, spans))
    }
}

/// Numbers `[tokens]` at `spans`, with `front` before those of each sequence.
fn put_before(spans: &Spans, grown: &Spans, numbers: &Tensor, front: &Tensor) -> Result<Tensor> {
    let front = front
        .f_view([1, -1, 1])?
        .f_expand([spans.sequences(), -1, 1], false)?;
    let padded = spans.pad(&numbers.f_unsqueeze(1)?)?; // [b, t, 1]
    Ok(grown
        .unpad(&Tensor::f_cat(&[&front, &padded], 1)?)?
        .f_squeeze_dim(1)?)
}
