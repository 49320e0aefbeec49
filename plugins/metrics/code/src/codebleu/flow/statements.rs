//! What each kind of statement does to the values of variables.
//!
//! A part that a statement lacks, as in broken code, makes the package draw nothing at all: `None`.

use std::rc::Rc;

use tree_sitter::Node;

use super::graph::{Drawn, Painter, Relation, States, children, once};
use super::tokens::Token;

impl Painter<'_> {
    /// A name, perhaps with a value.
    pub fn definition(&mut self, node: Node<'_>, states: &mut States) -> Option<Vec<Drawn>> {
        let (name, value) = match (self.flow.by_position, &children(node)[..]) {
            (true, [name, value]) => (Some(*name), Some(*value)),
            (true, parts) => (parts.first().copied(), None),
            (false, _) => (
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
    pub fn assignment(&mut self, node: Node<'_>, states: &mut States) -> Option<Vec<Drawn>> {
        let right = node.child_by_field_name("right");
        if self.python {
            return match node.kind() {
                "for_in_clause" => {
                    let whole = *children(node).last()?;
                    let element = node.child_by_field_name("left");
                    self.bind(&[element], &[Some(whole)], states)
                }
                // A variable with a type and no value.
                _ if right.is_none() => Some(Vec::new()),
                _ => {
                    let (left, right) = sides(node)?;
                    self.bind(&left, &right, states)
                }
            };
        }
        let left = node.child_by_field_name("left");
        let mut edges = self.draw(right?, states)?;
        let names = self.tokens.variables(left)?;
        let values = self.tokens.variables(right)?;
        edges.extend(each_from_each(&names, Relation::ComputedFrom, &values));
        names.iter().for_each(|name| set(states, *name));
        Some(edges)
    }

    /// Each on the left gets the value of its partner on the right.
    fn bind(
        &mut self,
        left: &[Option<Node<'_>>],
        right: &[Option<Node<'_>>],
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
    pub fn increment(&mut self, node: Node<'_>, states: &mut States) -> Option<Vec<Drawn>> {
        let names = self.tokens.variables(Some(node))?;
        names.iter().for_each(|name| set(states, *name));
        Some(each_from_each(&names, Relation::ComputedFrom, &names))
    }

    /// `if` with its branches: afterwards a variable may have its value from each.
    pub fn branches(&mut self, node: Node<'_>, states: &mut States) -> Option<Vec<Drawn>> {
        let before = states.clone();
        let mut ends = Vec::new();
        let mut edges = Vec::new();
        let (mut has_else, mut left_first) = (false, false);
        for child in children(node) {
            let kind = child.kind();
            has_else |= kind.contains("else");
            let first = if self.python {
                !matches!(kind, "elif_clause" | "else_clause")
            } else {
                left_first |= matches!(kind, "if_statement" | "else");
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
        if !has_else || !self.python {
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
    pub fn for_loop(&mut self, node: Node<'_>, states: &mut States) -> Option<Vec<Drawn>> {
        let mut edges = Vec::new();
        if self.python {
            for _ in 0..2 {
                let (left, right) = sides(node)?;
                edges.extend(self.bind(&left, &right, states)?);
                let body = children(node).last().copied();
                if let Some(body) = body.filter(|body| body.kind() == "block") {
                    edges.extend(self.draw(body, states)?);
                }
            }
            return Some(once(edges));
        }
        let parts = children(node);
        edges.extend(self.draw_all(parts.iter().copied(), states)?);
        let declared = |part: &&Node<'_>| part.kind() != "local_variable_declaration";
        let again = parts.iter().skip_while(declared).skip(1).copied();
        edges.extend(self.draw_all(again, states)?);
        Some(once(edges))
    }

    /// A loop over the elements of something.
    pub fn for_each(&mut self, node: Node<'_>, states: &mut States) -> Option<Vec<Drawn>> {
        let (_, name, value) = self.flow.for_each;
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
    pub fn while_loop(&mut self, node: Node<'_>, states: &mut States) -> Option<Vec<Drawn>> {
        let parts = children(node);
        let mut edges = self.draw_all(parts.iter().copied(), states)?;
        edges.extend(self.draw_all(parts, states)?);
        Some(once(edges))
    }
}

/// The parts on both sides of a Python assignment or `for`, paired where there are as many.
#[allow(clippy::type_complexity, reason = "the two sides of a statement")]
fn sides(node: Node<'_>) -> Option<(Vec<Option<Node<'_>>>, Vec<Option<Node<'_>>>)> {
    let right = node.child_by_field_name("right")?;
    let left = node.child_by_field_name("left")?;
    let (mut lefts, mut rights) = (children(left), children(right));
    lefts.retain(|part| part.kind() != ",");
    rights.retain(|part| part.kind() != ",");
    let paired = lefts.len() == rights.len() && !lefts.is_empty();
    let (lefts, rights) = match paired {
        true => (lefts, rights),
        false => (vec![left], vec![right]),
    };
    let all = |side: Vec<_>| side.into_iter().map(Some).collect();
    Some((all(lefts), all(rights)))
}

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
