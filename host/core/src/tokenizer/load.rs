//! Loading a tokenizer: `tokenizer.json`, or a SentencePiece model with what is beside it.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::Digest;
use tokenizers::{AddedToken, PostProcessorWrapper, TokenizerImpl};

use super::detokenize::Decoding;
use super::files::{Files, MOST_IDS, read};
use super::sentencepiece::{self, Converted};
use super::side::{Computes, Normalize, Renumbered, Side};
use crate::data::TokenizerError;

/// Special tokens of T5 unless its files say otherwise.
const EXTRA_IDS: u64 = 100;
/// Those whose ids are not the places of their pieces.
const RENUMBERED: [&str; 14] = [
    "XLMRobertaTokenizer",
    "CamembertTokenizer",
    "MBartTokenizer",
    "MBart50Tokenizer",
    "NllbTokenizer",
    "M2M100Tokenizer",
    "XGLMTokenizer",
    "PegasusTokenizer",
    "BarthezTokenizer",
    "PLBartTokenizer",
    "DebertaV2Tokenizer",
    "Speech2TextTokenizer",
    "ReformerTokenizer",
    "BigBirdTokenizer",
];

/// One side, or two that differ.
pub(crate) struct Sides {
    pub source: Side,
    pub target: Option<Side>,
}

impl Sides {
    /// The number of ids of the larger side.
    pub fn vocab_size(&self) -> usize {
        let target = self.target.as_ref().map_or(0, Side::vocab_size);
        self.source.vocab_size().max(target)
    }
}

/// Loads the tokenizer of `files`.
///
/// # Errors
/// A file is missing, broken, or does not fit the others.
pub(crate) fn load(files: &mut Files) -> Result<Sides, TokenizerError> {
    let name = files
        .path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    match name {
        "source.spm" | "target.spm" => marian(files),
        name if name.ends_with(".model") || name.ends_with(".spm") => Ok(Sides {
            source: piece_model(files)?,
            target: None,
        }),
        _ => Ok(Sides {
            source: json_file(files)?,
            target: None,
        }),
    }
}

fn invalid(path: &Path, problem: impl Into<String>) -> TokenizerError {
    TokenizerError::Invalid {
        path: path.to_owned(),
        problem: problem.into(),
    }
}

/// `tokenizer.json`.
fn json_file(files: &mut Files) -> Result<Side, TokenizerError> {
    let path = files.path.clone();
    let bytes = read(&path)?.ok_or_else(|| TokenizerError::Missing { path: path.clone() })?;
    files.digest.update(&bytes);
    let fault = |error: &dyn std::error::Error| invalid(&path, error.to_string());
    let mut tokenizer: Computes = serde_json::from_slice(&bytes).map_err(|error| fault(&error))?;
    let processor = tokenizer.get_post_processor().cloned();
    tokenizer.with_padding(None);
    tokenizer.with_post_processor(None::<PostProcessorWrapper>);
    tokenizer
        .with_truncation(None)
        .map_err(|error| fault(&*error))?;
    let decoding = match tokenizer.get_decoder() {
        Some(decoder) => Decoding::Chain(decoder.clone()),
        None => Decoding::Words,
    };
    Ok(Side::new(tokenizer, processor, decoding, None))
}

/// `spiece.model`, `tokenizer.model` and their like.
fn piece_model(files: &mut Files) -> Result<Side, TokenizerError> {
    let path = files.path.clone();
    let class = files.class().unwrap_or_default().to_owned();
    if RENUMBERED.contains(&class.as_str()) {
        return Err(invalid(
            &path,
            format!(
                "a {class} numbers its tokens otherwise than its SentencePiece model; write a tokenizer.json \
             (in Python: `AutoTokenizer.from_pretrained(folder).save_pretrained(folder)`)"
            ),
        ));
    }
    let model = sentencepiece::read(&path, &mut |bytes| files.digest.update(bytes))?;
    let style = Style::of(&class, files);
    let added = files.added()?;
    let mut special: HashSet<String> = style
        .special(files, model.pieces.len(), &added)
        .into_iter()
        .collect();
    // What the model itself calls control or unknown is special, as in transformers.
    let kinds = [
        sentencepiece::PieceKind::Control,
        sentencepiece::PieceKind::Unknown,
    ];
    let own = model
        .pieces
        .iter()
        .filter(|piece| kinds.contains(&piece.of_kind()));
    special.extend(own.map(|piece| piece.text().to_owned()));
    let converted = sentencepiece::convert(&path, &model, &special)?;
    let mut more = style.special(files, model.pieces.len(), &added);
    more.extend(converted.control.iter().cloned());
    more.extend(converted.unknown.clone());
    let (mut tokenizer, decoding) = computes(&converted);
    add_tokens(&mut tokenizer, &more, true);
    add_tokens(&mut tokenizer, &converted.user_defined, false);
    for (id, token, is_special) in &added {
        if tokenizer.token_to_id(token).is_none() {
            add_tokens(&mut tokenizer, std::slice::from_ref(token), *is_special);
        }
        if tokenizer.token_to_id(token) != Some(*id) {
            return Err(invalid(
                &path,
                format!(
                    "tokenizer_config.json gives the token {token:?} the id {id}, which it has not here: they do not belong together"
                ),
            ));
        }
    }
    let processor = style.processor(&path, files, &tokenizer)?;
    Ok(Side::new(tokenizer, processor, decoding, None))
}

