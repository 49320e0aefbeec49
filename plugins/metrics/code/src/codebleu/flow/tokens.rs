//! The tokens of code, by where they are.

use std::borrow::Cow;

use rustc_hash::FxHashMap;
use tree_sitter::{Node, TreeCursor};

use crate::codebleu::language::{Kinds, Part};

/// More levels than Python recurses into: there the package draws no edge.
const DEEPEST: usize = 985;

/// The tokens of a tree.
#[derive(Debug)]
pub struct Tokens<'a> {
    kinds: &'static Kinds,
    /// By first and last byte, the place and the name. An empty token gives way to a later one.
    at: FxHashMap<(usize, usize), Token>,
    names: FxHashMap<Cow<'a, str>, u32>,
    texts: Vec<Cow<'a, str>>,
}

/// Where a token is in the order of all, and the number of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub place: u32,
    pub name: u32,
}

impl<'a> Tokens<'a> {
    /// The tokens below `root`; `None` where the package fails.
    pub fn of(root: Node<'_>, code: &'a str, kinds: &'static Kinds) -> Option<Self> {
        let lines: Vec<&str> = code.split('\n').collect();
        let mut tokens = Self {
            kinds,
            at: FxHashMap::default(),
            names: FxHashMap::default(),
            texts: Vec::new(),
        };
        let mut cursor = root.walk();
        let mut place = 0;
        let mut depth = 0;
        loop {
            let node = cursor.node();
            if tokens.is_token(node) {
                tokens.add(node, &lines, place)?;
                place += 1;
            } else if cursor.goto_first_child() {
                depth += 1;
                if depth > DEEPEST {
                    return None;
                }
                continue;
            }
            if !next(&mut cursor, &mut depth) {
                return Some(tokens);
            }
        }
    }

    fn add(&mut self, node: Node<'_>, lines: &[&'a str], place: u32) -> Option<()> {
        let text = text_of(node, lines)?;
        let next = self.texts.len() as u32;
        let name = *self.names.entry(text.clone()).or_insert(next);
        if name == next {
            self.texts.push(text);
        }
        let range = (node.start_byte(), node.end_byte());
        self.at.insert(range, Token { place, name });
        Some(())
    }

    /// Whether a node is a token: a leaf, or a string with all that is in it.
    pub fn is_token(&self, node: Node<'_>) -> bool {
        match self.kinds.part(node) {
            Part::Comment => false,
            Part::Text => true,
            _ => node.child_count() == 0,
        }
    }

    /// How many texts there are.
    pub fn names(&self) -> usize {
        self.texts.len()
    }

    /// The token that a node is.
    pub fn get(&self, node: Node<'_>) -> Option<Token> {
        self.at.get(&(node.start_byte(), node.end_byte())).copied()
    }

    /// Whether a token is more than what its kind says, as a name is and a semicolon is not.
    pub fn is_variable(&self, node: Node<'_>, token: Token) -> bool {
        self.texts[token.name as usize] != node.kind()
    }

    /// The variables below a node; `None` where the package fails.
    pub fn variables(&self, node: Option<Node<'_>>) -> Option<Vec<Token>> {
        let mut cursor = node?.walk();
        let mut variables = Vec::new();
        let mut depth = 0;
        loop {
            let node = cursor.node();
            if self.is_token(node) {
                let token = self.get(node)?;
                if self.is_variable(node, token) {
                    variables.push(token);
                }
            } else if cursor.goto_first_child() {
                depth += 1;
                continue;
            }
            if !next(&mut cursor, &mut depth) {
                return Some(variables);
            }
        }
    }
}

/// Goes to the next node that is not below this one, within the node at depth 0.
fn next(cursor: &mut TreeCursor<'_>, depth: &mut usize) -> bool {
    while *depth > 0 {
        if cursor.goto_next_sibling() {
            return true;
        }
        cursor.goto_parent();
        *depth -= 1;
    }
    false
}

/// The text of a token as the package cuts it: columns, which are bytes, count as characters, and
/// lines are joined without what was between them.
fn text_of<'a>(node: Node<'_>, lines: &[&'a str]) -> Option<Cow<'a, str>> {
    let (start, end) = (node.start_position(), node.end_position());
    let first = *lines.get(start.row)?;
    if start.row == end.row {
        return Some(characters(first, start.column, end.column).into());
    }
    let mut text = characters(first, start.column, usize::MAX).to_owned();
    text.extend(lines.get(start.row + 1..end.row)?.iter().copied());
    text += characters(lines.get(end.row)?, 0, end.column);
    Some(text.into())
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
