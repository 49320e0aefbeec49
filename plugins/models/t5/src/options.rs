//! What a T5's `config.json` says, and a run file may set.

use serde_json::{Map, Value, json};
use tenon_nn::Activation;
use tenon_plugin_api::model::prelude::*;
use tenon_plugin_api::options::OneOrMany;

/// The configuration of a T5, under the names of Hugging Face's `T5Config`.
#[derive(Debug, Clone, Options)]
pub struct Config {
    /// Which family it is of, as `transformers` tells them apart.
    #[default(Family::T5)]
    pub model_type: Family,
    /// Entries of the vocabulary.
    #[default(32128)]
    #[range(min = 1)]
    pub vocab_size: i64,
    /// Width of the hidden states.
    #[default(512)]
    #[range(min = 1)]
    pub d_model: i64,
    /// Width of an attention head.
    #[default(64)]
    #[range(min = 1)]
    pub d_kv: i64,
    /// Width of the feed-forward networks.
    #[default(2048)]
    #[range(min = 1)]
    pub d_ff: i64,
    /// Number of blocks of the encoder.
    #[default(6)]
    #[range(min = 1)]
    pub num_layers: usize,
    /// Number of blocks of the decoder; as many as of the encoder when absent.
    #[range(min = 1)]
    pub num_decoder_layers: Option<usize>,
    /// Number of attention heads.
    #[default(8)]
    #[range(min = 1)]
    pub num_heads: i64,
    /// The number of buckets that distances are put into.
    #[default(32)]
    #[range(min = 4)]
    pub relative_attention_num_buckets: i64,
    /// The distance from which on all are in one bucket.
    #[default(128)]
    #[range(min = 2)]
    pub relative_attention_max_distance: i64,
    /// Dropout.
    #[default(0.1)]
    #[range(min = 0.0, max = 1.0)]
    pub dropout_rate: f64,
    /// What norms add to the mean square.
    #[default(1e-6)]
    #[range(exclusive_min = 0.0)]
    pub layer_norm_epsilon: f64,
    /// What the deviations that new weights are drawn with are multiplied with.
    #[default(1.0)]
    #[range(min = 0.0)]
    pub initializer_factor: f64,
    /// The feed-forward network: its activation function, and whether it is gated.
    #[default(FeedForwardProj::Relu)]
    pub feed_forward_proj: FeedForwardProj,
    /// Whether the table of words is also the matrix of the output layer.
    #[default(true)]
    pub tie_word_embeddings: bool,
    /// Whether hidden states are divided by `√d_model` before the output layer; where the tables are tied when
    /// absent, and never in mT5.
    pub scale_decoder_outputs: Option<bool>,
    /// Id of the padding token.
    #[default(0)]
    #[range(min = 0)]
    pub pad_token_id: i64,
    /// Id of the token that the decoder begins with.
    #[default(0)]
    #[range(min = 0)]
    pub decoder_start_token_id: i64,
    /// Id of the token that ends a text.
    pub eos_token_id: Option<OneOrMany<i64>>,
}

/// Families of T5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Options)]
pub enum Family {
    /// T5, T5 v1.1, Flan-T5.
    T5,
    /// mT5 (Xue et al. 2021): as T5 v1.1, for many languages.
    Mt5,
}

/// Feed-forward networks, by the names that configurations use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Options)]
pub enum FeedForwardProj {
    /// `wo(max(wi(x), 0))`.
    Relu,
    /// `wo(gelu(wi(x)))`.
    Gelu,
    /// `wo(gelu_new(wi(x)))`.
    GeluNew,
    /// `wo(silu(wi(x)))`.
    Silu,
    /// `wo(gelu_new(wi_0(x))·wi_1(x))` (Shazeer 2020).
    #[option(rename = "gated-gelu")]
    GatedGelu,
    /// Another name of `gated-gelu`.
    #[option(rename = "gated-gelu_new")]
    GatedGeluNew,
    /// `wo(max(wi_0(x), 0)·wi_1(x))`.
    #[option(rename = "gated-relu")]
    GatedRelu,
    /// `wo(silu(wi_0(x))·wi_1(x))`.
    #[option(rename = "gated-silu")]
    GatedSilu,
}

impl FeedForwardProj {
    /// The activation function.
    pub fn activation(self) -> Activation {
        match self {
            Self::Relu | Self::GatedRelu => Activation::Relu,
            Self::Gelu => Activation::Gelu,
            Self::GeluNew | Self::GatedGelu | Self::GatedGeluNew => Activation::GeluNew,
            Self::Silu | Self::GatedSilu => Activation::Silu,
        }
    }

