//! What a token enters the encoder as: the sum of its word's, its position's and its segment's vectors.

use tenon_nn::{Dropout, Embedding, EmbeddingSite, LayerNorm, Packing, Spans};
use tenon_plugin_api::model::prelude::*;

use crate::options::Config;

/// How the positions of a sequence are numbered.
#[derive(Debug, Clone, Copy)]
pub enum Numbering {
    /// By column of the padded batch, from 0, as in BERT.
    Columns,
    /// The tokens that are not `padding`, from `padding + 1`, as in RoBERTa; padding has its own position.
    After { padding: i64 },
}

impl Numbering {
    /// The number of the first token.
    pub fn first(self) -> i64 {
        match self {
            Self::Columns => 0,
            Self::After { padding } => padding + 1,
        }
    }

    /// The position of each packed token of `ids` `[batch, time]`: `[rows]`.
    fn of(self, ids: &Tensor, packing: &Packing) -> Result<Tensor> {
        let Self::After { padding } = self else {
            return Ok(packing.columns()?);
        };
        let real = ids.f_not_equal(padding)?.f_to_kind(Kind::Int64)?;
        let numbers = real.f_cumsum(1, Kind::Int64)?.f_mul(&real)?; // [batch, time]
        Ok(packing.pack(&numbers.f_add_scalar(padding)?)?)
    }
}

/// The sum of word, position and segment embeddings, normalised.
pub struct Embeddings {
    words: Embedding,
    site: EmbeddingSite,
    positions: Embedding,
    types: Embedding,
    norm: LayerNorm,
    dropout: f64,
    numbering: Numbering,
}

impl Embeddings {
    /// The embeddings whose parameters lie at `build` (`bert.embeddings`).
    pub fn new(config: &Config, numbering: Numbering, build: &Build) -> Result<Self> {
        let (hidden, std) = (config.hidden_size, config.initializer_range);
        let words = build.sub("word_embeddings");
        let table = Embedding::new(&words, config.vocab_size, hidden, std)?;
        let site = EmbeddingSite::new(&words, "embeddings", &table.weight)?;
        let positions = Embedding::new(
            &build.sub("position_embeddings"),
            config.max_position_embeddings,
            hidden,
            std,
        )?;
        Ok(Self {
            words: match config.pad_token_id {
                Some(pad) => table.with_padding(pad),
                None => table,
            },
            site,
            positions: match numbering {
                Numbering::Columns => positions,
                Numbering::After { padding } => positions.with_padding(padding),
            },
            types: Embedding::new(
                &build.sub("token_type_embeddings"),
                config.type_vocab_size,
                hidden,
                std,
            )?,
            norm: LayerNorm::new(&build.sub("LayerNorm"), hidden, config.layer_norm_eps)?,
            dropout: config.hidden_dropout_prob,
            numbering,
        })
    }

    /// The table of word vectors, `[vocab, hidden]`.
    pub fn words(&self) -> &Tensor {
        &self.words.weight
    }

    /// `ids` and `types` are `[batch, time]`. Returns `[tokens, hidden]` and where the sequences lie, which is
    /// elsewhere than before when what is attached has put tokens before them.
    pub fn forward(
        &self,
        ids: &Tensor,
        types: Option<&Tensor>,
        packing: &Packing,
        forward: &Forward,
    ) -> Result<(Tensor, Spans)> {
        let mut positions = self.numbering.of(ids, packing)?;
        let ids = &packing.pack(ids)?;
        let words = self
            .words
            .forward(ids)
            .context("looking up input_ids in the vocabulary")?;
        let mut types = match types {
            Some(types) => packing.pack(types)?,
            None => ids.f_zeros_like()?,
        };
        let spans = packing.spans();
        let (words, grown) = self.site.forward(words, spans, forward)?;
        let front = grown.longest() - spans.longest();
        if front > 0 {
            let first = self.numbering.first();
            let numbers =
                Tensor::f_arange_start(first, first + front, (Kind::Int64, ids.device()))?;
            positions = put_before(spans, &grown, &positions.f_add_scalar(front)?, &numbers)?;
            types = put_before(
                spans,
                &grown,
                &types,
                &Tensor::f_zeros([front], (Kind::Int64, ids.device()))?,
            )?;
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
        Ok((Dropout::next(forward, self.dropout).apply(&x)?, grown))
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
