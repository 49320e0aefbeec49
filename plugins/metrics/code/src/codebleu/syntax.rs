//! Which subtrees of a reference's syntax a candidate has.
//!
//! The package compares the text of S-expressions: of a node its kind, and its named descendants
//! with the fields that they fill. Here each subtree has a hash of the same, except in broken code,
//! whose text also tells of hidden nodes and is hashed itself.

use std::hash::{Hash, Hasher};
use std::num::NonZeroU16;

use rustc_hash::{FxHashSet, FxHasher};
use tree_sitter::{Node, Tree, TreeCursor};

use super::language::Kinds;

/// Writing the text of a node recurses, so that of deeper ones is not written: they are equal when
/// what can be seen of them is.
const HIGHEST: usize = 500;

/// The field of a node in the node that holds it.
type Field = Option<NonZeroU16>;

/// Walks over a tree.
struct Walk<'a> {
    cursor: TreeCursor<'a>,
    /// Ended named nodes that wait for the node that holds them.
    waiting: Vec<(Field, u64)>,
    /// Of each node that has not ended, where its descendants begin to wait, and its height.
    open: Vec<(usize, usize)>,
    all: Vec<u64>,
}

/// The hashes of all subtrees but leaves, and of the root.
pub fn subtrees(tree: &Tree, kinds: &Kinds) -> Vec<u64> {
    let mut walk = Walk {
        cursor: tree.walk(),
        waiting: Vec::new(),
        open: vec![(0, 0)],
        all: Vec::new(),
    };
    loop {
        if walk.cursor.goto_first_child() {
            walk.open.push((walk.waiting.len(), 0));
            continue;
        }
        loop {
            walk.end(kinds);
            if walk.cursor.goto_next_sibling() {
                walk.open.push((walk.waiting.len(), 0));
                break;
            }
            if !walk.cursor.goto_parent() {
                return walk.all;
            }
        }
    }
}

impl Walk<'_> {
    /// Ends the node at the cursor.
    fn end(&mut self, kinds: &Kinds) {
        let (node, field) = (self.cursor.node(), self.cursor.field_id());
        let (from, height) = self.open.pop().unwrap_or_default();
        let hash = hash(node, kinds, &self.waiting[from..], height);
        match self.open.last_mut() {
            Some((_, outer)) => *outer = (*outer).max(height + 1),
            None => self.all.push(hash),
        }
        if node.child_count() > 0 && !self.open.is_empty() {
            self.all.push(hash);
        }
        if node.is_named() || node.is_missing() {
            self.waiting.truncate(from);
            self.waiting.push((field, hash));
        } else {
            // Its text does not show, but what it holds does, as if it filled this field.
            for (inner, _) in &mut self.waiting[from..] {
                *inner = inner.or(field);
            }
        }
    }
}

fn hash(node: Node<'_>, kinds: &Kinds, inside: &[(Field, u64)], height: usize) -> u64 {
    let mut hasher = FxHasher::default();
    if node.has_error() && height < HIGHEST {
        node.to_sexp().hash(&mut hasher);
    } else {
        (node.is_named(), kinds.hash(node), inside).hash(&mut hasher);
    }
    hasher.finish()
}

/// How many subtrees of the reference the candidate has; each counts as often as it occurs.
pub fn matched(candidate: &[u64], reference: &[u64]) -> u64 {
    let candidate: FxHashSet<u64> = candidate.iter().copied().collect();
    reference
        .iter()
        .filter(|hash| candidate.contains(hash))
        .count() as u64
}
