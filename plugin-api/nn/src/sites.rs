//! Places other than linear layers where PEFT methods attach: hidden states, embeddings, keys and values.
//!
//! Attachments see padded tensors with a sequence in each row, models compute packed; what is attached may put
//! tokens before each sequence. Nothing is padded where nothing is attached.

use tch::Tensor;
use tenon_plugin_api::info::{SiteInfo, SiteKind};
use tenon_plugin_api::model::{Build, Forward, Site};
use tenon_plugin_api::{Result, bail};

use crate::packing::Spans;

/// The output of a sublayer before the residual sum.
pub struct OutputSite(Site);

impl OutputSite {
    /// A site named like `build`, through which hidden states of `width` elements pass.
    ///
    /// # Errors
    /// A site of that name exists.
    pub fn new(build: &Build, role: &str, layer: usize, width: i64) -> Result<Self> {
        let info = info(build, role, SiteKind::Output, Some(layer), width);
        Ok(Self(build.site(&info, &[])?))
    }

    /// `x` `[rows, width]`, passed through what is attached.
    ///
    /// # Errors
    /// Those of the attached computation.
    pub fn forward(&self, x: Tensor, forward: &Forward) -> Result<Tensor> {
        if !self.0.is_attached() {
            return Ok(x);
        }
        only(self.0.apply(&[&x], forward)?)
    }
}

/// The input embeddings.
pub struct EmbeddingSite(Site);

impl EmbeddingSite {
    /// A site named like `build` with the table `weight` `[entries, width]`.
    ///
    /// # Errors
    /// A site of that name exists.
    pub fn new(build: &Build, role: &str, weight: &Tensor) -> Result<Self> {
        let info = info(build, role, SiteKind::Embedding, None, weight.size()[1]);
        Ok(Self(build.site(&info, &[("weight", weight)])?))
    }

    /// `x` `[rows, width]` with sequences at `spans`, passed through what is attached, and where the sequences lie
    /// then: longer ones where tokens were put before them.
    ///
    /// # Errors
    /// Those of the attached computation and of libtorch.
    pub fn forward(&self, x: Tensor, spans: &Spans, forward: &Forward) -> Result<(Tensor, Spans)> {
        if !self.0.is_attached() {
            return Ok((x, spans.clone()));
        }
        let padded = only(self.0.apply(&[&spans.pad(&x)?], forward)?)?; // [b, front + t, width]
        let grown = spans.grown(padded.size()[1] - spans.longest());
        Ok((grown.unpad(&padded)?, grown))
    }
}

/// Keys and values of an attention.
pub struct KeyValueSite {
    site: Site,
    heads: i64,
}

impl KeyValueSite {
    /// A site named like `build`, through which keys and values of `heads` heads, `width` elements together, pass.
    ///
    /// # Errors
    /// A site of that name exists.
    pub fn new(build: &Build, role: &str, layer: usize, heads: i64, width: i64) -> Result<Self> {
        let info = info(build, role, SiteKind::KeyValue, Some(layer), width);
        let site = build.site(&info, &[])?;
        Ok(Self { site, heads })
    }

    /// Whether something is attached.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.site.is_attached()
    }

    /// `k` and `v` `[rows, heads·dim]` with sequences at `spans`, passed through what is attached, and where the
    /// sequences lie then.
    ///
    /// # Errors
    /// Those of the attached computation and of libtorch.
    pub fn forward(
        &self,
        k: &Tensor,
        v: &Tensor,
        spans: &Spans,
        forward: &Forward,
    ) -> Result<(Tensor, Tensor, Spans)> {
        if !self.site.is_attached() {
            return Ok((k.shallow_clone(), v.shallow_clone(), spans.clone()));
        }
        let (batch, time, width) = (spans.sequences(), spans.longest(), k.size()[1]);
        let split = |x: &Tensor| -> Result<Tensor> {
            let padded = spans
                .pad(x)?
                .f_view([batch, time, self.heads, width / self.heads])?;
            Ok(padded.f_transpose(1, 2)?) // [b, t, h, d] -> [b, h, t, d]
        };
        let out = self.site.apply(&[&split(k)?, &split(v)?], forward)?;
        let [k, v] = out.as_slice() else {
            bail!(
                Tensor,
                "key_value site: expected 2 tensors of what is attached, found {}",
                out.len()
            );
        };
        let grown = spans.grown(k.size()[2] - time);
        let join = |x: &Tensor| -> Result<Tensor> {
            let joined = x
                .f_transpose(1, 2)?
                .f_reshape([batch, x.size()[2], width])?; // [b, t, h·d]
            Ok(grown.unpad(&joined)?)
        };
        Ok((join(k)?, join(v)?, grown.clone()))
    }
}

fn info(build: &Build, role: &str, kind: SiteKind, layer: Option<usize>, width: i64) -> SiteInfo {
    SiteInfo {
        name: build.name().to_owned(),
        role: role.to_owned(),
        kind,
        layer,
        in_features: width,
        out_features: width,
        transposed: false,
    }
}

/// The tensor that an attached computation returns.
fn only(out: Vec<Tensor>) -> Result<Tensor> {
    let count = out.len();
    let mut out = out.into_iter();
    match (out.next(), out.next()) {
        (Some(tensor), None) => Ok(tensor),
        _ => bail!(
            Tensor,
            "site of hidden states: expected 1 tensor of what is attached, found {count}"
        ),
    }
}
