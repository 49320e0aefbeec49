//! What a Marian's `config.json` says, and a run file may set.

use serde_json::{Map, Value, json};
use tenon_nn::Activation;
use tenon_plugin_api::Options;
use tenon_plugin_api::model::prelude::*;
use tenon_plugin_api::options::OneOrMany;

/// The configuration of an encoder–decoder Transformer, under the names of Hugging Face's `MarianConfig`.
#[derive(Debug, Clone, Options)]
pub struct Config {
    /// Entries of the vocabulary.
    #[default(58101)]
    #[range(min = 1)]
    pub vocab_size: i64,
    /// Entries of the decoder's vocabulary, where it has one of its own; `vocab_size` when absent.
    #[range(min = 1)]
    pub decoder_vocab_size: Option<i64>,
    /// Width of the hidden states.
    #[default(1024)]
    #[range(min = 1)]
    pub d_model: i64,
    /// Number of encoder layers.
    #[default(12)]
    pub encoder_layers: usize,
    /// Number of decoder layers.
    #[default(12)]
    pub decoder_layers: usize,
    /// Number of attention heads in the encoder; divides `d_model`.
    #[default(16)]
    #[range(min = 1)]
    pub encoder_attention_heads: i64,
    /// Number of attention heads in the decoder; divides `d_model`.
    #[default(16)]
    #[range(min = 1)]
    pub decoder_attention_heads: i64,
    /// Width of the encoder's feed-forward layers.
    #[default(4096)]
    #[range(min = 1)]
    pub encoder_ffn_dim: i64,
    /// Width of the decoder's feed-forward layers.
    #[default(4096)]
    #[range(min = 1)]
    pub decoder_ffn_dim: i64,
    /// Activation function of the feed-forward layers.
    #[default(Activation::Gelu)]
    pub activation_function: Activation,
    /// Dropout of embeddings and sublayer outputs.
    #[default(0.1)]
    #[range(min = 0.0, max = 1.0)]
    pub dropout: f64,
    /// Dropout of attention probabilities.
    #[default(0.0)]
    #[range(min = 0.0, max = 1.0)]
    pub attention_dropout: f64,
    /// Dropout inside of feed-forward layers.
    #[default(0.0)]
    #[range(min = 0.0, max = 1.0)]
    pub activation_dropout: f64,
    /// The probability with which training leaves out a layer of the encoder (Fan et al. 2019).
    #[default(0.0)]
    #[range(min = 0.0, max = 1.0)]
    pub encoder_layerdrop: f64,
    /// The probability with which training leaves out a layer of the decoder.
    #[default(0.0)]
    #[range(min = 0.0, max = 1.0)]
    pub decoder_layerdrop: f64,
    /// The most tokens that either side may have.
    #[default(1024)]
    #[range(min = 1)]
    pub max_position_embeddings: i64,
    /// Whether embeddings are multiplied with `√d_model`, as in the paper.
    #[default(false)]
    pub scale_embedding: bool,
    /// Whether encoder and decoder look words up in one table.
    #[default(true)]
    pub share_encoder_decoder_embeddings: bool,
    /// Whether the decoder's table is also the matrix of the output layer.
    #[default(true)]
    pub tie_word_embeddings: bool,
    /// Whether layers normalise their input in the place of their output. Marian models do not.
    #[default(false)]
    pub normalize_before: bool,
    /// Deviation of the normal distribution that new weights are drawn from. When absent, matrices are uniform
    /// as Glorot and Bengio (2010) have it and embeddings normal with deviation `1/√d_model`, as is usual for
    /// training from scratch.
    #[range(min = 0.0)]
    pub init_std: Option<f64>,
    /// Id of the padding token.
    #[default(58100)]
    #[range(min = 0)]
    pub pad_token_id: i64,
    /// Id of the token that the decoder begins with.
    #[default(58100)]
    #[range(min = 0)]
    pub decoder_start_token_id: i64,
    /// Id of the token that ends a text.
    pub eos_token_id: Option<OneOrMany<i64>>,
    /// Id of the token that a text of the greatest length ends with, whatever the model says.
    pub forced_eos_token_id: Option<OneOrMany<i64>>,
}