/// The customs of a family of models.
enum Style {
    /// `</s>` behind each text, and sentinels `<extra_id_0>`…
    T5,
    /// `<s>` in front of each text.
    Llama,
    /// Nothing besides the text.
    Plain,
}

impl Style {
    fn of(class: &str, files: &Files) -> Self {
        match class {
            "T5Tokenizer" | "t5" | "mt5" | "umt5" | "longt5" | "MT5Tokenizer" => Self::T5,
            "LlamaTokenizer" | "GemmaTokenizer" | "CodeLlamaTokenizer" | "llama" | "mistral"
            | "mixtral" | "gemma" => Self::Llama,
            // Without any word, the file's name tells.
            "" if files
                .path
                .file_name()
                .is_some_and(|name| name == "spiece.model") =>
            {
                Self::T5
            }
            _ => Self::Plain,
        }
    }

    /// Special tokens besides the model's own, in the order of their ids.
    fn special(&self, files: &Files, pieces: usize, added: &[(u32, String, bool)]) -> Vec<String> {
        let mut tokens = Vec::new();
        let has_list = added.iter().any(|(id, ..)| *id as usize >= pieces);
        if matches!(self, Self::T5) && !has_list {
            let count = files
                .tokenizer_config
                .get("extra_ids")
                .and_then(Value::as_u64);
            let count = count.unwrap_or(EXTRA_IDS).min(u64::from(MOST_IDS));
            tokens.extend(
                (0..count)
                    .rev()
                    .map(|number| format!("<extra_id_{number}>")),
            );
        }
        let is_new = |token: &String| !added.iter().any(|(_, known, _)| known == token);
        let more = files.more_special().into_iter().filter(is_new);
        for token in more {
            if !tokens.contains(&token) {
                tokens.push(token);
            }
        }
        tokens
    }

    fn processor(
        &self,
        path: &Path,
        files: &Files,
        tokenizer: &Computes,
    ) -> Result<Option<PostProcessorWrapper>, TokenizerError> {
        let token = |role: &str, custom: &str| files.named(role).unwrap_or(custom).to_owned();
        let (bos, eos) = match self {
            Self::T5 => (false, files.is_on("add_eos_token").unwrap_or(true)),
            Self::Llama => (
                files.is_on("add_bos_token").unwrap_or(true),
                files.is_on("add_eos_token").unwrap_or(false),
            ),
            Self::Plain => (
                files.is_on("add_bos_token").unwrap_or(false),
                files.is_on("add_eos_token").unwrap_or(false),
            ),
        };
        let bos = bos.then(|| token("bos", "<s>"));
        let eos = eos.then(|| token("eos", "</s>"));
        let id = |token: &str| tokenizer.token_to_id(token);
        template(path, bos.as_deref(), eos.as_deref(), &id, true)
    }
}

/// What puts special tokens around texts; a pair has them around each text, or around both.
fn template(
    path: &Path,
    first: Option<&str>,
    last: Option<&str>,
    id: &dyn Fn(&str) -> Option<u32>,
    around_each: bool,
) -> Result<Option<PostProcessorWrapper>, TokenizerError> {
    if first.is_none() && last.is_none() {
        return Ok(None);
    }
    let mut ids = Map::new();
    for token in [first, last].into_iter().flatten() {
        let id = id(token).ok_or_else(|| {
            invalid(
                path,
                format!("it has no token {token:?}, which is put around each text"),
            )
        })?;
        ids.insert(
            token.to_owned(),
            json!({"id": token, "ids": [id], "tokens": [token]}),
        );
    }
    let special = |token: Option<&str>| {
        token.map(|token| json!({"SpecialToken": {"id": token, "type_id": 0}}))
    };
    let text = |name: &str| Some(json!({"Sequence": {"id": name, "type_id": 0}}));
    let list = |parts: Vec<Option<Value>>| parts.into_iter().flatten().collect::<Vec<_>>();
    let single = list(vec![special(first), text("A"), special(last)]);
    let pair = match around_each {
        true => list(vec![
            special(first),
            text("A"),
            special(last),
            special(first),
            text("B"),
            special(last),
        ]),
        false => list(vec![special(first), text("A"), text("B"), special(last)]),
    };
    let file = json!({"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": ids});
    let made = serde_json::from_value(file).map_err(|error| invalid(path, error.to_string()))?;
    Ok(Some(made))
}

