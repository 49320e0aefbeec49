//! What a BERT's `config.json` says, and a run file may set.

use tenon_nn::Activation;
use tenon_plugin_api::Options;

/// The configuration of a BERT, under the names of Hugging Face's `BertConfig`.
#[derive(Debug, Clone, Options)]
pub struct Config {
    /// Entries of the vocabulary.
    #[default(30522)]
    #[range(min = 1)]
    pub vocab_size: i64,
    /// Width of the hidden states.
    #[default(768)]
    #[range(min = 1)]
    pub hidden_size: i64,
    /// Number of encoder layers.
    #[default(12)]
    pub num_hidden_layers: usize,
    /// Number of attention heads; divides `hidden_size`.
    #[default(12)]
    #[range(min = 1)]
    pub num_attention_heads: i64,
    /// Width of the feed-forward layers.
    #[default(3072)]
    #[range(min = 1)]
    pub intermediate_size: i64,
    /// Activation function of the feed-forward layers.
    #[default(Activation::Gelu)]
    pub hidden_act: Activation,
    /// Dropout of embeddings and sublayer outputs.
    #[default(0.1)]
    #[range(min = 0.0, max = 1.0)]
    pub hidden_dropout_prob: f64,
    /// Dropout of attention probabilities.
    #[default(0.1)]
    #[range(min = 0.0, max = 1.0)]
    pub attention_probs_dropout_prob: f64,
    /// Dropout before the classifier; that of the hidden states when absent.
    #[range(min = 0.0, max = 1.0)]
    pub classifier_dropout: Option<f64>,
    /// The most tokens that a sequence may have.
    #[default(512)]
    #[range(min = 1)]
    pub max_position_embeddings: i64,
    /// How positions enter: only `absolute` embeddings are known.
    #[default(Positions::Absolute)]
    pub position_embedding_type: Positions,
    /// Number of segments that `token_type_ids` tells apart.
    #[default(2)]
    #[range(min = 1)]
    pub type_vocab_size: i64,
    /// Deviation of the normal distribution that new weights are drawn from.
    #[default(0.02)]
    #[range(min = 0.0)]
    pub initializer_range: f64,
    /// What layer norms add to the variance.
    #[default(1e-12)]
    #[range(exclusive_min = 0.0)]
    pub layer_norm_eps: f64,
    /// Id of the padding token, whose embedding is not trained.
    #[default(0)]
    pub pad_token_id: Option<i64>,
    /// Whether the model has a pooler. A classifier needs one.
    #[default(true)]
    pub add_pooling_layer: bool,
}

/// How positions enter a BERT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Options)]
pub enum Positions {
    /// A learnt vector for each position, added to the word's.
    Absolute,
}
