//! The tokens of code, by where they are.

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use tree_sitter::Node;

use crate::codebleu::tree::{FlatTree, Place};

/// More levels than Python recurses into: there the package draws no edge.
const DEEPEST: u32 = 985;

/// The tokens of a tree.
pub struct Tokens<'a> {
    pub tree: &'a FlatTree<'a>,
    /// For each node, the token that it is.
    at: Vec<Option<Token>>,
    /// Those of no width by where they are: an earlier one gives way to a later one.
    empty: FxHashMap<usize, Token>,
    texts: Vec<Cow<'a, str>>,
}

/// Where a token is in the order of all, and the number of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub place: u32,
    pub name: u32,
}

impl<'a> Tokens<'a> {
    /// The tokens of a tree; `None` where the package fails.
    pub fn of(tree: &'a FlatTree<'a>, code: &'a str) -> Option<Self> {
        let mut tokens = Self {
            tree,
            at: vec![None; tree.nodes().len()],
            empty: FxHashMap::default(),
            texts: Vec::new(),
        };
        let text = Text::of(code);
        let mut names: FxHashMap<Cow<'a, str>, u32> = FxHashMap::default();
        let mut at = 0;
        let mut place = 0;
        while let Some(node) = tree.nodes().get(at) {
            if node.depth > DEEPEST {
                return None;
            }
            if !tree.is_token(at) {
                at += 1;
                continue;
            }
            let text = text.of_token(node.node)?;
            let next = tokens.texts.len() as u32;
            let name = *names.entry(text.clone()).or_insert(next);
            if name == next {
                tokens.texts.push(text);
            }
            let token = Token { place, name };
            tokens.at[at] = Some(token);
            let bytes = tree.bytes(at);
            if bytes.is_empty() {
                tokens.empty.insert(bytes.start, token);
            }
            place += 1;
            at = node.end;
        }
        Some(tokens)
    }

    /// How many texts there are.
    pub fn names(&self) -> usize {
        self.texts.len()
    }

    /// The token that a node is.
    pub fn get(&self, node: Place) -> Option<Token> {
        if !self.empty.is_empty() {
            let bytes = self.tree.bytes(node);
            if bytes.is_empty() {
                return self.empty.get(&bytes.start).copied();
            }
        }
        self.at[node]
    }

    /// Whether a token is more than what its kind says, as a name is and a semicolon is not.
    pub fn is_variable(&self, node: Place, token: Token) -> bool {
        self.texts[token.name as usize] != self.tree.kind(node)
    }

    /// The variables below a node; `None` where the package fails.
    pub fn variables(&self, node: Option<Place>) -> Option<Vec<Token>> {
        let mut variables = Vec::new();
        for node in self.tree.tokens(node?) {
            let token = self.get(node)?;
            if self.is_variable(node, token) {
                variables.push(token);
            }
        }
        Some(variables)
    }
}

/// Code, and its lines.
struct Text<'a> {
    code: &'a str,
    is_ascii: bool,
    lines: Vec<&'a str>,
}

impl<'a> Text<'a> {
    fn of(code: &'a str) -> Self {
        Self {
            code,
            is_ascii: code.is_ascii(),
            lines: code.split('\n').collect(),
        }
    }

    /// The text of a token as the package cuts it: columns, which are bytes, count as characters,
    /// and lines are joined without what was between them.
    fn of_token(&self, node: Node<'_>) -> Option<Cow<'a, str>> {
        if self.is_ascii {
            let text = self.code.get(node.byte_range())?;
            // Where bytes are characters, a token within a line is what it is.
            if !text.contains('\n') {
                return Some(text.into());
            }
        }
        let (start, end) = (node.start_position(), node.end_position());
        let first = *self.lines.get(start.row)?;
        if start.row == end.row {
            return Some(characters(first, start.column, end.column).into());
        }
        let mut text = characters(first, start.column, usize::MAX).to_owned();
        text.extend(self.lines.get(start.row + 1..end.row)?.iter().copied());
        text += characters(self.lines.get(end.row)?, 0, end.column);
        Some(text.into())
    }
}

/// Characters `from` to `to`, as far as there are so many.
fn characters(line: &str, from: usize, to: usize) -> &str {
    if line.is_ascii() {
        let end = to.min(line.len());
        return &line[from.min(end)..end];
    }
    let byte = |character: usize| {
        let found = line.char_indices().nth(character);
        found.map_or(line.len(), |(byte, _)| byte)
    };
    let end = byte(to);
    &line[byte(from).min(end)..end]
}