/// The parts of a SentencePiece model put together.
fn computes(converted: &Converted) -> (Computes, Decoding) {
    let mut tokenizer: Computes = TokenizerImpl::new(converted.model.clone());
    tokenizer.with_normalizer(Some(Normalize::SentencePiece(converted.normalizer.clone())));
    tokenizer.with_pre_tokenizer(converted.pre_tokenizer.clone());
    tokenizer.with_decoder(Some(converted.decoder.clone()));
    (tokenizer, Decoding::Chain(converted.decoder.clone()))
}

fn add_tokens(tokenizer: &mut Computes, tokens: &[String], special: bool) {
    let added: Vec<AddedToken> = tokens
        .iter()
        .map(|token| AddedToken::from(token.clone(), special).normalized(false))
        .collect();
    match special {
        true => tokenizer.add_special_tokens(&added),
        false => tokenizer.add_tokens(&added),
    };
}

/// `source.spm` and `target.spm`, whose pieces `vocab.json` numbers (and `target_vocab.json`,
/// where the sides have vocabularies of their own).
fn marian(files: &mut Files) -> Result<Sides, TokenizerError> {
    files.path = files.beside("source.spm");
    let separate = files.is_on("separate_vocabs").unwrap_or(false);
    let own = files.required("vocab.json")?;
    let source = marian_side(files, "source.spm", "vocab.json", &own, !separate)?;
    let theirs = match separate {
        true => files.required("target_vocab.json")?,
        false => own,
    };
    let name = if separate {
        "target_vocab.json"
    } else {
        "vocab.json"
    };
    let target = marian_side(files, "target.spm", name, &theirs, !separate)?;
    Ok(Sides {
        source,
        target: Some(target),
    })
}

fn marian_side(
    files: &mut Files,
    name: &str,
    vocab_name: &str,
    vocab: &Map<String, Value>,
    languages: bool,
) -> Result<Side, TokenizerError> {
    let path = files.beside(name);
    let vocab_path = files.beside(vocab_name);
    let mut ids: HashMap<String, u32> = HashMap::with_capacity(vocab.len());
    for (token, id) in vocab {
        let id = id
            .as_u64()
            .and_then(|id| u32::try_from(id).ok())
            .filter(|id| *id < MOST_IDS);
        let id = id.ok_or_else(|| {
            invalid(
                &vocab_path,
                format!("the id of {token:?} is no id of a vocabulary"),
            )
        })?;
        ids.insert(token.clone(), id);
    }
    let special: Vec<String> = [("eos", "</s>"), ("unk", "<unk>"), ("pad", "<pad>")]
        .iter()
        .map(|(role, custom)| files.named(role).unwrap_or(custom).to_owned())
        .collect();
    for token in &special {
        if !ids.contains_key(token) {
            return Err(invalid(&vocab_path, format!("it has no id for {token:?}")));
        }
    }
    let model = sentencepiece::read(&path, &mut |bytes| files.digest.update(bytes))?;
    let set: HashSet<String> = special.iter().cloned().collect();
    let converted = sentencepiece::convert(&path, &model, &set)?;
    check_pieces(&converted, &ids, &path, &vocab_path)?;
    let (mut tokenizer, _) = computes(&converted);
    add_tokens(&mut tokenizer, &special, true);
    let (eos, unk) = (special[0].clone(), ids[&special[1]]);
    let id = |token: &str| ids.get(token).copied();
    let processor = template(&path, None, Some(&eos), &id, false)?;
    let special: HashSet<u32> = special.iter().map(|token| ids[token]).collect();
    let renumbered = Renumbered::new(ids, unk, special, languages);
    Ok(Side::new(
        tokenizer,
        processor,
        Decoding::Marian,
        Some(renumbered),
    ))
}

/// Pieces without an id are unknown; if most are, the files are of two tokenizers.
fn check_pieces(
    converted: &Converted,
    ids: &HashMap<String, u32>,
    path: &Path,
    vocab_path: &Path,
) -> Result<(), TokenizerError> {
    let lacking = || {
        converted
            .pieces
            .iter()
            .filter(|piece| !ids.contains_key(*piece))
    };
    let (count, all) = (lacking().count(), converted.pieces.len());
    if count * 2 <= all {
        return Ok(());
    }
    let first = lacking().next().cloned().unwrap_or_default();
    Err(invalid(
        vocab_path,
        format!(
            "it has no id for {count} of the {all} pieces of {}, {first:?} the first: they do not belong together",
            path.display()
        ),
    ))
}
