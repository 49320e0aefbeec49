//! Which subtrees of a reference's syntax a candidate has.
//!
//! The package compares the text of S-expressions: of a node its kind, and its named descendants
//! with the fields that they fill. Here each subtree has a hash of the same, except in broken code,
//! whose text also tells of hidden nodes and is hashed itself.

use std::hash::{Hash, Hasher};

use rustc_hash::{FxHashSet, FxHasher};

use super::tree::{Field, FlatTree, Place};

/// Writing the text of a node recurses, so that of deeper ones is not written: they are equal when
/// what can be seen of them is.
const HIGHEST: usize = 500;

/// Walks over a tree.
struct Walk<'a> {
    tree: &'a FlatTree<'a>,
    /// Ended named nodes that wait for the node that holds them.
    waiting: Vec<(Field, u64)>,
    /// Nodes that have not ended.
    open: Vec<Open>,
    all: Vec<u64>,
}

/// A node that has not ended.
struct Open {
    at: Place,
    /// Where its descendants begin to wait.
    from: usize,
    height: usize,
}

/// The hashes of all subtrees but leaves, and of the root.
pub fn subtrees(tree: &FlatTree<'_>) -> Vec<u64> {
    let mut walk = Walk {
        tree,
        waiting: Vec::new(),
        open: Vec::new(),
        all: Vec::new(),
    };
    for at in 0..tree.nodes().len() {
        walk.open.push(Open {
            at,
            from: walk.waiting.len(),
            height: 0,
        });
        while let Some(open) = walk.open.pop_if(|open| tree.nodes()[open.at].end == at + 1) {
            walk.end(&open);
        }
    }
    walk.all
}

impl Walk<'_> {
    fn end(&mut self, ended: &Open) {
        let Open { at, from, height } = *ended;
        let (tree, node) = (self.tree, &self.tree.nodes()[at]);
        let hash = self.hash(ended);
        if let Some(outer) = self.open.last_mut() {
            outer.height = outer.height.max(height + 1);
        }
        if !tree.is_leaf(at) || self.open.is_empty() {
            self.all.push(hash);
        }
        if node.node.is_named() || node.node.is_missing() {
            self.waiting.truncate(from);
            self.waiting.push((node.field, hash));
        } else {
            // Its text does not show, but what it holds does, as if it filled this field.
            for (inner, _) in &mut self.waiting[from..] {
                *inner = inner.or(node.field);
            }
        }
    }

    fn hash(&self, ended: &Open) -> u64 {
        let node = self.tree.nodes()[ended.at].node;
        let mut hasher = FxHasher::default();
        if self.tree.is_broken && node.has_error() && ended.height < HIGHEST {
            node.to_sexp().hash(&mut hasher);
        } else {
            let kind = self.tree.kind_hash(ended.at);
            let inside = &self.waiting[ended.from..];
            (node.is_named(), kind, inside).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// How many subtrees of the reference the candidate has; each counts as often as it occurs.
pub fn matched(candidate: &[u64], reference: &[u64]) -> u64 {
    let candidate: FxHashSet<u64> = candidate.iter().copied().collect();
    reference
        .iter()
        .filter(|hash| candidate.contains(hash))
        .count() as u64
}
