//! What each kind of statement does to the values of variables.
//!
//! A part that a statement lacks, as in broken code, makes the package draw nothing at all: `None`.

use std::rc::Rc;

use tree_sitter::Node;

use super::graph::{Drawn, Painter, Relation, States, once};
use super::tokens::Token;
use crate::codebleu::language::{Language, Part};

impl<'t> Painter<'t> {
    /// A name, perhaps with a value.
    pub fn definition(&mut self, node: Node<'t>, states: &mut States) -> Option<Vec<Drawn>> {
        let (name, value) = match (self.language, &self.children(node)[..]) {
            (Language::CSharp, [name, value]) => (Some(*name), Some(*value)),
            (Language::CSharp, parts) => (parts.first().copied(), None),
            _ => (
                node.child_by_field_name("name"),
                node.child_by_field_name("value"),
            ),
        };
        let names = self.tokens.variables(name)?;
        let Some(value) = value else {
            let edge = |name: &Token| Drawn::new(*name, Relation::ComesFrom, &[]);
            let edges = names.iter().map(edge).collect();
            names.iter().for_each(|name| set(states, *name));
            return Some(edges);
        };
        let values = self.tokens.variables(Some(value))?;
        let mut edges = self.draw(value, states)?;
        edges.extend(each_from_each(&names, Relation::ComesFrom, &values));
        names.iter().for_each(|name| set(states, *name));
        Some(edges)
    }

    /// `left = right`.
    pub fn assignment(&mut self, node: Node<'t>, states: &mut States) -> Option<Vec<Drawn>> {
        let right = node.child_by_field_name("right");
        if self.python() {
            // A variable with a type and no value.
            if right.is_none() {
                return Some(Vec::new());
            }
            let (left, right) = self.sides(node)?;
            return self.bind(&left, &right, states);
        }
        let left = node.child_by_field_name("left");
        let mut edges = self.draw(right?, states)?;
        let names = self.tokens.variables(left)?;
        let values = self.tokens.variables(right)?;
        edges.extend(each_from_each(&names, Relation::ComputedFrom, &values));
        names.iter().for_each(|name| set(states, *name));
        Some(edges)
    }

    /// `for left in right` of a comprehension.
    pub fn for_in(&mut self, node: Node<'t>, states: &mut States) -> Option<Vec<Drawn>> {
        let whole = *self.children(node).last()?;
        let element = node.child_by_field_name("left");
        self.bind(&[element], &[Some(whole)], states)
    }

