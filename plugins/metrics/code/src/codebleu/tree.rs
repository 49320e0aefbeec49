//! A syntax tree as a list: read off once, it is walked over at no cost.

use std::num::NonZeroU16;
use std::ops::Range;

use tree_sitter::{Node, Tree};

use super::language::{Kinds, Part};

/// The field of a node in the node that holds it.
pub type Field = Option<NonZeroU16>;

/// Nodes in the order in which they begin, each before those that it holds.
pub struct FlatTree<'t> {
    kinds: &'static Kinds,
    nodes: Vec<FlatNode<'t>>,
    /// Whether the parser found an error.
    pub is_broken: bool,
}

/// A node, by its place in the list.
pub type Place = usize;

/// What is known of a node.
pub struct FlatNode<'t> {
    /// The node itself.
    pub node: Node<'t>,
    /// The number of its kind.
    kind: u16,
    pub part: Part,
    pub field: Field,
    pub depth: u32,
    /// Where the nodes that it holds end in the list.
    pub end: Place,
}

impl<'t> FlatTree<'t> {
    /// Reads a tree off.
    pub fn of(tree: &'t Tree, kinds: &'static Kinds) -> Self {
        let mut flat = Self {
            kinds,
            nodes: Vec::new(),
            is_broken: tree.root_node().has_error(),
        };
        let mut cursor = tree.walk();
        let mut open: Vec<Place> = Vec::new();
        loop {
            open.push(flat.nodes.len());
            flat.add(cursor.node(), cursor.field_id(), open.len() as u32 - 1);
            if cursor.goto_first_child() {
                continue;
            }
            loop {
                let end = flat.nodes.len();
                if let Some(ended) = open.pop() {
                    flat.nodes[ended].end = end;
                }
                if cursor.goto_next_sibling() {
                    break;
                }
                if !cursor.goto_parent() {
                    return flat;
                }
            }
        }
    }

    fn add(&mut self, node: Node<'t>, field: Field, depth: u32) {
        let kind = node.kind_id();
        self.nodes.push(FlatNode {
            node,
            kind,
            part: self.kinds.part(kind),
            field,
            depth,
            end: 0,
        });
    }

    /// All nodes in order.
    pub fn nodes(&self) -> &[FlatNode<'t>] {
        &self.nodes
    }

    /// What a node is to the flow of values.
    pub fn part(&self, at: Place) -> Part {
        self.nodes[at].part
    }

    /// The name of a node's kind.
    pub fn kind(&self, at: Place) -> &'static str {
        self.kinds.name(self.nodes[at].kind)
    }

    /// A hash of that name.
    pub fn kind_hash(&self, at: Place) -> u64 {
        self.kinds.hash(self.nodes[at].kind)
    }

    /// Whether that name has an "else" in it.
    pub fn has_else(&self, at: Place) -> bool {
        self.kinds.has_else(self.nodes[at].kind)
    }

    /// Whether a node holds none.
    pub fn is_leaf(&self, at: Place) -> bool {
        self.nodes[at].end == at + 1
    }

    /// Whether a node is a token: a leaf, or a string with all that is in it.
    pub fn is_token(&self, at: Place) -> bool {
        match self.part(at) {
            Part::Comment => false,
            Part::Text => true,
            _ => self.is_leaf(at),
        }
    }

    /// The bytes of a node in the code.
    pub fn bytes(&self, at: Place) -> Range<usize> {
        self.nodes[at].node.byte_range()
    }

    /// The nodes that a node holds itself.
    pub fn children(&self, at: Place) -> impl Iterator<Item = Place> + '_ {
        let end = self.nodes[at].end;
        let mut next = at + 1;
        std::iter::from_fn(move || {
            let child = (next < end).then_some(next)?;
            next = self.nodes[child].end;
            Some(child)
        })
    }

    /// The node that fills a field of a node.
    pub fn child_in(&self, at: Place, field: &str) -> Option<Place> {
        let found = self.nodes[at].node.child_by_field_name(field)?;
        self.children(at)
            .find(|child| self.nodes[*child].node == found)
    }

    /// The tokens within a node, or the node itself.
    pub fn tokens(&self, at: Place) -> impl Iterator<Item = Place> + '_ {
        let end = self.nodes[at].end;
        let mut next = at;
        std::iter::from_fn(move || {
            while next < end {
                let node = next;
                if self.is_token(node) {
                    next = self.nodes[node].end;
                    return Some(node);
                }
                next += 1;
            }
            None
        })
    }
}
