//! What the `config.json` of a Llama, a Mistral or a Qwen says, and a run file may set.

use tenon_nn::causal::HeadOptions;
use tenon_nn::{Activation, Rotary};
use tenon_plugin_api::error::Result;
use tenon_plugin_api::{Options, ensure};

use crate::rope::RopeParameters;

/// The configuration, under the names that Hugging Face's `LlamaConfig`, `MistralConfig`, `Qwen2Config` and
/// `Qwen3Config` share.
#[derive(Debug, Clone, Options)]
pub struct Config {
    /// Which model of the family it is: what of the rest there is depends on it.
    #[default(Family::Llama)]
    pub model_type: Family,
    /// Entries of the vocabulary.
    #[default(32000)]
    #[range(min = 1)]
    pub vocab_size: i64,
    /// Width of the hidden states.
    #[default(4096)]
    #[range(min = 1)]
    pub hidden_size: i64,
    /// Width of the feed-forward layers.
    #[default(11008)]
    #[range(min = 1)]
    pub intermediate_size: i64,
    /// Number of layers.
    #[default(32)]
    pub num_hidden_layers: usize,
    /// Number of attention heads.
    #[default(32)]
    #[range(min = 1)]
    pub num_attention_heads: i64,
    /// Number of heads of keys and values, which divides that of heads; as many when absent.
    #[range(min = 1)]
    pub num_key_value_heads: Option<i64>,
    /// Width of a head; when absent 128 in Qwen3, and `hidden_size / num_attention_heads` in the others.
    #[range(min = 1)]
    pub head_dim: Option<i64>,
    /// Activation function of the feed-forward layers.
    #[default(Activation::Silu)]
    pub hidden_act: Activation,
    /// The positions that the model is made for.
    #[default(2048)]
    #[range(min = 1)]
    pub max_position_embeddings: i64,
    /// Deviation of the normal distribution that new weights are drawn from.
    #[default(0.02)]
    #[range(min = 0.0)]
    pub initializer_range: f64,
    /// What norms add to the mean square.
    #[default(1e-6)]
    #[range(exclusive_min = 0.0)]
    pub rms_norm_eps: f64,
    /// Whether the language-model head shares its weight with the word embeddings.
    #[default(false)]
    pub tie_word_embeddings: bool,
    /// How positions turn queries and keys.
    pub rope_parameters: Option<RopeParameters>,
    /// Another name of `rope_parameters`, in older files.
    pub rope_scaling: Option<RopeParameters>,
    /// The base of the wavelengths, where `rope_parameters` does not say it; 10000 when absent.
    #[range(exclusive_min = 0.0)]
    pub rope_theta: Option<f64>,
    /// Whether the linear layers of attention have biases, in Llama and Qwen3; in Qwen2 those of queries, keys and
    /// values have, in Mistral none.
    #[default(false)]
    pub attention_bias: bool,
    /// Whether the feed-forward layers of a Llama have biases.
    #[default(false)]
    pub mlp_bias: bool,
    /// Dropout of attention probabilities.
    #[default(0.0)]
    #[range(min = 0.0, max = 1.0)]
    pub attention_dropout: f64,
    /// How many tokens a token sees, itself among them, in Mistral and, with `use_sliding_window`, in Qwen.
    #[range(min = 1)]
    pub sliding_window: Option<i64>,
    /// Whether layers of a Qwen have a window.
    #[default(false)]
    pub use_sliding_window: bool,
    /// The layers of a Qwen that have no window come first; so many, unless `layer_types` says which.
    #[default(28)]
    pub max_window_layers: usize,
    /// For each layer of a Qwen, whether it has a window.
    pub layer_types: Option<Vec<LayerType>>,
    /// Id of the padding token, whose embedding is not trained; a classifier reads the last token of a sequence
    /// that is another.
    pub pad_token_id: Option<i64>,
}

/// The models of the family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Options)]
pub enum Family {
    /// Llama (Touvron et al. 2023).
    Llama,
    /// Mistral (Jiang et al. 2023).
    Mistral,
    /// Qwen2 and Qwen2.5 (Yang et al. 2024).
    Qwen2,
    /// Qwen3 (Yang et al. 2025).
    Qwen3,
}

