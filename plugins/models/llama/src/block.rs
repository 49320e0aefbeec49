//! One layer: self-attention and a gated feed-forward network, each of the normalised states and added to them.

use tenon_nn::causal::Reading;
use tenon_nn::{Activation, Decode, KeyValueSite, Linear, OutputSite, RmsNorm, SiteLinear, Turns};
use tenon_plugin_api::model::prelude::*;

use crate::options::{Config, Family};

/// A layer.
pub struct Block {
    attention_norm: RmsNorm,
    attention: Attention,
    norm: RmsNorm,
    gate: SiteLinear,
    up: SiteLinear,
    activation: Activation,
    down: SiteLinear,
    site: OutputSite,
}

struct Attention {
    query: SiteLinear,
    key: SiteLinear,
    value: SiteLinear,
    /// Norms of each head of queries and keys, in Qwen3.
    head_norms: Option<[RmsNorm; 2]>,
    key_values: KeyValueSite,
    decode: Decode,
    dropout: f64,
    output: SiteLinear,
    site: OutputSite,
}

/// Linear layers of layer `number`.
struct Linears<'a> {
    build: &'a Build,
    number: usize,
    std: f64,
}

impl Linears<'_> {
    fn make(&self, name: &str, role: &str, shape: [i64; 2], biased: bool) -> Result<SiteLinear> {
        let build = self.build.sub(name);
        let linear = match biased {
            true => Linear::new(&build, shape[0], shape[1], self.std)?,
            false => Linear::without_bias(&build, shape[0], shape[1], self.std)?,
        };
        linear.with_site(&build, role, Some(self.number))
    }
}

impl Block {
    /// Layer `number`, whose parameters lie at `build` (`model.layers.0`).
    pub fn new(config: &Config, number: usize, build: &Build) -> Result<Self> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        let norm = |name: &str| RmsNorm::new(&build.sub(name), hidden, config.rms_norm_eps);
        let biased = config.model_type == Family::Llama && config.mlp_bias;
        let mlp = build.sub("mlp");
        let linears = Linears {
            build: &mlp,
            number,
            std: config.initializer_range,
        };
        Ok(Self {
            attention_norm: norm("input_layernorm")?,
            attention: Attention::new(config, number, &build.sub("self_attn"))?,
            norm: norm("post_attention_layernorm")?,
            gate: linears.make("gate_proj", "gate", [hidden, inner], biased)?,
            up: linears.make("up_proj", "intermediate", [hidden, inner], biased)?,
            activation: config.hidden_act,
            down: linears.make("down_proj", "output", [inner, hidden], biased)?,
            site: OutputSite::new(&mlp, "feed_forward_sublayer", number, hidden)?,
        })
    }

    /// `x` is `[rows, hidden]`, as is the result; `turns` are those of the rows.
    pub fn forward(
        &self,
        x: &Tensor,
        turns: &Turns,
        reading: &mut Reading<'_>,
        forward: &Forward,
    ) -> Result<Tensor> {
        let normed = self.attention_norm.forward(x)?;
        let context = self.attention.forward(&normed, turns, reading, forward)?;
        let x = x.f_add(&context)?;
        let normed = self.norm.forward(&x)?;
        let gate = self.gate.forward(&normed, forward)?; // [rows, intermediate]
        let up = self.up.forward(&normed, forward)?;
        let inner = self.activation.gated(&gate, &up)?;
        let output = self.down.forward(&inner, forward)?;
        Ok(x.f_add(&self.site.forward(output, forward)?)?)
    }
}

impl Attention {
    fn new(config: &Config, number: usize, build: &Build) -> Result<Self> {
        let (hidden, dim) = (config.hidden_size, config.dim());
        let (heads, kv_heads) = (config.num_attention_heads, config.kv_heads());
        let (wide, narrow) = (heads * dim, kv_heads * dim);
        let [biased, output_biased] = config.attention_biases();
        let linears = Linears {
            build,
            number,
            std: config.initializer_range,
        };
        let norm = |name: &str| RmsNorm::new(&build.sub(name), dim, config.rms_norm_eps);
        Ok(Self {
            query: linears.make("q_proj", "query", [hidden, wide], biased)?,
            key: linears.make("k_proj", "key", [hidden, narrow], biased)?,
            value: linears.make("v_proj", "value", [hidden, narrow], biased)?,
            head_norms: match config.model_type {
                Family::Qwen3 => Some([norm("q_norm")?, norm("k_norm")?]),
                _ => None,
            },
            key_values: KeyValueSite::new(build, "key_value", number, kv_heads, narrow)?,
            decode: Decode::new(&number.to_string(), heads, (dim as f64).powf(-0.5))
                .grouped(kv_heads, config.window(number)),
            dropout: config.attention_dropout,
            output: linears.make("o_proj", "attention_output", [wide, hidden], output_biased)?,
            site: OutputSite::new(&build.sub("output"), "attention_sublayer", number, hidden)?,
        })
    }

    /// `x` is `[rows, hidden]`, as is the result.
    fn forward(
        &self,
        x: &Tensor,
        turns: &Turns,
        reading: &mut Reading<'_>,
        forward: &Forward,
    ) -> Result<Tensor> {
        let mut q = self.query.forward(x, forward)?; // [rows, heads·dim]
        let mut k = self.key.forward(x, forward)?; // [rows, kv_heads·dim]
        let v = self.value.forward(x, forward)?;
        if let Some([query_norm, key_norm]) = &self.head_norms {
            (q, k) = (query_norm.forward(&q)?, key_norm.forward(&k)?);
        }
        let (q, k) = (turns.apply(&q)?, turns.apply(&k)?);
        let context = reading.attend(
            &self.decode,
            &self.key_values,
            [&q, &k, &v],
            self.dropout,
            forward,
        )?;
        let output = self.output.forward(&context, forward)?;
        self.site.forward(output, forward)
    }
}
