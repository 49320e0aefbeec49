//! Text while it is being written: token by token, and only what no later token can change.
//!
//! What a token stands for may depend on those after it: half a character of bytes, a space that
//! is stripped at the end. So each decoder is a stage that holds back what is open, a few
//! characters at most, and passes on the rest. All that was passed on, with what [`finish`] adds,
//! is what decoding the whole gives. The work for a token does not grow with the text.
//!
//! [`finish`]: Detokenizer::finish

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;
use tokenizers::{Decoder, DecoderWrapper};

/// The mark of a space in pieces of SentencePiece.
const SPACE: char = '▁';

/// Tokens by id, and which are special.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary {
    pub tokens: HashMap<u32, String>,
    pub special: HashSet<u32>,
}

/// How tokens become text.
#[derive(Clone, Debug)]
pub(crate) enum Decoding {
    /// Joined by spaces.
    Words,
    /// As `tokenizer.json` says.
    Chain(DecoderWrapper),
    /// As transformers' Marian does: special tokens are followed by a space, and what is between
    /// them is decoded by SentencePiece; spaces at both ends go.
    Marian,
}

/// Makes text of tokens, one at a time.
pub struct Detokenizer {
    vocabulary: Arc<Vocabulary>,
    skip_special_tokens: bool,
    stages: Vec<Stage>,
}

impl Detokenizer {
    pub(crate) fn new(
        vocabulary: Arc<Vocabulary>,
        decoding: &Decoding,
        skip_special_tokens: bool,
    ) -> Self {
        Self {
            vocabulary,
            skip_special_tokens,
            stages: stages(decoding),
        }
    }

    /// Takes the next token; answers the text that has become certain, which may be none. An id
    /// that is not in the vocabulary stands for nothing.
    pub fn push(&mut self, id: u32) -> String {
        let mut text = String::new();
        let is_special = self.vocabulary.special.contains(&id);
        if is_special && self.skip_special_tokens {
            return text;
        }
        if let Some(token) = self.vocabulary.tokens.get(&id) {
            let piece = Piece {
                text: token.clone(),
                is_special,
            };
            pass(&mut self.stages, piece, &mut text);
        }
        text
    }

    /// Ends the text; answers what was held back. Another text may follow.
    pub fn finish(&mut self) -> String {
        let mut text = String::new();
        for at in 0..self.stages.len() {
            if let Some((stage, after)) = self.stages[at..].split_first_mut() {
                stage.end(&mut |piece| pass(after, piece, &mut text));
            }
        }
        text
    }
}

struct Piece {
    text: String,
    is_special: bool,
}

impl From<String> for Piece {
    fn from(text: String) -> Self {
        Self {
            text,
            is_special: false,
        }
    }
}

/// Passes a piece through the stages.
fn pass(stages: &mut [Stage], piece: Piece, text: &mut String) {
    match stages.split_first_mut() {
        None => text.push_str(&piece.text),
        Some((stage, after)) => stage.feed(piece, &mut |piece| pass(after, piece, text)),
    }
}

/// What one decoder does, and what it holds back.
enum Stage {
    /// A space between tokens.
    Words {
        is_first: bool,
    },
    /// A decoder that sees each piece for itself.
    Each(DecoderWrapper),
    /// One that treats the first piece otherwise than the others.
    First {
        decoder: DecoderWrapper,
        is_first: bool,
    },
    /// One that treats the last piece otherwise.
    Last {
        decoder: DecoderWrapper,
        held: Option<String>,
    },
    /// Letters that stand for bytes; the bytes of a character that is not whole are held.
    Bytes(Vec<u8>),
    /// `<0xE2>` and the like; bytes are held until another token comes.
    Fallback(Vec<u8>),
    /// So many characters at the start of each piece and at its end.
    Strip {
        content: char,
        start: usize,
        stop: usize,
    },
    /// The same of the whole text.
    StripText(Edges),
    Marian {
        is_start: bool,
        edges: Edges,
    },
    /// All else: a decoder that must see everything.
    Whole {
        decoder: DecoderWrapper,
        /// Whether pieces come as one.
        is_one: bool,
        held: Vec<String>,
    },
}

/// The stages of a way of decoding.
fn stages(decoding: &Decoding) -> Vec<Stage> {
    let mut stages = Vec::new();
    match decoding {
        Decoding::Words => stages.push(Stage::Words { is_first: true }),
        Decoding::Marian => stages.push(Stage::Marian {
            is_start: true,
            edges: Edges::new(None, usize::MAX, usize::MAX),
        }),
        // Whether the pieces were joined to one.
        Decoding::Chain(decoder) => drop(add(decoder, false, &mut stages)),
    }
    stages
}