/// What a layer sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Options)]
pub enum LayerType {
    /// All that precedes.
    #[option(rename = "full_attention")]
    Full,
    /// A window.
    #[option(rename = "sliding_attention")]
    Sliding,
}

impl Family {
    /// As `model_type` names it.
    pub(crate) fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }

    /// Classes of `transformers`, by head.
    pub(crate) fn architectures(self) -> [&'static str; 3] {
        match self {
            Self::Llama => [
                "LlamaModel",
                "LlamaForCausalLM",
                "LlamaForSequenceClassification",
            ],
            Self::Mistral => [
                "MistralModel",
                "MistralForCausalLM",
                "MistralForSequenceClassification",
            ],
            Self::Qwen2 => [
                "Qwen2Model",
                "Qwen2ForCausalLM",
                "Qwen2ForSequenceClassification",
            ],
            Self::Qwen3 => [
                "Qwen3Model",
                "Qwen3ForCausalLM",
                "Qwen3ForSequenceClassification",
            ],
        }
    }
}

impl Config {
    /// What must hold between the options.
    pub(crate) fn check(&self) -> Result<()> {
        let (heads, kv_heads) = (self.num_attention_heads, self.kv_heads());
        ensure!(
            heads % kv_heads == 0,
            Options,
            "building llama: num_attention_heads {heads} is not a multiple of num_key_value_heads {kv_heads}"
        );
        ensure!(
            self.head_dim.is_some()
                || self.model_type == Family::Qwen3
                || self.hidden_size % heads == 0,
            Options,
            "building llama: hidden_size {} is not a multiple of num_attention_heads {heads}, and there is no head_dim",
            self.hidden_size
        );
        if let Some(types) = &self.layer_types {
            ensure!(
                types.len() == self.num_hidden_layers,
                Options,
                "building llama: layer_types has {} entries for {} layers",
                types.len(),
                self.num_hidden_layers
            );
        }
        Ok(())
    }

    pub(crate) fn kv_heads(&self) -> i64 {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Width of a head.
    pub(crate) fn dim(&self) -> i64 {
        self.head_dim.unwrap_or(match self.model_type {
            Family::Qwen3 => 128,
            _ => self.hidden_size / self.num_attention_heads,
        })
    }

    /// Whether queries, keys and values have biases, and whether the output has.
    pub(crate) fn attention_biases(&self) -> [bool; 2] {
        match self.model_type {
            Family::Llama | Family::Qwen3 => [self.attention_bias; 2],
            Family::Mistral => [false, false],
            Family::Qwen2 => [true, false],
        }
    }

    /// The window of a layer.
    pub(crate) fn window(&self, layer: usize) -> Option<i64> {
        let has = match (self.model_type, &self.layer_types) {
            (Family::Llama, _) => false,
            (Family::Mistral, _) => true,
            (_, Some(types)) => types.get(layer) == Some(&LayerType::Sliding),
            (_, None) => layer >= self.max_window_layers,
        };
        let on = self.model_type == Family::Mistral || self.use_sliding_window;
        self.sliding_window.filter(|_| has && on)
    }

    /// How positions turn queries and keys.
    pub(crate) fn rotary(&self) -> Result<Rotary> {
        let given = self.rope_parameters.as_ref().or(self.rope_scaling.as_ref());
        let base = given.and_then(|given| given.rope_theta).or(self.rope_theta);
        let scaling = given
            .map(|given| given.scaling(self.max_position_embeddings))
            .transpose()?
            .unwrap_or_default();
        Ok(Rotary::new(self.dim(), base.unwrap_or(10_000.0), scaling)?)
    }

    /// What the head needs to know.
    pub(crate) fn head(&self) -> HeadOptions {
        HeadOptions {
            words: "model.embed_tokens.weight",
            std: self.initializer_range,
            tied: self.tie_word_embeddings,
            padding: self.pad_token_id,
        }
    }
}
