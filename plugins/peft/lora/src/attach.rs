//! The update at one site: its forward pass, and what it adds to the weight when merged.

use tenon_nn::Dropout;
use tenon_plugin_api::peft::prelude::*;

/// The update at a linear layer.
pub struct Update {
    /// `[r, in]`.
    pub a: Tensor,
    /// `[out, r]`.
    pub b: Tensor,
    pub scale: f64,
    /// Probability to drop an element of the input.
    pub dropout: f64,
    /// Whether the layer's weight is stored `[in, out]`.
    pub transposed: bool,
}

impl Attach for Update {
    fn forward(&self, tensors: Vec<Tensor>, forward: &Forward) -> Result<Vec<Tensor>> {
        let [input, output] = <[Tensor; 2]>::try_from(tensors).map_err(|tensors| {
            Error::new(
                ErrorCode::Tensor,
                format!("expected input and output, found {} tensors", tensors.len()),
            )
        })?;
        let kind = self.a.kind();
        let mut input = input.f_to_kind(kind)?;
        if forward.training() && self.dropout > 0.0 {
            input = Dropout::new(self.dropout, forward.next_seed()).apply(&input)?;
        }
        // […, in] -> [n, r]; scaled here, where it is smallest
        let rows = input.f_reshape([-1, self.a.size()[1]])?;
        let inner = rows.f_mm(&self.a.f_tr()?)?.f_mul_scalar(self.scale)?;
        if output.kind() == kind && output.dim() == 2 {
            return Ok(vec![output.f_addmm(&inner, &self.b.f_tr()?)?]);
        }
        let update = inner.f_mm(&self.b.f_tr()?)?;
        let update = update.f_to_kind(output.kind())?.f_view_as(&output)?;
        Ok(vec![output.f_add(&update)?])
    }

    /// `s · B · A` in float32, in the layout of the layer's weight.
    fn delta(&self) -> Result<Option<TensorMap>> {
        let float = |tensor: &Tensor| tensor.f_detach()?.f_to_kind(Kind::Float);
        let delta = float(&self.b)?
            .f_mm(&float(&self.a)?)?
            .f_mul_scalar(self.scale)?;
        let delta = match self.transposed {
            true => delta.f_tr()?.f_contiguous()?,
            false => delta,
        };
        Ok(Some(TensorMap::new().with("weight", delta)))
    }
}