/// Adds the stage of a decoder; answers whether what leaves it is one piece.
fn add(decoder: &DecoderWrapper, is_one: bool, stages: &mut Vec<Stage>) -> bool {
    let whole = |decoder: &DecoderWrapper| Stage::Whole {
        decoder: decoder.clone(),
        is_one,
        held: Vec::new(),
    };
    match (decoder, is_one) {
        (DecoderWrapper::Sequence(sequence), _) => {
            let decoders = sequence.get_decoders().iter();
            return decoders.fold(is_one, |is_one, decoder| add(decoder, is_one, stages));
        }
        (DecoderWrapper::Fuse(_), _) => return true,
        (DecoderWrapper::ByteLevel(_), false) => {
            stages.push(Stage::Bytes(Vec::new()));
            return true;
        }
        (DecoderWrapper::ByteFallback(_), false) => stages.push(Stage::Fallback(Vec::new())),
        (DecoderWrapper::WordPiece(_), false) | (DecoderWrapper::Metaspace(_), false) => {
            stages.push(Stage::First {
                decoder: decoder.clone(),
                is_first: true,
            });
        }
        (DecoderWrapper::BPE(_), false) => stages.push(Stage::Last {
            decoder: decoder.clone(),
            held: None,
        }),
        (DecoderWrapper::Strip(strip), false) => stages.push(Stage::Strip {
            content: strip.content,
            start: strip.start,
            stop: strip.stop,
        }),
        (DecoderWrapper::Strip(strip), true) => {
            let edges = Edges::new(Some(strip.content), strip.start, strip.stop);
            stages.push(Stage::StripText(edges));
        }
        // Letter by letter, so that it does not matter how the text is cut.
        (DecoderWrapper::Metaspace(_), true) => stages.push(Stage::Each(decoder.clone())),
        (DecoderWrapper::Replace(_), true) if replaces_a_letter(decoder) => {
            stages.push(Stage::Each(decoder.clone()));
        }
        (DecoderWrapper::Replace(_), false) => stages.push(Stage::Each(decoder.clone())),
        _ => stages.push(whole(decoder)),
    }
    is_one
}

/// Whether a `Replace` looks for one letter; what it looks for is told by its file only.
fn replaces_a_letter(decoder: &DecoderWrapper) -> bool {
    let file = serde_json::to_value(decoder).unwrap_or(Value::Null);
    let text = file["pattern"]["String"].as_str();
    text.is_some_and(|text| text.chars().count() == 1)
}

/// What a decoder makes of pieces; pieces that it refuses are left as they are.
fn decoded(decoder: &DecoderWrapper, pieces: Vec<String>) -> Vec<String> {
    let refused = pieces.clone();
    decoder.decode_chain(pieces).unwrap_or(refused)
}

impl Stage {
    fn feed(&mut self, piece: Piece, out: &mut dyn FnMut(Piece)) {
        match self {
            Self::Words { is_first } => {
                if !std::mem::take(is_first) {
                    out(Piece::from(" ".to_owned()));
                }
                out(piece);
            }
            Self::Each(decoder) => put_all(decoded(decoder, vec![piece.text]), out),
            Self::First { decoder, is_first } => {
                let mut pieces = vec![piece.text];
                let skipped = usize::from(!std::mem::take(is_first));
                if skipped > 0 {
                    pieces.insert(0, String::new());
                }
                put_all(decoded(decoder, pieces).into_iter().skip(skipped), out);
            }
            Self::Last { decoder, held } => {
                if let Some(before) = held.replace(piece.text) {
                    let pieces = decoded(decoder, vec![before, String::new()]);
                    put_all(pieces.into_iter().take(1), out);
                }
            }
            Self::Bytes(held) => {
                held.extend(bytes_of(&piece.text));
                put(take_characters(held), out);
            }
            Self::Fallback(held) => match byte_of(&piece.text) {
                Some(byte) => held.push(byte),
                None => {
                    put(take_bytes(held), out);
                    out(piece);
                }
            },
            Self::Strip {
                content,
                start,
                stop,
            } => {
                let mut edges = Edges::new(Some(*content), *start, *stop);
                out(Piece::from(edges.take(&piece.text)));
            }
            Self::StripText(edges) => put(edges.take(&piece.text), out),
            Self::Marian { is_start, edges } => {
                let mut text = piece.text;
                if piece.is_special {
                    text.push(' ');
                } else if *is_start {
                    text = text.strip_prefix(SPACE).unwrap_or(&text).to_owned();
                }
                *is_start = piece.is_special || (*is_start && text.is_empty());
                put(edges.take(&text.replace(SPACE, " ")), out);
            }
            Self::Whole { is_one, held, .. } => match held.last_mut() {
                Some(whole) if *is_one => whole.push_str(&piece.text),
                _ => held.push(piece.text),
            },
        }
    }

