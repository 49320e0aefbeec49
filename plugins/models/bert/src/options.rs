//! What the `config.json` of a BERT or a RoBERTa says, and a run file may set.

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
    /// Whether the head for masked words shares its weight with the word embeddings.
    #[default(true)]
    pub tie_word_embeddings: bool,
}

/// The configuration of a RoBERTa, under the names of Hugging Face's `RobertaConfig`. What is absent is as in
/// the published models.
#[derive(Debug, Clone, Options)]
pub struct RobertaConfig {
    /// Which model of this architecture it is.
    #[default(Family::Roberta)]
    pub model_type: Family,
    /// Entries of the vocabulary.
    #[default(50265)]
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
    /// Positions, of which those up to that of `pad_token_id` are never a token's: a sequence may have
    /// `max_position_embeddings - pad_token_id - 1` tokens.
    #[default(514)]
    #[range(min = 1)]
    pub max_position_embeddings: i64,
    /// How positions enter: only `absolute` embeddings are known.
    #[default(Positions::Absolute)]
    pub position_embedding_type: Positions,
    /// Number of segments that `token_type_ids` tells apart.
    #[default(1)]
    #[range(min = 1)]
    pub type_vocab_size: i64,
    /// Deviation of the normal distribution that new weights are drawn from.
    #[default(0.02)]
    #[range(min = 0.0)]
    pub initializer_range: f64,
    /// What layer norms add to the variance.
    #[default(1e-5)]
    #[range(exclusive_min = 0.0)]
    pub layer_norm_eps: f64,
    /// Id of the padding token, whose embedding is not trained, and the position of padding.
    #[default(1)]
    #[range(min = 0)]
    pub pad_token_id: i64,
    /// Whether the model has a pooler, which no head reads.
    #[default(true)]
    pub add_pooling_layer: bool,
    /// Whether the head for masked words shares its weight with the word embeddings.
    #[default(true)]
    pub tie_word_embeddings: bool,
}

impl RobertaConfig {
    /// The encoder's part: that of a BERT.
    pub(crate) fn encoder(self) -> Config {
        Config {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_hidden_layers: self.num_hidden_layers,
            num_attention_heads: self.num_attention_heads,
            intermediate_size: self.intermediate_size,
            hidden_act: self.hidden_act,
            hidden_dropout_prob: self.hidden_dropout_prob,
            attention_probs_dropout_prob: self.attention_probs_dropout_prob,
            classifier_dropout: self.classifier_dropout,
            max_position_embeddings: self.max_position_embeddings,
            position_embedding_type: self.position_embedding_type,
            type_vocab_size: self.type_vocab_size,
            initializer_range: self.initializer_range,
            layer_norm_eps: self.layer_norm_eps,
            pad_token_id: Some(self.pad_token_id),
            add_pooling_layer: self.add_pooling_layer,
            tie_word_embeddings: self.tie_word_embeddings,
        }
    }
}

/// The models that are RoBERTas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Options)]
pub enum Family {
    /// RoBERTa (Liu et al. 2019), CodeBERT (Feng et al. 2020).
    Roberta,
    /// CamemBERT (Martin et al. 2020).
    Camembert,
    /// XLM-R (Conneau et al. 2020).
    #[option(rename = "xlm-roberta")]
    XlmRoberta,
}

impl Family {
    /// As `model_type` names it.
    pub(crate) fn model_type(self) -> &'static str {
        match self {
            Self::Roberta => "roberta",
            Self::Camembert => "camembert",
            Self::XlmRoberta => "xlm-roberta",
        }
    }

    /// What its classes in `transformers` begin with.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Roberta => "Roberta",
            Self::Camembert => "Camembert",
            Self::XlmRoberta => "XLMRoberta",
        }
    }
}

/// How positions enter an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Options)]
pub enum Positions {
    /// A learnt vector for each position, added to the word's.
    Absolute,
}
