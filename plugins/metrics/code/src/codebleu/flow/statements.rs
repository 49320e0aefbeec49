//! What each kind of statement does to the values of variables.
//!
//! A part that a statement lacks, as in broken code, makes the package draw nothing at all: `None`.

use std::rc::Rc;

use super::graph::{Drawn, Painter, Relation, States};
use super::tokens::Token;
use crate::codebleu::language::{Language, Part};
use crate::codebleu::tree::Place;

impl Painter<'_> {
    /// A name, perhaps with a value.
    pub fn definition(&mut self, node: Place, states: &mut States) -> Option<()> {
        let tree = self.tree;
        let mut parts = tree.children(node);
        let (name, value) = match (self.language, parts.next(), parts.next(), parts.next()) {
            (Language::CSharp, name, Some(value), None) => (name, Some(value)),
            (Language::CSharp, name, _, _) => (name, None),
            _ => (tree.child_in(node, "name"), tree.child_in(node, "value")),
        };
        let names = self.tokens.variables(name)?;
        let Some(value) = value else {
            let edge = |name: &Token| Drawn::new(*name, Relation::ComesFrom, &[]);
            self.edges.extend(names.iter().map(edge));
            names.iter().for_each(|name| set(states, *name));
            return Some(());
        };
        let values = self.tokens.variables(Some(value))?;
        self.draw(value, states)?;
        self.bound(&names, Relation::ComesFrom, &values, states);
        Some(())
    }

    /// `left = right`.
    pub fn assignment(&mut self, node: Place, states: &mut States) -> Option<()> {
        let right = self.tree.child_in(node, "right");
        if self.python() {
            // A variable with a type and no value.
            if right.is_none() {
                return Some(());
            }
            let (left, right) = self.sides(node)?;
            return self.bind(&left, &right, states);
        }
        let left = self.tree.child_in(node, "left");
        self.draw(right?, states)?;
        let names = self.tokens.variables(left)?;
        let values = self.tokens.variables(right)?;
        self.bound(&names, Relation::ComputedFrom, &values, states);
        Some(())
    }

    /// `for left in right` of a comprehension.
    pub fn for_in(&mut self, node: Place, states: &mut States) -> Option<()> {
        let whole = self.tree.children(node).last()?;
        let element = self.tree.child_in(node, "left");
        self.bind(&[element], &[Some(whole)], states)
    }

    /// Each on the left gets the value of its partner on the right.
    fn bind(
        &mut self,
        left: &[Option<Place>],
        right: &[Option<Place>],
        states: &mut States,
    ) -> Option<()> {
        for node in right {
            self.draw((*node)?, states)?;
        }
        for (left, right) in left.iter().zip(right) {
            let names = self.tokens.variables(*left)?;
            let values = self.tokens.variables(*right)?;
            for name in names {
                let edge = Drawn::new(name, Relation::ComputedFrom, &values);
                self.edges.push(edge);
                set(states, name);
            }
        }
        Some(())
    }

    /// `i++`.
    pub fn increment(&mut self, node: Place, states: &mut States) -> Option<()> {
        let names = self.tokens.variables(Some(node))?;
        self.bound(&names, Relation::ComputedFrom, &names, states);
        Some(())
    }

    /// `if` with its branches: afterwards a variable may have its value from each.
    pub fn branches(&mut self, node: Place, states: &mut States) -> Option<()> {
        let tree = self.tree;
        let before = states.clone();
        let mut ends = Vec::new();
        let (mut has_else, mut left_first) = (false, false);
        for child in tree.children(node) {
            let part = tree.part(child);
            has_else |= tree.has_else(child);
            let first = if self.python() {
                part != Part::ElseClause
            } else {
                left_first |= matches!(part, Part::If | Part::Else);
                !left_first
            };
            if first {
                self.draw(child, states)?;
            } else {
                let mut branch = before.clone();
                self.draw(child, &mut branch)?;
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
        Some(())
    }

    /// `for` in Python, which binds elements, and elsewhere, which counts.
    pub fn for_loop(&mut self, node: Place, states: &mut States) -> Option<()> {
        let (tree, from) = (self.tree, self.edges.len());
        if self.python() {
            for _ in 0..2 {
                let (left, right) = self.sides(node)?;
                self.bind(&left, &right, states)?;
                let body = tree.children(node).last();
                if let Some(body) = body.filter(|body| tree.part(*body) == Part::Block) {
                    self.draw(body, states)?;
                }
            }
        } else {
            self.draw_all(tree.children(node), states)?;
            let declared = |part: &Place| tree.part(*part) == Part::LocalDeclaration;
            let mut again = tree.children(node);
            // All that follows the declaration; nothing where there is none.
            again.find(declared);
            self.draw_all(again, states)?;
        }
        self.once(from);
        Some(())
    }

    /// A loop over the elements of something.
    pub fn for_each(&mut self, node: Place, states: &mut States) -> Option<()> {
        let (tree, from) = (self.tree, self.edges.len());
        let (name, value) = self.language.for_each_fields();
        let name = tree.child_in(node, name);
        let value = tree.child_in(node, value);
        let body = tree.child_in(node, "body");
        for _ in 0..2 {
            self.draw(value?, states)?;
            let names = self.tokens.variables(name)?;
            let values = self.tokens.variables(value)?;
            self.bound(&names, Relation::ComputedFrom, &values, states);
            self.draw(body?, states)?;
        }
        self.once(from);
        Some(())
    }

    /// `while`.
    pub fn while_loop(&mut self, node: Place, states: &mut States) -> Option<()> {
        let (tree, from) = (self.tree, self.edges.len());
        for _ in 0..2 {
            self.draw_all(tree.children(node), states)?;
        }
        self.once(from);
        Some(())
    }

    /// The parts on both sides of a Python assignment or `for`, paired where there are as many.
    fn sides(&self, node: Place) -> Option<Sides> {
        let right = self.tree.child_in(node, "right")?;
        let left = self.tree.child_in(node, "left")?;
        let parts = |side: Place| -> Vec<Option<Place>> {
            let parts = self.tree.children(side);
            let parts = parts.filter(|part| self.tree.part(*part) != Part::Comma);
            parts.map(Some).collect()
        };
        let (lefts, rights) = (parts(left), parts(right));
        if lefts.len() != rights.len() || lefts.is_empty() {
            return Some((vec![Some(left)], vec![Some(right)]));
        }
        Some((lefts, rights))
    }

    /// Each name gets its value from each of the values.
    fn bound(
        &mut self,
        names: &[Token],
        relation: Relation,
        values: &[Token],
        states: &mut States,
    ) {
        for name in names {
            let from = |value: &Token| Drawn::new(*name, relation, &[*value]);
            self.edges.extend(values.iter().map(from));
        }
        names.iter().for_each(|name| set(states, *name));
    }
}

/// Both sides of a statement, part by part.
type Sides = (Vec<Option<Place>>, Vec<Option<Place>>);

/// A variable got its value here.
fn set(states: &mut States, name: Token) {
    states[name.name as usize] = Some(Rc::from([name.place]));
}