    /// Passes on what is held, and is as at the start again.
    fn end(&mut self, out: &mut dyn FnMut(Piece)) {
        match self {
            Self::Words { is_first } | Self::First { is_first, .. } => *is_first = true,
            Self::Each(_) | Self::Strip { .. } => {}
            Self::Last { decoder, held } => {
                if let Some(last) = held.take() {
                    put_all(decoded(decoder, vec![last]), out);
                }
            }
            Self::Bytes(held) => {
                let rest = String::from_utf8_lossy(held).into_owned();
                held.clear();
                put(rest, out);
            }
            Self::Fallback(held) => put(take_bytes(held), out),
            Self::StripText(edges) => edges.end(),
            Self::Marian { is_start, edges } => {
                *is_start = true;
                edges.end();
            }
            Self::Whole { decoder, held, .. } => {
                let pieces = std::mem::take(held);
                if !pieces.is_empty() {
                    put_all(decoded(decoder, pieces), out);
                }
            }
        }
    }
}

fn put(text: String, out: &mut dyn FnMut(Piece)) {
    if !text.is_empty() {
        out(Piece::from(text));
    }
}

fn put_all(texts: impl IntoIterator<Item = String>, out: &mut dyn FnMut(Piece)) {
    // Empty ones too: a later stage may count pieces.
    texts.into_iter().for_each(|text| out(Piece::from(text)));
}

/// The bytes that a byte-level token stands for; a token with a letter that stands for none is
/// taken as it is.
fn bytes_of(token: &str) -> Vec<u8> {
    let byte = |c: char| {
        let code = u32::from(c);
        match code {
            33..=126 | 161..=172 | 174..=255 => u8::try_from(code).ok(),
            // The other bytes in order, from 256 on: 0–32, 127–160, 173.
            256..=288 => u8::try_from(code - 256).ok(),
            289..=322 => u8::try_from(code - 289 + 127).ok(),
            323 => Some(173),
            _ => None,
        }
    };
    let bytes: Option<Vec<u8>> = token.chars().map(byte).collect();
    bytes.unwrap_or_else(|| token.as_bytes().to_vec())
}

/// Takes whole characters off the front; bytes that cannot become one are `�` each time that
/// decoding all at once would give one.
fn take_characters(held: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let mut taken = 0;
    loop {
        match std::str::from_utf8(&held[taken..]) {
            Ok(rest) => {
                text.push_str(rest);
                taken = held.len();
                break;
            }
            Err(error) => {
                let valid = taken + error.valid_up_to();
                text.push_str(&String::from_utf8_lossy(&held[taken..valid]));
                taken = valid;
                match error.error_len() {
                    Some(wrong) => {
                        text.push('\u{fffd}');
                        taken += wrong;
                    }
                    // The next bytes may make a character of these.
                    None => break,
                }
            }
        }
    }
    held.drain(..taken);
    text
}

/// The byte of a token such as `<0x0A>`.
fn byte_of(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    match digits.len() {
        2 => u8::from_str_radix(digits, 16).ok(),
        _ => None,
    }
}

/// Takes bytes as text; if they are none, each is `�`.
fn take_bytes(held: &mut Vec<u8>) -> String {
    let count = held.len();
    let text = String::from_utf8(std::mem::take(held));
    text.unwrap_or_else(|_| "\u{fffd}".repeat(count))
}

/// Takes characters off both ends of a text that comes in parts.
struct Edges {
    /// The character; `None` for all white space.
    content: Option<char>,
    start: usize,
    /// Characters that are still taken off the start.
    left: usize,
    stop: usize,
    held: String,
}

impl Edges {
    fn new(content: Option<char>, start: usize, stop: usize) -> Self {
        Self {
            content,
            start,
            left: start,
            stop,
            held: String::new(),
        }
    }

    fn take(&mut self, text: &str) -> String {
        let content = self.content;
        let is_content = |c: char| content.map_or(c.is_whitespace(), |content| c == content);
        let mut rest = text;
        while self.left > 0 {
            let mut chars = rest.chars();
            match chars.next() {
                Some(c) if is_content(c) => {
                    self.left -= 1;
                    rest = chars.as_str();
                }
                Some(_) => self.left = 0,
                None => return String::new(),
            }
        }
        let mut all = std::mem::take(&mut self.held);
        all.push_str(rest);
        let trailing = all
            .chars()
            .rev()
            .take_while(|c| is_content(*c))
            .take(self.stop);
        let length: usize = trailing.map(char::len_utf8).sum();
        self.held = all.split_off(all.len() - length);
        all
    }

    fn end(&mut self) {
        self.held.clear();
        self.left = self.start;
    }
}