impl Config {
    /// Entries of the decoder's vocabulary.
    pub fn target_vocab(&self) -> i64 {
        match self.share_encoder_decoder_embeddings {
            true => self.vocab_size,
            false => self.decoder_vocab_size.unwrap_or(self.vocab_size),
        }
    }

    /// Says what does not fit together.
    pub fn check(&self) -> Result<()> {
        for (side, heads) in [
            ("encoder", self.encoder_attention_heads),
            ("decoder", self.decoder_attention_heads),
        ] {
            ensure!(
                self.d_model % heads == 0,
                Options,
                "building transformer: d_model {} is not a multiple of {side}_attention_heads {heads}",
                self.d_model
            );
        }
        ensure!(
            !self.normalize_before,
            Unsupported,
            "building transformer: normalize_before = true; layers normalise their output, as in `transformers`"
        );
        let smaller = self.vocab_size.min(self.target_vocab());
        for (name, id, size) in [
            ("pad_token_id", self.pad_token_id, smaller),
            (
                "decoder_start_token_id",
                self.decoder_start_token_id,
                self.target_vocab(),
            ),
        ] {
            ensure!(
                id < size,
                Options,
                "building transformer: {name} is {id}, but the vocabulary has {size} entries"
            );
        }
        Ok(())
    }

    /// What is multiplied with embeddings.
    pub fn embed_scale(&self) -> f64 {
        if self.scale_embedding {
            (self.d_model as f64).sqrt()
        } else {
            1.0
        }
    }

    /// How a new matrix `[outputs, inputs]` starts.
    pub fn matrix_init(&self, outputs: i64, inputs: i64) -> Init {
        match self.init_std {
            Some(std) => Init::Normal { std },
            None => Init::Uniform {
                bound: (6.0 / (inputs + outputs) as f64).sqrt(),
            },
        }
    }

    /// The deviation of new embeddings.
    pub fn embedding_std(&self) -> f64 {
        self.init_std
            .unwrap_or_else(|| (self.d_model as f64).powf(-0.5))
    }

    /// `config.json` of the model.
    pub fn to_json(&self) -> Map<String, Value> {
        let mut entries = vec![
            ("model_type", json!("marian")),
            ("is_encoder_decoder", json!(true)),
            ("vocab_size", json!(self.vocab_size)),
            ("decoder_vocab_size", json!(self.target_vocab())),
            ("d_model", json!(self.d_model)),
            ("encoder_layers", json!(self.encoder_layers)),
            ("decoder_layers", json!(self.decoder_layers)),
            (
                "encoder_attention_heads",
                json!(self.encoder_attention_heads),
            ),
            (
                "decoder_attention_heads",
                json!(self.decoder_attention_heads),
            ),
            ("encoder_ffn_dim", json!(self.encoder_ffn_dim)),
            ("decoder_ffn_dim", json!(self.decoder_ffn_dim)),
            (
                "activation_function",
                json!(self.activation_function.name()),
            ),
            ("dropout", json!(self.dropout)),
            ("attention_dropout", json!(self.attention_dropout)),
            ("activation_dropout", json!(self.activation_dropout)),
            ("encoder_layerdrop", json!(self.encoder_layerdrop)),
            ("decoder_layerdrop", json!(self.decoder_layerdrop)),
            (
                "max_position_embeddings",
                json!(self.max_position_embeddings),
            ),
            ("scale_embedding", json!(self.scale_embedding)),
            (
                "share_encoder_decoder_embeddings",
                json!(self.share_encoder_decoder_embeddings),
            ),
            ("tie_word_embeddings", json!(self.tie_word_embeddings)),
            ("pad_token_id", json!(self.pad_token_id)),
            ("decoder_start_token_id", json!(self.decoder_start_token_id)),
        ];
        if let Some(std) = self.init_std {
            entries.push(("init_std", json!(std)));
        }
        if let Some(eos) = &self.eos_token_id {
            entries.push(("eos_token_id", one_or_many(eos)));
        }
        // where it is not there, `transformers` forces token 0
        let forced = self.forced_eos_token_id.as_ref().map(one_or_many);
        entries.push(("forced_eos_token_id", json!(forced)));
        let owned = entries.into_iter();
        owned.map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

fn one_or_many(ids: &OneOrMany<i64>) -> Value {
    match ids.clone().into_vec().as_slice() {
        [one] => json!(one),
        all => json!(all),
    }
}
