//! Which of a reference's edges "this value comes from those" a candidate has.
//!
//! [`graph`] draws the edges, following the package statement by statement, oddities included;
//! here they lose the names of their variables, which only have to be used alike.

mod graph;
mod statements;
mod tokens;

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use super::language::Language;
use super::tree::FlatTree;
use graph::{Drawn, Relation};

/// An edge with its variables numbered in the order of their first use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Edge {
    to: u32,
    relation: Relation,
    from: Vec<u32>,
}

/// The edges of a tree; none where the package fails to draw them.
pub fn edges(tree: &FlatTree<'_>, code: &str, language: Language) -> Vec<Edge> {
    let Some(mut drawn) = graph::draw(tree, code, language) else {
        return Vec::new();
    };
    drawn.sort_by_key(|edge| edge.place);
    normalized(&merged(&connected(drawn)))
}

/// Those that touch another.
fn connected(drawn: Vec<Drawn>) -> Vec<Drawn> {
    let mut touched = HashSet::default();
    for edge in drawn.iter().filter(|edge| !edge.from_places.is_empty()) {
        touched.insert(edge.place);
        touched.extend(&edge.from_places);
    }
    let mut drawn = drawn;
    drawn.retain(|edge| touched.contains(&edge.place));
    drawn
}

/// One for each place.
fn merged(drawn: &[Drawn]) -> Vec<Drawn> {
    let mut at: HashMap<u32, usize> = HashMap::default();
    let mut all: Vec<Drawn> = Vec::new();
    for edge in drawn {
        match at.get(&edge.place) {
            None => {
                at.insert(edge.place, all.len());
                all.push(edge.clone());
            }
            Some(index) => {
                let before = &all[*index];
                let from = graph::union(&before.from, &edge.from);
                let from_places = graph::union(&before.from_places, &edge.from_places);
                all[*index] = Drawn {
                    from,
                    from_places,
                    ..edge.clone()
                };
            }
        }
    }
    all
}

fn normalized(drawn: &[Drawn]) -> Vec<Edge> {
    let mut numbers: HashMap<u32, u32> = HashMap::default();
    let mut number = |name: u32| {
        let next = numbers.len() as u32;
        *numbers.entry(name).or_insert(next)
    };
    let edge = |edge: &Drawn| {
        let from = edge.from.iter().map(|name| number(*name)).collect();
        Edge {
            from,
            to: number(edge.name),
            relation: edge.relation,
        }
    };
    drawn.iter().map(edge).collect()
}

/// How many edges of the reference the candidate has; each of the candidate's counts once.
pub fn matched(candidate: &[Edge], reference: &[Edge]) -> u64 {
    let mut left: HashMap<&Edge, u64> = HashMap::default();
    for edge in candidate {
        *left.entry(edge).or_default() += 1;
    }
    let mut matched = 0;
    for edge in reference {
        if let Some(count) = left.get_mut(edge).filter(|count| **count > 0) {
            *count -= 1;
            matched += 1;
        }
    }
    matched
}
