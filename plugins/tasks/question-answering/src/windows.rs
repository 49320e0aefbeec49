//! Windows: a question with a part of its passage, as a model reads them.

use std::ops::Range;

use tenon_plugin_api::task::prelude::*;

/// How many tokens go where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// Of a window.
    pub window: usize,
    /// Shared by neighbours.
    pub overlap: usize,
    /// Of a question.
    pub question: usize,
}

/// One window. All lists are `[tokens]`.
#[derive(Debug, PartialEq, Eq)]
pub struct Window {
    /// Token ids, special tokens included.
    pub ids: Vec<i64>,
    /// 0 or 1, as the tokenizer tells the texts of a pair apart.
    pub types: Vec<i64>,
    /// The first byte in the passage; -1 for what is not of the passage.
    pub starts: Vec<i64>,
    /// The byte after the last; -1 for what is not of the passage.
    pub ends: Vec<i64>,
}

/// What a tokenizer puts around the texts of a pair: ids and types.
struct Frame {
    before: Vec<(i64, i64)>,
    between: Vec<(i64, i64)>,
    after: Vec<(i64, i64)>,
    /// Types of the two texts.
    types: [i64; 2],
}

/// The windows of a question and its passage, in order.
///
/// # Errors
/// The passage has no tokens, or the question leaves no room for them.
pub fn cut(
    question: &str,
    context: &str,
    lengths: Lengths,
    tokenizer: &Tokenizer<'_>,
) -> Result<Vec<Window>> {
    let bare = Encode {
        no_special_tokens: true,
        offsets: true,
        ..Encode::default()
    };
    let frame = Frame::of(tokenizer)?;
    let mut asked = tokenizer.encode(question, &bare)?.ids;
    asked.truncate(lengths.question);
    let passage = tokenizer.encode(context, &bare)?;
    let count = passage.ids.len();
    ensure!(count > 0, Data, "the passage has no tokens");
    let room = lengths.window.saturating_sub(frame.len() + asked.len());
    ensure!(
        room > 0,
        Data,
        "a question of {} tokens leaves no room for the passage in a window of {}",
        asked.len(),
        lengths.window
    );
    let step = room - lengths.overlap.min(room / 2);
    let mut windows = Vec::new();
    for start in (0..count).step_by(step) {
        let part = start..count.min(start + room);
        let last = part.end == count;
        windows.push(frame.window(&asked, &passage, part));
        if last {
            break;
        }
    }
    Ok(windows)
}

impl Frame {
    /// Reads it off a pair of one-letter texts.
    fn of(tokenizer: &Tokenizer<'_>) -> Result<Self> {
        let how = Encode {
            pair: Some("b"),
            offsets: true,
            ..Encode::default()
        };
        let pair = tokenizer.encode("a", &how)?;
        let place = |text: usize| -> Result<Range<usize>> {
            let of_text = |at: &usize| pair.sequences.get(*at) == Some(&Some(text));
            let mut places = (0..pair.ids.len()).filter(of_text);
            let first = places
                .next()
                .context("the tokenizer leaves nothing of a letter")?;
            Ok(first..places.next_back().unwrap_or(first) + 1)
        };
        let (first, second) = (place(0)?, place(1)?);
        ensure!(
            first.end <= second.start,
            Unsupported,
            "the tokenizer puts the second text of a pair before the first"
        );
        let special = |range: Range<usize>| -> Vec<_> {
            range.map(|at| (pair.ids[at], pair.type_ids[at])).collect()
        };
        Ok(Self {
            before: special(0..first.start),
            between: special(first.end..second.start),
            after: special(second.end..pair.ids.len()),
            types: [pair.type_ids[first.start], pair.type_ids[second.start]],
        })
    }

    /// The number of special tokens.
    fn len(&self) -> usize {
        self.before.len() + self.between.len() + self.after.len()
    }

    fn window(&self, question: &[i64], passage: &Encoding, part: Range<usize>) -> Window {
        let mut window = Window {
            ids: Vec::new(),
            types: Vec::new(),
            starts: Vec::new(),
            ends: Vec::new(),
        };
        let [first, second] = self.types;
        window.special(&self.before);
        question.iter().for_each(|id| window.push(*id, first, None));
        window.special(&self.between);
        for at in part {
            window.push(passage.ids[at], second, passage.offsets.get(at));
        }
        window.special(&self.after);
        window
    }
}

impl Window {
    fn push(&mut self, id: i64, kind: i64, offsets: Option<&(usize, usize)>) {
        let (start, end) = offsets.map_or((-1, -1), |(start, end)| (*start as i64, *end as i64));
        self.ids.push(id);
        self.types.push(kind);
        self.starts.push(start);
        self.ends.push(end);
    }

    fn special(&mut self, tokens: &[(i64, i64)]) {
        for (id, kind) in tokens {
            self.push(*id, *kind, None);
        }
    }

    /// The first and the last token of an answer; `None` where the window does not hold it whole.
    pub fn tokens_of(&self, answer: &Range<usize>) -> Option<(i64, i64)> {
        let (from, to) = (answer.start as i64, answer.end as i64);
        let first = self.starts.iter().position(|start| *start >= 0)?;
        let last = self.starts.iter().rposition(|start| *start >= 0)?;
        if self.starts[first] > from || self.ends[last] < to {
            return None;
        }
        let start = (first..=last).rfind(|at| self.starts[*at] <= from)?;
        let end = (first..=last).find(|at| self.ends[*at] >= to)?;
        (start <= end).then_some((start as i64, end as i64))
    }
}
