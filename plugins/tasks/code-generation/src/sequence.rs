//! Token sequences: prompts, and prompts with solutions to learn.

use tenon_nn::IGNORED;
use tenon_plugin_api::task::prelude::*;

/// The tokens of a prompt, at most `most` from its end on, after those that begin every text.
///
/// # Errors
/// Those of the tokenizer, or the prompt is empty.
pub fn prompt(text: &str, most: usize, tokenizer: &Tokenizer<'_>) -> Result<Vec<i64>> {
    let mut ids = tokenizer.frame(false)?.before;
    let text = tokenizer.tokens(text, false)?;
    let room = most.saturating_sub(ids.len()).min(text.len());
    ids.extend(&text[text.len() - room..]);
    ensure!(!ids.is_empty(), Data, "the prompt is empty");
    Ok(ids)
}

/// Makes an example of a prompt and the solution that follows it, which ends the text.
///
/// # Errors
/// Those of the tokenizer.
pub fn example(
    text: &str,
    solution: &str,
    limit: Option<usize>,
    tokenizer: &Tokenizer<'_>,
    examples: &mut Examples,
) -> Result<()> {
    let limit = limit.unwrap_or(usize::MAX);
    let mut solution = tokenizer.tokens(solution, false)?;
    solution.extend(tokenizer.special("eos").map(i64::from));
    solution.truncate(limit);
    // The last token is no input.
    let room = limit.saturating_add(1).saturating_sub(solution.len());
    let prompt = prompt(text, room.max(1), tokenizer)?;
    if solution.is_empty() {
        return Ok(());
    }
    let ids = [&prompt[..], &solution[..solution.len() - 1]].concat();
    let labels = [&vec![IGNORED; prompt.len() - 1][..], &solution].concat();
    examples
        .example()
        .ints("input_ids", &ids)
        .ints("labels", &labels);
    Ok(())
}
