//! The host's tokenizer as plugins call it; see [`crate::tokenizer::Tokenizer`].

use abi_stable::std_types::{ROption, RStr, RString, RVec};
use abi_stable::{StableAbi, sabi_trait};

use super::AbiResult;
use crate::tokenizer::no_chat_template;

/// What to make of a text.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct EncodeRequest<'a> {
    pub text: RStr<'a>,
    pub pair: ROption<RStr<'a>>,
    /// 0: no truncation.
    pub max_length: u64,
    /// 0 longest first, 1 only the first, 2 only the second, 3 none (too long is an error).
    pub truncation: u32,
    /// Bit 0: without special tokens. Bit 1: with offsets. Bit 2: with word ids. Bit 3: as text of
    /// the target side.
    pub flags: u32,
}

/// Token ids and what goes with them; lists that were not asked for are empty.
#[repr(C)]
#[derive(StableAbi, Clone, Debug, Default)]
pub struct RawEncoding {
    pub ids: RVec<i64>,
    pub type_ids: RVec<i64>,
    /// Two entries a token: first byte and one past the last, in its text.
    pub offsets: RVec<u64>,
    /// Word index a token, -1 for special tokens.
    pub words: RVec<i64>,
    /// Which text a token is of: 0, 1, or -1 for special tokens.
    pub sequence: RVec<i64>,
}

#[sabi_trait]
pub trait TokenizerObject: Send + Sync {
    fn encode(&self, request: EncodeRequest<'_>) -> AbiResult<RawEncoding>;
    fn token_id(&self, token: RStr<'_>) -> ROption<u32>;
    fn special(&self, name: RStr<'_>) -> ROption<u32>;
    fn vocab_size(&self) -> u64;
    #[sabi(last_prefix_field)]
    fn decode(&self, ids: &RVec<u32>, skip_special: bool) -> AbiResult<RString>;
    fn decode_target(&self, ids: &RVec<u32>, skip_special: bool) -> AbiResult<RString> {
        self.decode(ids, skip_special)
    }
    /// Messages as JSON, a list of `{"role": …, "content": …}`.
    fn chat(&self, messages: RStr<'_>, add_generation_prompt: bool) -> AbiResult<RString> {
        let _ = (messages, add_generation_prompt);
        AbiResult::RErr(no_chat_template().into())
    }
}
