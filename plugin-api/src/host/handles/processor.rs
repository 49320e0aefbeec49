//! A processor as a host calls it.

use abi_stable::std_types::RSliceMut;

use crate::abi::processor::RawSequence;
use crate::abi::root::BoxedProcessor;
use crate::abi::to_json;
use crate::error::Result;
use crate::host::Component;
use crate::processor::{Decoding, Processor, Sequence};

/// A processor of a plugin. May be called from several threads at once.
pub struct ProcessorHandle {
    object: BoxedProcessor,
    from: Component,
}

impl ProcessorHandle {
    pub(in crate::host) fn new(object: BoxedProcessor, from: Component) -> Self {
        Self { object, from }
    }

    /// A processor of this program, through the same adapter as one of a plugin.
    ///
    /// # Errors
    /// It refuses the options.
    pub fn of<P: Processor>(options: &str) -> Result<Self> {
        let from = Component::here(P::ID);
        from.answer(crate::processor::create::<P>(options))
            .map(|object| Self::new(object, from))
    }

    /// Tells it what is being decoded.
    ///
    /// # Errors
    /// It cannot work on that.
    pub fn begin(&mut self, decoding: &Decoding) -> Result<()> {
        let text = to_json(decoding)?;
        self.from.answer(self.object.begin(text.as_rstr()))
    }

    /// Changes the scores of the next token of a sequence.
    ///
    /// # Errors
    /// The sequence is not what it can work on.
    pub fn process(&self, sequence: Sequence<'_>, scores: &mut [f32]) -> Result<()> {
        let raw = RawSequence {
            tokens: sequence.tokens.into(),
            prompt: sequence.prompt as u64,
            source: sequence.source.into(),
            siblings: sequence.siblings.into(),
            reserved: [0; 4],
        };
        self.from
            .answer(self.object.process(raw, RSliceMut::from_mut_slice(scores)))
    }
}
