//! What the `config.json` of a GPT-2 says, and a run file may set.

use tenon_nn::Activation;
use tenon_nn::causal::HeadOptions;
use tenon_plugin_api::Options;
use tenon_plugin_api::ensure;
use tenon_plugin_api::error::Result;

/// The configuration of a GPT-2, under the names of Hugging Face's `GPT2Config`.
#[derive(Debug, Clone, Options)]
pub struct Config {
    /// Entries of the vocabulary.
    #[default(50257)]
    #[range(min = 1)]
    pub vocab_size: i64,
    /// The most tokens that a sequence may have.
    #[default(1024)]
    #[range(min = 1)]
    pub n_positions: i64,
    /// Width of the hidden states.
    #[default(768)]
    #[range(min = 1)]
    pub n_embd: i64,
    /// Number of layers.
    #[default(12)]
    pub n_layer: usize,
    /// Number of attention heads; divides `n_embd`.
    #[default(12)]
    #[range(min = 1)]
    pub n_head: i64,
    /// Width of the feed-forward layers; four times `n_embd` when absent.
    #[range(min = 1)]
    pub n_inner: Option<i64>,
    /// Activation function of the feed-forward layers.
    #[default(Activation::GeluNew)]
    pub activation_function: Activation,
    /// Dropout of sublayer outputs.
    #[default(0.1)]
    #[range(min = 0.0, max = 1.0)]
    pub resid_pdrop: f64,
    /// Dropout of the embeddings.
    #[default(0.1)]
    #[range(min = 0.0, max = 1.0)]
    pub embd_pdrop: f64,
    /// Dropout of attention probabilities.
    #[default(0.1)]
    #[range(min = 0.0, max = 1.0)]
    pub attn_pdrop: f64,
    /// What layer norms add to the variance.
    #[default(1e-5)]
    #[range(exclusive_min = 0.0)]
    pub layer_norm_epsilon: f64,
    /// Deviation of the normal distribution that new weights are drawn from; those before a residual sum are
    /// drawn smaller by `√(2·n_layer)`.
    #[default(0.02)]
    #[range(min = 0.0)]
    pub initializer_range: f64,
    /// Whether attention scores are divided by the root of the head's width.
    #[default(true)]
    pub scale_attn_weights: bool,
    /// Whether attention scores are divided by the number of the layer, counted from 1, as well.
    #[default(false)]
    pub scale_attn_by_inverse_layer_idx: bool,
    /// Whether attention scores are computed in float32 in other precisions too (Mistral's GPT-2). They are here,
    /// whatever it says, wherever a fused kernel computes them.
    #[default(false)]
    pub reorder_and_upcast_attn: bool,
    /// Whether layers attend to an encoder, which is not known here.
    #[default(false)]
    pub add_cross_attention: bool,
    /// Whether the language-model head shares its weight with the word embeddings.
    #[default(true)]
    pub tie_word_embeddings: bool,
    /// Id of the padding token: a classifier reads the last token of a sequence that is another.
    pub pad_token_id: Option<i64>,
}

impl Config {
    /// What must hold between the options.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(
            self.n_embd % self.n_head == 0,
            Options,
            "building gpt2: n_embd {} is not a multiple of n_head {}",
            self.n_embd,
            self.n_head
        );
        ensure!(
            !self.add_cross_attention,
            Options,
            "building gpt2: add_cross_attention = true; attention to an encoder is not known"
        );
        Ok(())
    }

    /// What the head needs to know.
    pub(crate) fn head(&self) -> HeadOptions {
        HeadOptions {
            words: "transformer.wte.weight",
            std: self.initializer_range,
            tied: self.tie_word_embeddings,
            padding: self.pad_token_id,
        }
    }

    /// Width of the feed-forward layers.
    pub(crate) fn inner(&self) -> i64 {
        self.n_inner.unwrap_or(4 * self.n_embd)
    }

    /// What scores are multiplied with in layer `number`, from 0.
    pub(crate) fn scale(&self, number: usize) -> f64 {
        let width = match self.scale_attn_weights {
            true => ((self.n_embd / self.n_head) as f64).powf(-0.5),
            false => 1.0,
        };
        match self.scale_attn_by_inverse_layer_idx {
            true => width / (number + 1) as f64,
            false => width,
        }
    }
}
