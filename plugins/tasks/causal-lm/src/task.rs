//! The task: text to tokens, logits to losses and likelihoods.

use tenon_nn::{counted, token_loss};
use tenon_plugin_api::task::prelude::*;

use crate::options::Options;

/// Tokens of a block when neither options nor model say.
const USUAL: usize = 1024;

/// The task.
#[derive(Debug)]
pub struct CausalLm {
    options: Options,
    block_size: usize,
    stride: usize,
}

impl Task for CausalLm {
    const ID: &'static str = "causal-lm";
    const ABOUT: &'static str = "Predicts each token of running text from those before it";
    const OUTPUTS: &'static [&'static str] = &["numbers"];
    type Options = Options;

    fn new(options: Options) -> Result<Self> {
        let (block_size, stride) = blocks(&options, 0)?;
        Ok(Self {
            options,
            block_size,
            stride,
        })
    }

    fn describe(&self) -> TaskInfo {
        let separator = &self.options.separator;
        TaskInfo {
            columns: vec![ColumnInfo {
                name: self.options.text.name().to_owned(),
                kind: ColumnKind::Text,
                for_prediction: true,
            }],
            head: Some(HeadInfo {
                kind: "causal-lm".to_owned(),
                ..HeadInfo::default()
            }),
            fields: vec![
                FieldInfo::token_ids("input_ids"),
                FieldInfo::ints("labels", tenon_nn::IGNORED),
                FieldInfo::stacked("bytes", FieldKind::Int),
            ],
            output: OutputInfo {
                kind: ValueKind::Numbers.name().to_owned(),
                labels: Vec::new(),
            },
            metrics: vec![MetricRequest::new("perplexity")],
            pack: Some(PackInfo {
                length: self.block_size,
                stride: self.stride,
                target: Some("labels".to_owned()),
                sums: vec!["bytes".to_owned()],
                separator: (!separator.is_empty()).then(|| separator.clone()),
            }),
            ..TaskInfo::default()
        }
    }

    fn prepare(&mut self, data: &DataInfo) -> Result<()> {
        (self.block_size, self.stride) = blocks(&self.options, data.max_length)?;
        Ok(())
    }

    fn encode(
        &self,
        record: Record<'_>,
        tokenizer: &Tokenizer<'_>,
        examples: &mut Examples,
    ) -> Result<()> {
        let text = record.text(&self.options.text)?;
        let how = Encode {
            no_special_tokens: true,
            offsets: true,
            ..Encode::default()
        };
        let encoding = tokenizer.encode(text, &how)?;
        if encoding.ids.is_empty() {
            return Ok(());
        }
        let bytes = bytes_of(&encoding, text.len());
        examples
            .example()
            .ints("input_ids", &encoding.ids)
            .ints("labels", &encoding.ids)
            .ints("bytes", &bytes);
        Ok(())
    }

    fn loss(&self, outputs: &TensorMap, batch: &TensorMap) -> Result<Loss> {
        token_loss(outputs, batch, 0.0)
    }

    fn predict(&self, outputs: &TensorMap, batch: &TensorMap) -> Result<Predictions> {
        let labels = batch.require("labels")?; // [batch, time]
        let (logits, targets) = counted(outputs.require("logits")?, labels)?; // [n, vocab], [n]
        let logits = logits.f_detach()?.f_to_kind(Kind::Float)?;
        let picked = logits
            .f_gather(-1, &targets.f_unsqueeze(-1)?, false)?
            .f_squeeze_dim(-1)?;
        let losses = floats(&(logits.f_logsumexp([-1_i64], false)? - picked))?; // [n]
        let counts = labels.f_ne(tenon_nn::IGNORED)?;
        let counts = floats(&counts.f_sum_dim_intlist([-1_i64].as_slice(), false, Kind::Int64)?)?; // [batch]
        let bytes = floats(batch.require("bytes")?)?; // [batch]
        ensure!(
            bytes.len() == counts.len(),
            Tensor,
            "reading `bytes`: expected one a block, found {} for {} blocks",
            bytes.len(),
            counts.len()
        );
        let (mut predictions, mut references) = (
            Values::new(ValueKind::Numbers),
            Values::new(ValueKind::Numbers),
        );
        let mut rest = losses.as_slice();
        for (count, bytes) in counts.iter().zip(&bytes) {
            let (block, after) = rest.split_at(*count as usize);
            predictions.push_numbers(&[block.iter().sum(), *count, *bytes]);
            references.push_numbers(&[]);
            rest = after;
        }
        Ok(Predictions {
            predictions,
            references: Some(references),
        })
    }
}

/// Block size and stride; the model's limit is 0 when it has none.
fn blocks(options: &Options, limit: usize) -> Result<(usize, usize)> {
    let most = if limit > 0 { limit } else { usize::MAX };
    let block_size = options.block_size.unwrap_or(USUAL.min(most));
    ensure!(
        block_size <= most,
        Options,
        "block_size: the model takes {limit} tokens, fewer than {block_size}"
    );
    let stride = options.stride.unwrap_or(block_size);
    ensure!(
        stride <= block_size,
        Options,
        "stride: expected at most the {block_size} tokens of a block, found {stride}: tokens would be passed over"
    );
    Ok((block_size, stride))
}

/// Bytes of the text that each token adds: white space that a tokenizer drops goes to the token after it, at
/// the end to the last one; a character that is spread over several tokens to the first of them.
fn bytes_of(encoding: &Encoding, text: usize) -> Vec<i64> {
    if encoding.offsets.len() != encoding.ids.len() {
        return vec![0; encoding.ids.len()];
    }
    let mut covered = 0;
    let mut bytes: Vec<i64> = encoding
        .offsets
        .iter()
        .map(|(_, end)| {
            let new = end.saturating_sub(covered);
            covered += new;
            new as i64
        })
        .collect();
    if let Some(last) = bytes.last_mut() {
        *last += text.saturating_sub(covered) as i64;
    }
    bytes
}

fn floats(tensor: &Tensor) -> Result<Vec<f64>> {
    let flat = tensor.f_to_device(Device::Cpu)?.f_reshape([-1])?;
    Ok(Vec::try_from(&flat.f_to_kind(Kind::Double)?)?)
}