    /// Each on the left gets the value of its partner on the right.
    fn bind(
        &mut self,
        left: &[Option<Node<'t>>],
        right: &[Option<Node<'t>>],
        states: &mut States,
    ) -> Option<Vec<Drawn>> {
        let mut edges = Vec::new();
        for node in right {
            edges.extend(self.draw((*node)?, states)?);
        }
        for (left, right) in left.iter().zip(right) {
            let names = self.tokens.variables(*left)?;
            let values = self.tokens.variables(*right)?;
            for name in names {
                edges.push(Drawn::new(name, Relation::ComputedFrom, &values));
                set(states, name);
            }
        }
        Some(edges)
    }

    /// `i++`.
    pub fn increment(&mut self, node: Node<'t>, states: &mut States) -> Option<Vec<Drawn>> {
        let names = self.tokens.variables(Some(node))?;
        names.iter().for_each(|name| set(states, *name));
        Some(each_from_each(&names, Relation::ComputedFrom, &names))
    }

    /// `if` with its branches: afterwards a variable may have its value from each.
    pub fn branches(&mut self, node: Node<'t>, states: &mut States) -> Option<Vec<Drawn>> {
        let before = states.clone();
        let mut ends = Vec::new();
        let mut edges = Vec::new();
        let (mut has_else, mut left_first) = (false, false);
        for child in self.children(node) {
            let part = self.kinds.part(child);
            has_else |= self.kinds.has_else(child);
            let first = if self.python() {
                part != Part::ElseClause
            } else {
                left_first |= matches!(part, Part::If | Part::Else);
                !left_first
            };
            if first {
                edges.extend(self.draw(child, states)?);
            } else {
                let mut branch = before.clone();
                edges.extend(self.draw(child, &mut branch)?);
                ends.push(branch);
            }
        }
        if !has_else || !self.python() {
            ends.push(before);
        }
        for (name, state) in states.iter_mut().enumerate() {
            let others = ends.iter().filter_map(|end| end[name].as_ref());
            let mut places: Vec<u32> = others.flat_map(|places| places.iter().copied()).collect();
            places.extend(state.iter().flat_map(|places| places.iter()));
            if !places.is_empty() {
                places.sort_unstable();
                places.dedup();
                *state = Some(Rc::from(places));
            }
        }
        Some(edges)
    }

    /// `for` in Python, which binds elements, and elsewhere, which counts.
    pub fn for_loop(&mut self, node: Node<'t>, states: &mut States) -> Option<Vec<Drawn>> {
        let mut edges = Vec::new();
        let parts = self.children(node);
        if self.python() {
            for _ in 0..2 {
                let (left, right) = self.sides(node)?;
                edges.extend(self.bind(&left, &right, states)?);
                let body = parts.last().copied();
                if let Some(body) = body.filter(|body| self.kinds.part(*body) == Part::Block) {
                    edges.extend(self.draw(body, states)?);
                }
            }
            return Some(once(edges));
        }
        edges.extend(self.draw_all(&parts, states)?);
        let declared = |part: &Node<'t>| self.kinds.part(*part) == Part::LocalDeclaration;
        let again = parts
            .iter()
            .position(declared)
            .map_or(parts.len(), |at| at + 1);
        edges.extend(self.draw_all(&parts[again..], states)?);
        Some(once(edges))
    }

    /// A loop over the elements of something.
    pub fn for_each(&mut self, node: Node<'t>, states: &mut States) -> Option<Vec<Drawn>> {
        let (name, value) = self.language.for_each_fields();
        let name = node.child_by_field_name(name);
        let value = node.child_by_field_name(value);
        let body = node.child_by_field_name("body");
        let mut edges = Vec::new();
        for _ in 0..2 {
            edges.extend(self.draw(value?, states)?);
            let names = self.tokens.variables(name)?;
            let values = self.tokens.variables(value)?;
            edges.extend(each_from_each(&names, Relation::ComputedFrom, &values));
            names.iter().for_each(|name| set(states, *name));
            edges.extend(self.draw(body?, states)?);
        }
        Some(once(edges))
    }

    /// `while`.
    pub fn while_loop(&mut self, node: Node<'t>, states: &mut States) -> Option<Vec<Drawn>> {
        let parts = self.children(node);
        let mut edges = self.draw_all(&parts, states)?;
        edges.extend(self.draw_all(&parts, states)?);
        Some(once(edges))
    }

    /// The parts on both sides of a Python assignment or `for`, paired where there are as many.
    fn sides(&mut self, node: Node<'t>) -> Option<Sides<'t>> {
        let right = node.child_by_field_name("right")?;
        let left = node.child_by_field_name("left")?;
        let (mut lefts, mut rights) = (self.children(left), self.children(right));
        lefts.retain(|part| self.kinds.part(*part) != Part::Comma);
        rights.retain(|part| self.kinds.part(*part) != Part::Comma);
        if lefts.len() != rights.len() || lefts.is_empty() {
            (lefts, rights) = (vec![left], vec![right]);
        }
        let all = |side: Vec<Node<'t>>| side.into_iter().map(Some).collect();
        Some((all(lefts), all(rights)))
    }
}

/// Both sides of a statement, part by part.
type Sides<'t> = (Vec<Option<Node<'t>>>, Vec<Option<Node<'t>>>);

fn each_from_each(names: &[Token], relation: Relation, values: &[Token]) -> Vec<Drawn> {
    let from = |name: &Token| {
        let name = *name;
        values
            .iter()
            .map(move |value| Drawn::new(name, relation, &[*value]))
    };
    names.iter().flat_map(from).collect()
}

/// A variable got its value here.
fn set(states: &mut States, name: Token) {
    states[name.name as usize] = Some(Rc::from([name.place]));
}
