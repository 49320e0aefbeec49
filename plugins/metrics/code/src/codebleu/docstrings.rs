//! Drops comments and docstrings of Python, as far as Python's own tokenizer gets.
//!
//! The package walks over the tokens of `tokenize.generate_tokens` (CPython 3.11) and writes them
//! out again at their columns. What matters of a token is where it is and whether it is a comment,
//! a string, an indent or the end of a statement; what the tokenizer refuses (an unclosed bracket
//! or string, a dedent to nowhere) leaves the code as it was.

use super::comments::without_blank_lines;

/// `code` without comments and without strings that are statements; `None` where the tokenizer
/// refuses it.
pub fn remove(code: &str) -> Option<String> {
    let lines: Vec<Vec<char>> = code
        .split_inclusive('\n')
        .map(|line| line.chars().collect())
        .collect();
    let mut tokenizer = Tokenizer {
        lines: &lines,
        out: Writer::default(),
        indents: vec![0],
        depth: 0,
        continued: false,
    };
    tokenizer.run()?;
    Some(without_blank_lines(&tokenizer.out.text))
}

/// What is told of a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Comment,
    String,
    Newline,
    Indent,
    Other,
}

/// A line and a column, both from 0.
type Place = (usize, usize);

/// Writes tokens where they were, but for those that go.
struct Writer {
    text: String,
    before: Kind,
    /// Where the last token ended; no line before the first.
    line: Option<usize>,
    column: usize,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            text: String::new(),
            // A string at the very start is a docstring.
            before: Kind::Indent,
            line: None,
            column: 0,
        }
    }
}

impl Writer {
    fn token(
        &mut self,
        kind: Kind,
        token: impl IntoIterator<Item = char>,
        start: Place,
        end: Place,
    ) {
        if self.line.is_none_or(|line| start.0 > line) {
            self.column = 0;
        }
        let gap = start.1.saturating_sub(self.column);
        self.text.extend(std::iter::repeat_n(' ', gap));
        let kept = match kind {
            Kind::Comment => false,
            Kind::String => !matches!(self.before, Kind::Indent | Kind::Newline) && start.1 > 0,
            _ => true,
        };
        if kept {
            self.text.extend(token);
        }
        self.before = kind;
        self.line = Some(end.0);
        self.column = end.1;
    }
}

/// A string that goes on in the next line.
struct Open {
    start: Place,
    quote: char,
    triple: bool,
    so_far: Vec<char>,
}

struct Tokenizer<'a> {
    lines: &'a [Vec<char>],
    out: Writer,
    indents: Vec<usize>,
    /// Open brackets.
    depth: i64,
    /// After a backslash at the end of a line.
    continued: bool,
}

impl Tokenizer<'_> {
    fn run(&mut self) -> Option<()> {
        let mut open: Option<Open> = None;
        let mut number = 0;
        while let Some(line) = self.lines.get(number) {
            let mut at = 0;
            if let Some(mut string) = open.take() {
                let ended = end_of_string(line, 0, string.quote, string.triple);
                let goes_on = string.triple || ends_with_backslash(line);
                string.so_far.extend(&line[..ended.unwrap_or(line.len())]);
                match ended {
                    Some(end) => {
                        let end_place = (number, end);
                        self.out
                            .token(Kind::String, string.so_far, string.start, end_place);
                        at = end;
                    }
                    None if goes_on => {
                        open = Some(string);
                        number += 1;
                        continue;
                    }
                    None => {
                        let end_place = (number, line.len());
                        self.out
                            .token(Kind::Other, string.so_far, string.start, end_place);
                        number += 1;
                        continue;
                    }
                }
            } else if self.depth == 0 && !self.continued {
                match self.begin(line, number)? {
                    Begin::At(column) => at = column,
                    Begin::Blank => {
                        number += 1;
                        continue;
                    }
                    Begin::End => break,
                }
            } else {
                self.continued = false;
            }
            open = self.tokens(line, number, at);
            number += 1;
        }
        let ended = number >= self.lines.len();
        if ended && (open.is_some() || self.depth != 0 || self.continued) {
            return None;
        }
        Some(())
    }

    /// The start of a statement: blank lines, indents and dedents.
    fn begin(&mut self, line: &[char], number: usize) -> Option<Begin> {
        let (mut column, mut at) = (0, 0);
        while let Some(c) = line.get(at) {
            match c {
                ' ' => column += 1,
                '\t' => column = (column / 8 + 1) * 8,
                '\x0c' => column = 0,
                _ => break,
            }
            at += 1;
        }
        match line.get(at) {
            None => return Some(Begin::End),
            Some('#' | '\r' | '\n') => {
                let newline = line.iter().rposition(|c| !matches!(c, '\r' | '\n'));
                let end = newline.map_or(at, |last| last + 1).max(at);
                if line[at] == '#' {
                    self.out
                        .token(Kind::Comment, [], (number, at), (number, end));
                    at = end;
                }
                let rest = line[at..].iter().copied();
                self.out
                    .token(Kind::Other, rest, (number, at), (number, line.len()));
                return Some(Begin::Blank);
            }
            Some(_) => {}
        }
        if column > self.indents.last().copied().unwrap_or(0) {
            self.indents.push(column);
            let indent = line[..at].iter().copied();
            self.out
                .token(Kind::Indent, indent, (number, 0), (number, at));
        }
        while column < self.indents.last().copied().unwrap_or(0) {
            if !self.indents.contains(&column) {
                return None;
            }
            self.indents.pop();
            self.out.token(Kind::Other, [], (number, at), (number, at));
        }
        Some(Begin::At(at))
    }

    /// The tokens of a line from `at` on; a string that it leaves open.
    fn tokens(&mut self, line: &[char], number: usize, mut at: usize) -> Option<Open> {
        while at < line.len() {
            let space = |c: &&char| matches!(c, ' ' | '\t' | '\x0c');
            let start = at + line[at..].iter().take_while(space).count();
            let Some(first) = line.get(start).copied() else {
                break; // white space without a newline
            };
            let rest = &line[start..];
            let (kind, length) = match first {
                '#' => {
                    let comment = rest.iter().take_while(|c| !matches!(c, '\r' | '\n'));
                    (Kind::Comment, comment.count())
                }
                '\n' => (self.newline(), 1),
                '\r' if rest.get(1) == Some(&'\n') => (self.newline(), 2),
                '\\' if newline_at(rest, 1) => {
                    self.continued = true;
                    break;
                }
                _ => match string_at(rest) {
                    Some(Found::Whole(length)) => (Kind::String, length),
                    Some(Found::Open { quote, triple }) => {
                        return Some(Open {
                            start: (number, start),
                            quote,
                            triple,
                            so_far: rest.to_vec(),
                        });
                    }
                    None => (Kind::Other, self.other(rest)),
                },
            };
            // What is no token is told a character at a time, white space before it included.
            let (start, length) = if length == 0 {
                (at, 1)
            } else {
                (start, length)
            };
            let end = start + length;
            let token = line[start..end].iter().copied();
            self.out.token(kind, token, (number, start), (number, end));
            at = end;
        }
        None
    }

    fn newline(&self) -> Kind {
        // Within brackets a line ends, and no statement.
        if self.depth > 0 {
            Kind::Other
        } else {
            Kind::Newline
        }
    }

    /// The length of a name, number or operator; 0 for what is none.
    fn other(&mut self, rest: &[char]) -> usize {
        let word = rest.iter().take_while(|c| is_word(**c)).count();
        if word > 0 {
            return word;
        }
        match rest[0] {
            '(' | '[' | '{' => self.depth += 1,
            ')' | ']' | '}' => self.depth -= 1,
            '!' if rest.get(1) == Some(&'=') => return 2,
            c if OPERATORS.contains(c) => {}
            _ => return 0,
        }
        1
    }
}

