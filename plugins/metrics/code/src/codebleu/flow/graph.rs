//! Draws the edges of code, node by node.
//!
//! Walking over a tree in order, it knows of each variable where it last got its value: a use
//! draws an edge from there. What a kind of statement does to that is in [`super::statements`].

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::rc::Rc;

use tree_sitter::{Node, Tree};

use super::tokens::{Token, Tokens, is_token};
use crate::codebleu::language::Flow;

/// How a value gets to a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    ComesFrom,
    ComputedFrom,
}

/// An edge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The number of the text of what has the value.
    pub name: u32,
    /// Where it is.
    pub place: u32,
    pub relation: Relation,
    /// What the value comes from.
    pub from: Vec<u32>,
    pub from_places: Vec<u32>,
}

impl Drawn {
    pub fn new(to: Token, relation: Relation, from: &[Token]) -> Self {
        Self {
            name: to.name,
            place: to.place,
            relation,
            from: from.iter().map(|token| token.name).collect(),
            from_places: from.iter().map(|token| token.place).collect(),
        }
    }
}

/// Where each variable last got its value, by the number of its text.
pub type States = Vec<Option<Rc<[u32]>>>;

/// Nodes visited before code is given up. Loops are walked over twice, so nested ones many times.
const MOST_STEPS: u32 = 1 << 20;

/// What draws.
pub struct Painter<'a> {
    pub tokens: Tokens<'a>,
    pub flow: Flow,
    pub python: bool,
    steps: u32,
}

/// The edges of a tree; `None` where the package fails to draw them.
pub fn draw(tree: &Tree, code: &str, flow: Flow, python: bool) -> Option<Vec<Drawn>> {
    let tokens = Tokens::of(tree.root_node(), code)?;
    let mut states = vec![None; tokens.names()];
    let mut painter = Painter {
        tokens,
        flow,
        python,
        steps: 0,
    };
    painter.draw(tree.root_node(), &mut states)
}

impl Painter<'_> {
    /// The edges of a node, ordered by place; brings `states` up to date.
    pub fn draw(&mut self, node: Node<'_>, states: &mut States) -> Option<Vec<Drawn>> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return None;
        }
        if is_token(node) {
            return self.token(node, states);
        }
        let kind = node.kind();
        let mut edges = if kind == self.flow.definition {
            self.definition(node, states)?
        } else if self.flow.assignments.contains(&kind) {
            self.assignment(node, states)?
        } else if kind == self.flow.increment {
            self.increment(node, states)?
        } else if kind == "if_statement" {
            self.branches(node, states)?
        } else if kind == "for_statement" {
            self.for_loop(node, states)?
        } else if kind == self.flow.for_each.0 {
            self.for_each(node, states)?
        } else if kind == "while_statement" {
            self.while_loop(node, states)?
        } else {
            self.others(node, states)?
        };
        edges.sort_by_key(|edge| edge.place);
        Some(edges)
    }

    fn token(&mut self, node: Node<'_>, states: &mut States) -> Option<Vec<Drawn>> {
        let token = self.tokens.get(node)?;
        if !self.tokens.is_variable(node, token) {
            return Some(Vec::new());
        }
        let mut edge = Drawn::new(token, Relation::ComesFrom, &[]);
        let state = &mut states[token.name as usize];
        match state {
            Some(places) => {
                edge.from.push(token.name);
                edge.from_places.extend(places.iter());
            }
            None if node.kind() == "identifier" => *state = Some([token.place].into()),
            None => {}
        }
        Some(vec![edge])
    }

    /// Any other node: its children, in Python what binds the variables of a comprehension first.
    fn others(&mut self, node: Node<'_>, states: &mut States) -> Option<Vec<Drawn>> {
        let first = |child: &Node<'_>| self.python && child.kind() == "for_in_clause";
        let (first, rest): (Vec<_>, Vec<_>) = children(node).into_iter().partition(first);
        self.draw_all(first.into_iter().chain(rest), states)
    }

    pub fn draw_all<'t>(
        &mut self,
        nodes: impl IntoIterator<Item = Node<'t>>,
        states: &mut States,
    ) -> Option<Vec<Drawn>> {
        let mut edges = Vec::new();
        for node in nodes {
            edges.extend(self.draw(node, states)?);
        }
        Some(edges)
    }
}

/// The children of a node.
pub fn children(node: Node<'_>) -> Vec<Node<'_>> {
    node.children(&mut node.walk()).collect()
}

/// The edges of a loop walked over twice: one for each place, name and relation.
pub fn once(edges: Vec<Drawn>) -> Vec<Drawn> {
    let mut at: HashMap<(u32, u32, Relation), usize> = HashMap::new();
    let mut all: Vec<Drawn> = Vec::new();
    for edge in edges {
        let key = (edge.name, edge.place, edge.relation);
        match at.get(&key) {
            None => {
                at.insert(key, all.len());
                all.push(edge);
            }
            Some(index) => {
                let before = &mut all[*index];
                before.from = union(&before.from, &edge.from);
                before.from_places = union(&before.from_places, &edge.from_places);
                before.from_places.sort_unstable();
            }
        }
    }
    all
}

/// Each element once, in the order of their first occurrence.
pub fn union<T: Copy + Eq + Hash>(left: &[T], right: &[T]) -> Vec<T> {
    let mut seen = HashSet::new();
    let both = left.iter().chain(right).copied();
    both.filter(|element| seen.insert(*element)).collect()
}
