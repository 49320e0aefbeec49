//! The tokenizers that BLEU chooses among.

mod intl;
mod ter;
mod western;
mod zh;

use std::borrow::Cow;

use tenon_plugin_api::metric::prelude::*;

use crate::text::{is_space, trim, trim_end, words};

pub use ter::Tercom;
pub(crate) use western::Western;

/// How a line becomes tokens.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokenize {
    /// mteval-v13a: punctuation of the ASCII range apart, numbers kept together; what WMT uses.
    #[option(rename = "13a")]
    V13a,
    /// mteval-v14: punctuation and symbols of all of Unicode apart.
    Intl,
    /// Chinese characters one by one, all else as `13a`.
    Zh,
    /// Every character.
    Char,
    /// White space only, for text that is tokenized already.
    None,
}

impl Tokenize {
    /// The name that users write.
    pub fn name(self) -> &'static str {
        match self {
            Self::V13a => "13a",
            Self::Intl => "intl",
            Self::Zh => "zh",
            Self::Char => "char",
            Self::None => "none",
        }
    }

    /// Calls `each` with every token of a line.
    pub fn tokens(self, line: &str, buffers: &mut Western, mut each: impl FnMut(&str)) {
        let line = trim_end(line);
        match self {
            Self::V13a => words(buffers.v13a(line)).for_each(each),
            Self::Zh => {
                let apart = zh::separate(trim(line));
                words(buffers.tokenize(&apart)).for_each(each);
            }
            Self::Intl => words(&intl::tokenize(line)).for_each(each),
            Self::Char => {
                let mut buffer = [0; 4];
                line.chars()
                    .filter(|character| !is_space(*character))
                    .for_each(|character| each(character.encode_utf8(&mut buffer)));
            }
            Self::None => words(line).for_each(each),
        }
    }
}

/// The characters that SGML escapes, one kind after the other, so that `&amp;lt;` becomes `<`.
fn unescape(line: &str) -> Cow<'_, str> {
    let mut line = Cow::Borrowed(line);
    if !line.contains('&') {
        return line;
    }
    for (escape, character) in [
        ("&quot;", "\""),
        ("&amp;", "&"),
        ("&lt;", "<"),
        ("&gt;", ">"),
    ] {
        if line.contains(escape) {
            line = line.replace(escape, character).into();
        }
    }
    line
}
