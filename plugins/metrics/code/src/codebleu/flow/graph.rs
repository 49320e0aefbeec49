//! Draws the edges of code, node by node.
//!
//! Walking over a tree in order, it knows of each variable where it last got its value: a use
//! draws an edge from there. What a kind of statement does to that is in [`super::statements`].

use std::hash::Hash;
use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::tokens::{Token, Tokens};
use crate::codebleu::language::{Language, Part};
use crate::codebleu::tree::{FlatTree, Place};

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
pub struct Painter<'t> {
    pub tree: &'t FlatTree<'t>,
    pub tokens: Tokens<'t>,
    pub language: Language,
    /// The edges so far; those of a node stand together, ordered by place.
    pub edges: Vec<Drawn>,
    steps: u32,
}

/// The edges of a tree; `None` where the package fails to draw them.
pub fn draw(tree: &FlatTree<'_>, code: &str, language: Language) -> Option<Vec<Drawn>> {
    let tokens = Tokens::of(tree, code)?;
    let mut states = vec![None; tokens.names()];
    let mut painter = Painter {
        tree,
        tokens,
        language,
        edges: Vec::new(),
        steps: 0,
    };
    painter.draw(0, &mut states)?;
    Some(painter.edges)
}

impl Painter<'_> {
    /// Draws the edges of a node; brings `states` up to date.
    pub fn draw(&mut self, node: Place, states: &mut States) -> Option<()> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return None;
        }
        if self.tree.is_token(node) {
            return self.token(node, states);
        }
        let from = self.edges.len();
        match self.tree.part(node) {
            Part::Definition => self.definition(node, states)?,
            Part::Assignment => self.assignment(node, states)?,
            Part::ForIn => self.for_in(node, states)?,
            Part::Increment => self.increment(node, states)?,
            Part::If => self.branches(node, states)?,
            Part::For => self.for_loop(node, states)?,
            Part::ForEach => self.for_each(node, states)?,
            Part::While => self.while_loop(node, states)?,
            _ => self.others(node, states)?,
        }
        self.edges[from..].sort_by_key(|edge| edge.place);
        Some(())
    }

    fn token(&mut self, node: Place, states: &mut States) -> Option<()> {
        let token = self.tokens.get(node)?;
        if !self.tokens.is_variable(node, token) {
            return Some(());
        }
        let mut edge = Drawn::new(token, Relation::ComesFrom, &[]);
        let state = &mut states[token.name as usize];
        match state {
            Some(places) => {
                edge.from.push(token.name);
                edge.from_places.extend(places.iter());
            }
            None if self.tree.part(node) == Part::Identifier => *state = Some([token.place].into()),
            None => {}
        }
        self.edges.push(edge);
        Some(())
    }

    /// Any other node: its children, in Python what binds the variables of a comprehension first.
    fn others(&mut self, node: Place, states: &mut States) -> Option<()> {
        let tree = self.tree;
        if self.python() {
            let binding = |child: &Place| tree.part(*child) == Part::ForIn;
            self.draw_all(tree.children(node).filter(binding), states)?;
            return self.draw_all(tree.children(node).filter(|child| !binding(child)), states);
        }
        self.draw_all(tree.children(node), states)
    }

    /// Draws the edges of several nodes.
    pub fn draw_all(
        &mut self,
        nodes: impl IntoIterator<Item = Place>,
        states: &mut States,
    ) -> Option<()> {
        nodes
            .into_iter()
            .try_for_each(|node| self.draw(node, states))
    }

    pub fn python(&self) -> bool {
        self.language == Language::Python
    }

    /// Merges the edges from `from` on, of a loop walked over twice: one is left for each place,
    /// name and relation.
    pub fn once(&mut self, from: usize) {
        let edges = self.edges.split_off(from);
        self.edges.extend(once(edges));
    }
}

/// The edges of a loop walked over twice: one for each place, name and relation.
fn once(edges: Vec<Drawn>) -> Vec<Drawn> {
    let mut at: FxHashMap<(u32, u32, Relation), usize> = FxHashMap::default();
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
    let mut seen = FxHashSet::default();
    let both = left.iter().chain(right).copied();
    both.filter(|element| seen.insert(*element)).collect()
}