    /// Whether it is gated.
    pub fn is_gated(self) -> bool {
        match self {
            Self::Relu | Self::Gelu | Self::GeluNew | Self::Silu => false,
            Self::GatedGelu | Self::GatedGeluNew | Self::GatedRelu | Self::GatedSilu => true,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Relu => "relu",
            Self::Gelu => "gelu",
            Self::GeluNew => "gelu_new",
            Self::Silu => "silu",
            Self::GatedGelu => "gated-gelu",
            Self::GatedGeluNew => "gated-gelu_new",
            Self::GatedRelu => "gated-relu",
            Self::GatedSilu => "gated-silu",
        }
    }
}

impl Config {
    /// Width of all heads together.
    pub fn inner(&self) -> i64 {
        self.num_heads * self.d_kv
    }

    /// Number of blocks of the decoder.
    pub fn decoder_layers(&self) -> usize {
        self.num_decoder_layers.unwrap_or(self.num_layers)
    }

    /// What hidden states are multiplied with before the output layer.
    pub fn output_scale(&self) -> f64 {
        let scales = self.model_type == Family::T5
            && self
                .scale_decoder_outputs
                .unwrap_or(self.tie_word_embeddings);
        if scales {
            (self.d_model as f64).powf(-0.5)
        } else {
            1.0
        }
    }

    /// The deviation of new matrices whose outputs sum up `inputs` products.
    pub fn std(&self, inputs: i64) -> f64 {
        self.initializer_factor * (inputs as f64).powf(-0.5)
    }

    /// Says what does not fit together.
    pub fn check(&self) -> Result<()> {
        let exact = self.relative_attention_num_buckets / 2;
        ensure!(
            self.relative_attention_max_distance > exact,
            Options,
            "building t5: relative_attention_max_distance {} is not above {exact}, half of \
             relative_attention_num_buckets",
            self.relative_attention_max_distance
        );
        for (name, id) in [
            ("pad_token_id", self.pad_token_id),
            ("decoder_start_token_id", self.decoder_start_token_id),
        ] {
            ensure!(
                id < self.vocab_size,
                Options,
                "building t5: {name} is {id}, but the vocabulary has {} entries",
                self.vocab_size
            );
        }
        Ok(())
    }

    /// The class of `transformers`.
    pub fn architecture(&self) -> &'static str {
        match self.model_type {
            Family::T5 => "T5ForConditionalGeneration",
            Family::Mt5 => "MT5ForConditionalGeneration",
        }
    }

    /// `config.json` of the model.
    pub fn to_json(&self) -> Map<String, Value> {
        let model_type = match self.model_type {
            Family::T5 => "t5",
            Family::Mt5 => "mt5",
        };
        let mut entries = vec![
            ("model_type", json!(model_type)),
            ("is_encoder_decoder", json!(true)),
            ("vocab_size", json!(self.vocab_size)),
            ("d_model", json!(self.d_model)),
            ("d_kv", json!(self.d_kv)),
            ("d_ff", json!(self.d_ff)),
            ("num_layers", json!(self.num_layers)),
            ("num_decoder_layers", json!(self.decoder_layers())),
            ("num_heads", json!(self.num_heads)),
            (
                "relative_attention_num_buckets",
                json!(self.relative_attention_num_buckets),
            ),
            (
                "relative_attention_max_distance",
                json!(self.relative_attention_max_distance),
            ),
            ("dropout_rate", json!(self.dropout_rate)),
            ("layer_norm_epsilon", json!(self.layer_norm_epsilon)),
            ("initializer_factor", json!(self.initializer_factor)),
            ("feed_forward_proj", json!(self.feed_forward_proj.name())),
            ("tie_word_embeddings", json!(self.tie_word_embeddings)),
            ("pad_token_id", json!(self.pad_token_id)),
            ("decoder_start_token_id", json!(self.decoder_start_token_id)),
        ];
        if let Some(scales) = self.scale_decoder_outputs {
            entries.push(("scale_decoder_outputs", json!(scales)));
        }
        if let Some(eos) = &self.eos_token_id {
            let eos = eos.clone().into_vec();
            let eos = if let [one] = eos[..] {
                json!(one)
            } else {
                json!(eos)
            };
            entries.push(("eos_token_id", eos));
        }
        let owned = entries.into_iter();
        owned.map(|(key, value)| (key.to_owned(), value)).collect()
    }
}
