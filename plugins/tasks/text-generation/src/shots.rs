//! Few-shot prompts: demonstrations before what is asked, as text or as earlier turns.

use tenon_plugin_api::task::prelude::*;
use tenon_plugin_api::tokenizer::Message;

use crate::conversation::{ASSISTANT, SYSTEM};

/// What a model is asked, without demonstrations.
#[derive(Debug)]
pub enum Asked {
    /// A prompt.
    Text(String),
    /// A conversation, in which it has the next turn.
    Turns(Vec<Message>),
}

/// Demonstrations, as they stand before what is asked.
#[derive(Debug)]
pub enum Shots {
    /// Each a prompt and its target, with the separator behind it.
    Texts(Vec<String>),
    /// Each a conversation without a system's turn, to the assistant's last.
    Turns(Vec<Vec<Message>>),
}

impl Default for Shots {
    fn default() -> Self {
        Self::Texts(Vec::new())
    }
}

impl Shots {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Turns(turns) => turns.len(),
        }
    }

    /// The text before a prompt, without the first `skipped`.
    pub fn text(&self, skipped: usize) -> String {
        match self {
            Self::Texts(texts) => texts[skipped..].concat(),
            Self::Turns(_) => String::new(),
        }
    }

    /// A conversation with the turns of all but the first `skipped` before its own, but after a system's; and the place
    /// of its own first turn after that.
    pub fn before(&self, turns: &[Message], skipped: usize) -> (Vec<Message>, usize) {
        let system = turns.iter().take_while(|turn| turn.role == SYSTEM).count();
        let (system, own) = turns.split_at(system);
        let shown = match self {
            Self::Texts(_) => &[],
            Self::Turns(shots) => &shots[skipped..],
        };
        let before = system.iter().chain(shown.iter().flatten());
        let mut all: Vec<Message> = before.cloned().collect();
        let place = all.len();
        all.extend_from_slice(own);
        (all, place)
    }
}

/// A conversation as a demonstration.
///
/// # Errors
/// The assistant has no turn in it.
pub fn shown(mut turns: Vec<Message>) -> Result<Vec<Message>> {
    let answer = turns.iter().rposition(|turn| turn.role == ASSISTANT);
    let answer = answer.context("a demonstration without a turn of the assistant")?;
    turns.truncate(answer + 1);
    turns.retain(|turn| turn.role != SYSTEM);
    Ok(turns)
}

/// Refuses what only prompts for labels have.
///
/// # Errors
/// The run file says it all the same.
pub fn check(info: &PromptInfo) -> Result<()> {
    let refused = [
        (
            "template",
            info.template.is_some(),
            "prompts have their own, `task.prompt`",
        ),
        (
            "verbalizers",
            !info.verbalizers.is_empty(),
            "what is written are texts, and no labels",
        ),
        (
            "calibrate",
            info.calibrate,
            "only scores of labels can be calibrated",
        ),
    ];
    match refused.into_iter().find(|(_, said, _)| *said) {
        Some((key, _, why)) => Err(Error::options(format!("prompt.{key}: {why}"))),
        None => Ok(()),
    }
}

/// Where a text ends that is written after texts with `separator` between them: a model that goes on makes up more of
/// them. Nowhere if the targets have it in them, or it is but a space.
pub fn end(separator: &str, targets: &[String]) -> Option<String> {
    let marks = separator.contains('\n') || !separator.trim().is_empty();
    let within = targets.iter().any(|target| target.contains(separator));
    (marks && !within && !targets.is_empty()).then(|| separator.to_owned())
}