enum Begin {
    /// The statement starts at this column.
    At(usize),
    /// There is none on the line.
    Blank,
    /// The code ends with white space.
    End,
}

/// Characters of operators; how they combine makes no difference here.
const OPERATORS: &str = "%&*+,-./:;<=>@^|~";

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether a newline, perhaps with a carriage return before it, is at `at`.
fn newline_at(line: &[char], at: usize) -> bool {
    let at = at + usize::from(line.get(at) == Some(&'\r'));
    line.get(at) == Some(&'\n')
}

fn ends_with_backslash(line: &[char]) -> bool {
    line.ends_with(&['\\', '\n']) || line.ends_with(&['\\', '\r', '\n'])
}

enum Found {
    Whole(usize),
    Open { quote: char, triple: bool },
}

/// A string at the start of `rest`, with its prefix.
fn string_at(rest: &[char]) -> Option<Found> {
    let prefix = rest
        .iter()
        .take_while(|c| c.is_ascii_alphabetic())
        .take(3)
        .count();
    let letters: String = rest[..prefix]
        .iter()
        .map(char::to_ascii_lowercase)
        .collect();
    if !["", "b", "r", "u", "f", "br", "rb", "fr", "rf"].contains(&&*letters) {
        return None;
    }
    let quote = rest
        .get(prefix)
        .copied()
        .filter(|c| matches!(c, '\'' | '"'))?;
    if rest[prefix..].starts_with(&[quote; 3]) {
        return Some(match end_of_string(rest, prefix + 3, quote, true) {
            Some(end) => Found::Whole(end),
            None => Found::Open {
                quote,
                triple: true,
            },
        });
    }
    match end_of_string(rest, prefix + 1, quote, false) {
        Some(end) => Some(Found::Whole(end)),
        None if goes_on(rest, prefix + 1, quote) => Some(Found::Open {
            quote,
            triple: false,
        }),
        None => None,
    }
}

/// Where the string ends whose inside starts at `at`: after its quotes. A single-quoted one ends
/// nowhere when a line ends before it.
fn end_of_string(line: &[char], mut at: usize, quote: char, triple: bool) -> Option<usize> {
    while let Some(c) = line.get(at).copied() {
        match c {
            '\\' => at += 1,
            c if c == quote && !triple => return Some(at + 1),
            c if c == quote && line[at..].starts_with(&[quote; 3]) => return Some(at + 3),
            '\n' if !triple => return None,
            _ => {}
        }
        at += 1;
    }
    None
}

/// Whether the string whose inside starts at `at` goes on in the next line.
fn goes_on(line: &[char], mut at: usize, quote: char) -> bool {
    while let Some(c) = line.get(at).copied() {
        match c {
            '\\' if newline_at(line, at + 1) => return true,
            '\\' => at += 1,
            c if c == quote || c == '\n' => return false,
            _ => {}
        }
        at += 1;
    }
    false
}
