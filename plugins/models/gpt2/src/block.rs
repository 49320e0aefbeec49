//! One layer: self-attention and a feed-forward network, each of the normalised states and added to them.

use tenon_nn::causal::Reading;
use tenon_nn::{
    Activation, Conv1d, Decode, Dropout, KeyValueSite, LayerNorm, OutputSite, SiteLinear,
};
use tenon_plugin_api::model::prelude::*;

use crate::options::Config;

/// A layer.
pub struct Block {
    attention_norm: LayerNorm,
    query_key_value: SiteLinear,
    key_values: KeyValueSite,
    decode: Decode,
    attention_dropout: f64,
    attention_output: Sublayer,
    norm: LayerNorm,
    intermediate: SiteLinear,
    activation: Activation,
    output: Sublayer,
}

/// How a sublayer ends: `x + dropout(c_proj(…))`.
struct Sublayer {
    projection: SiteLinear,
    site: OutputSite,
    dropout: f64,
}

impl Block {
    /// Layer `number`, whose parameters lie at `build` (`transformer.h.0`).
    pub fn new(config: &Config, number: usize, build: &Build) -> Result<Self> {
        let (hidden, inner, std) = (config.n_embd, config.inner(), config.initializer_range);
        let linear = |build: Build, role: &str, inputs: i64, outputs: i64, std: f64| {
            Conv1d::new(&build, inputs, outputs, std)?.with_site(&build, role, Some(number))
        };
        // each layer adds twice to the states, whose deviation shall not grow with the depth
        let residual = std / (2.0 * config.n_layer as f64).sqrt();
        let sublayer = |build: &Build, dropout: &str, roles: [&str; 2], inputs: i64| {
            Ok::<_, Error>(Sublayer {
                projection: linear(build.sub("c_proj"), roles[0], inputs, hidden, residual)?,
                site: OutputSite::new(&build.sub(dropout), roles[1], number, hidden)?,
                dropout: config.resid_pdrop,
            })
        };
        let norm = |name: &str| LayerNorm::new(&build.sub(name), hidden, config.layer_norm_epsilon);
        let (attention, mlp) = (build.sub("attn"), build.sub("mlp"));
        Ok(Self {
            attention_norm: norm("ln_1")?,
            query_key_value: linear(
                attention.sub("c_attn"),
                "query_key_value",
                hidden,
                3 * hidden,
                std,
            )?,
            key_values: KeyValueSite::new(&attention, "key_value", number, config.n_head, hidden)?,
            decode: Decode::new(&number.to_string(), config.n_head, config.scale(number)),
            attention_dropout: config.attn_pdrop,
            attention_output: sublayer(
                &attention,
                "resid_dropout",
                ["attention_output", "attention_sublayer"],
                hidden,
            )?,
            norm: norm("ln_2")?,
            intermediate: linear(mlp.sub("c_fc"), "intermediate", hidden, inner, std)?,
            activation: config.activation_function,
            output: sublayer(&mlp, "dropout", ["output", "feed_forward_sublayer"], inner)?,
        })
    }

    /// `x` is `[rows, hidden]`, as is the result.
    pub fn forward(
        &self,
        x: &Tensor,
        reading: &mut Reading<'_>,
        forward: &Forward,
    ) -> Result<Tensor> {
        let hidden = x.size()[1];
        let normed = self.attention_norm.forward(x)?;
        let fused = self.query_key_value.forward(&normed, forward)?; // [rows, 3·hidden]
        let parts = fused.f_split(hidden, 1)?;
        let [q, k, v] = parts.as_slice() else {
            bail!(Tensor, "gpt2: c_attn gave {:?}", fused.size());
        };
        let context = reading.attend(
            &self.decode,
            &self.key_values,
            [q, k, v],
            self.attention_dropout,
            forward,
        )?;
        let x = self.attention_output.forward(&context, x, forward)?;
        let normed = self.norm.forward(&x)?;
        let inner = self.intermediate.forward(&normed, forward)?; // [rows, inner]
        self.output
            .forward(&self.activation.forward(&inner)?, &x, forward)
    }
}

impl Sublayer {
    fn forward(&self, x: &Tensor, residual: &Tensor, forward: &Forward) -> Result<Tensor> {
        let x = self.projection.forward(x, forward)?;
        let x = self.site.forward(x, forward)?;
        let x = Dropout::next(forward, self.dropout).apply(&x)?;
        Ok(residual.f_add(&x)?)
    }
}
