//! The encoder: embeddings and layers, from ids to hidden states. BERT and RoBERTa share it.

use tenon_nn::{Packing, Spans};
use tenon_plugin_api::model::prelude::*;

use crate::embeddings::{Embeddings, Numbering};
use crate::layer::Layer;
use crate::options::Config;

/// Embeddings and layers.
pub struct Encoder {
    model: &'static str,
    embeddings: Embeddings,
    layers: Vec<Layer>,
    max_length: i64,
}

/// What an encoder made of a batch.
pub struct Encoded {
    /// `[tokens, hidden]`, or of the first tokens alone, `[sequences, hidden]`.
    pub hidden: Tensor,
    /// Where the sequences lie, among them what was put before them.
    pub spans: Spans,
    /// The batch as it came.
    pub packing: Packing,
    /// Whether `hidden` is that of first tokens alone.
    firsts_only: bool,
}

impl Encoder {
    /// The encoder of the model `model`, whose parameters lie at `build` (`bert`).
    pub fn new(
        model: &'static str,
        config: &Config,
        numbering: Numbering,
        build: &Build,
    ) -> Result<Self> {
        let (hidden, heads) = (config.hidden_size, config.num_attention_heads);
        ensure!(
            hidden % heads == 0,
            Options,
            "building {model}: hidden_size {hidden} is not a multiple of num_attention_heads {heads}"
        );
        let max_length = config.max_position_embeddings - numbering.first();
        ensure!(
            max_length > 0,
            Options,
            "building {model}: max_position_embeddings {} leaves no position after that of pad_token_id",
            config.max_position_embeddings
        );
        let layer = |number| {
            let build = build.sub(format!("encoder.layer.{number}"));
            Layer::new(config, number, &build)
        };
        let layers = (0..config.num_hidden_layers)
            .map(layer)
            .collect::<Result<_>>()?;
        Ok(Self {
            model,
            embeddings: Embeddings::new(config, numbering, &build.sub("embeddings"))?,
            layers,
            max_length,
        })
    }

    /// The most tokens that a sequence may have.
    pub fn max_length(&self) -> usize {
        self.max_length as usize
    }

    /// The table of word vectors, `[vocab, hidden]`.
    pub fn words(&self) -> &Tensor {
        self.embeddings.words()
    }

    /// Hidden states of `input_ids` `[batch, time]`. With `firsts_only` the last layer computes those of the
    /// first tokens alone.
    pub fn forward(
        &self,
        inputs: &TensorMap,
        firsts_only: bool,
        forward: &Forward,
    ) -> Result<Encoded> {
        let (packing, ids) = self.pack(inputs)?;
        if forward.training() && ids.device() != Device::Cpu {
            // there libtorch's own generator draws the masks
            tch::manual_seed(forward.next_seed() as i64);
        }
        let types = inputs.get("token_type_ids");
        let (mut hidden, spans) = self.embeddings.forward(ids, types, &packing, forward)?;
        let firsts = spans.firsts(hidden.device())?;
        for (number, layer) in self.layers.iter().enumerate() {
            let last = firsts_only && number + 1 == self.layers.len();
            hidden = layer.forward(&hidden, &spans, last.then_some(&firsts), forward)?;
        }
        Ok(Encoded {
            hidden,
            spans,
            packing,
            firsts_only: firsts_only && !self.layers.is_empty(),
        })
    }

    /// The batch's packing, and its ids.
    fn pack<'a>(&self, inputs: &'a TensorMap) -> Result<(Packing, &'a Tensor)> {
        let model = self.model;
        let ids = inputs.require("input_ids")?;
        let &[batch, time] = ids.size().as_slice() else {
            bail!(
                Tensor,
                "{model}: expected input_ids [batch, time], found {:?}",
                ids.size()
            );
        };
        ensure!(
            time <= self.max_length,
            Data,
            "{model}: a sequence of {time} tokens; max_position_embeddings allows {}",
            self.max_length
        );
        for name in ["attention_mask", "token_type_ids"] {
            if let Some(other) = inputs.get(name) {
                ensure!(
                    other.size() == ids.size(),
                    Tensor,
                    "{model}: expected {name} to have the shape of input_ids, {:?}; found {:?}",
                    ids.size(),
                    other.size()
                );
            }
        }
        let packing = match inputs.get("attention_mask") {
            Some(mask) => Packing::from_mask(mask)?,
            None => Packing::full(batch, time, ids.device())?,
        };
        Ok((packing, ids))
    }
}

impl Encoded {
    /// Hidden states of the first tokens: `[sequences, hidden]`.
    pub fn firsts(&self) -> Result<Tensor> {
        if self.firsts_only {
            return Ok(self.hidden.shallow_clone());
        }
        let firsts = self.spans.firsts(self.hidden.device())?;
        Ok(self.hidden.f_index_select(0, &firsts)?)
    }

    /// Hidden states of the batch's own tokens, packed as they came: `[rows, hidden]`.
    pub fn tokens(&self) -> Result<Tensor> {
        let own = self.packing.spans();
        if self.spans == *own {
            return Ok(self.hidden.shallow_clone());
        }
        let front = self.spans.longest() - own.longest();
        let padded = self.spans.pad(&self.hidden)?; // [b, front + t, hidden]
        Ok(own.unpad(&padded.f_narrow(1, front, own.longest())?)?)
    }

    /// All hidden states, with those of tokens that were put before a sequence: `[batch, time, hidden]`, zero
    /// at padding.
    pub fn padded(&self) -> Result<Tensor> {
        Ok(match self.spans == *self.packing.spans() {
            true => self.packing.unpack(&self.hidden)?,
            false => self.spans.pad(&self.hidden)?,
        })
    }
}
