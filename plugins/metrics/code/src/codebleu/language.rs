//! What differs between languages.

use std::hash::BuildHasher;
use std::sync::LazyLock;

use rustc_hash::{FxBuildHasher, FxHashSet};
use tenon_plugin_api::metric::prelude::*;

use super::{comments, docstrings};

/// A programming language.
#[derive(Options, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Python 3.
    Python,
    /// Java.
    Java,
    /// C#.
    CSharp,
}

/// Words that weighted n-grams prefer.
pub type Keywords = FxHashSet<&'static str>;

// The lists of codebleu 0.7.0 (MIT).
static PYTHON: LazyLock<Keywords> = LazyLock::new(|| words(include_str!("keywords/python.txt")));
static JAVA: LazyLock<Keywords> = LazyLock::new(|| words(include_str!("keywords/java.txt")));
static C_SHARP: LazyLock<Keywords> = LazyLock::new(|| words(include_str!("keywords/c_sharp.txt")));

fn words(list: &'static str) -> Keywords {
    list.split_whitespace().collect()
}

/// What a kind of node is to the flow of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Comment,
    /// A string, which is one token with all that is in it.
    Text,
    Identifier,
    Comma,
    Block,
    /// A declaration with a name and perhaps a value.
    Definition,
    Assignment,
    /// The variables of a comprehension in Python.
    ForIn,
    Increment,
    If,
    /// A branch after the first one, in Python.
    ElseClause,
    For,
    /// A loop over the elements of something.
    ForEach,
    While,
    /// Where a loop declares its variable.
    LocalDeclaration,
    Else,
    Other,
}

/// What a language's kinds of nodes are, by their numbers.
#[derive(Debug)]
pub struct Kinds {
    names: Vec<&'static str>,
    parts: Vec<Part>,
    /// Hashes of the names: several numbers may share one.
    hashes: Vec<u64>,
    /// Whether the name has an "else" in it.
    elses: Vec<bool>,
}

static PYTHON_KINDS: LazyLock<Kinds> = LazyLock::new(|| Kinds::of(Language::Python));
static JAVA_KINDS: LazyLock<Kinds> = LazyLock::new(|| Kinds::of(Language::Java));
static C_SHARP_KINDS: LazyLock<Kinds> = LazyLock::new(|| Kinds::of(Language::CSharp));

impl Kinds {
    fn of(language: Language) -> Self {
        let grammar = language.grammar();
        let name = |kind| grammar.node_kind_for_id(kind).unwrap_or_default();
        let names: Vec<&'static str> = (0..grammar.node_kind_count() as u16).map(name).collect();
        Self {
            parts: names.iter().map(|name| language.part(name)).collect(),
            hashes: names
                .iter()
                .map(|name| FxBuildHasher.hash_one(name))
                .collect(),
            elses: names.iter().map(|name| name.contains("else")).collect(),
            names,
        }
    }

    /// The name of a kind.
    pub fn name(&self, kind: u16) -> &'static str {
        // The kind of an error is none of the grammar's.
        self.names
            .get(usize::from(kind))
            .copied()
            .unwrap_or("ERROR")
    }

    /// What a node of a kind is.
    pub fn part(&self, kind: u16) -> Part {
        let part = self.parts.get(usize::from(kind));
        part.copied().unwrap_or(Part::Other)
    }

    /// A hash of the name of a kind.
    pub fn hash(&self, kind: u16) -> u64 {
        let hash = self.hashes.get(usize::from(kind));
        hash.copied().unwrap_or_default()
    }

    /// Whether the name of a kind has an "else" in it.
    pub fn has_else(&self, kind: u16) -> bool {
        self.elses.get(usize::from(kind)) == Some(&true)
    }
}

impl Language {
    /// The grammar.
    pub fn grammar(self) -> tree_sitter::Language {
        match self {
            Self::Python => tree_sitter_python::language(),
            Self::Java => tree_sitter_java::language(),
            Self::CSharp => tree_sitter_c_sharp::language(),
        }
    }

    /// The words that weighted n-grams prefer.
    pub fn keywords(self) -> &'static Keywords {
        match self {
            Self::Python => &PYTHON,
            Self::Java => &JAVA,
            Self::CSharp => &C_SHARP,
        }
    }

    /// `code` without comments, and in Python without strings that are statements.
    pub fn without_comments(self, code: &str) -> String {
        match self {
            // What Python's tokenizer refuses stays as it is.
            Self::Python => docstrings::remove(code).unwrap_or_else(|| code.to_owned()),
            Self::Java | Self::CSharp => comments::remove(code),
        }
    }

    /// What the kinds of nodes are.
    pub fn kinds(self) -> &'static Kinds {
        match self {
            Self::Python => &PYTHON_KINDS,
            Self::Java => &JAVA_KINDS,
            Self::CSharp => &C_SHARP_KINDS,
        }
    }

    fn part(self, kind: &str) -> Part {
        match (self, kind) {
            (_, "comment") => Part::Comment,
            (_, "string_literal" | "string" | "character_literal") => Part::Text,
            (_, "identifier") => Part::Identifier,
            (_, "if_statement") => Part::If,
            (_, "for_statement") => Part::For,
            (_, "while_statement") => Part::While,
            (Self::Python, "default_parameter") => Part::Definition,
            (Self::Python, "assignment" | "augmented_assignment") => Part::Assignment,
            (Self::Python, "for_in_clause") => Part::ForIn,
            (Self::Python, "elif_clause" | "else_clause") => Part::ElseClause,
            (Self::Python, "block") => Part::Block,
            (Self::Python, ",") => Part::Comma,
            (Self::Python, _) => Part::Other,
            (_, "variable_declarator") => Part::Definition,
            (_, "assignment_expression") => Part::Assignment,
            (_, "else") => Part::Else,
            (_, "local_variable_declaration") => Part::LocalDeclaration,
            (Self::Java, "update_expression") => Part::Increment,
            (Self::Java, "enhanced_for_statement") => Part::ForEach,
            (Self::CSharp, "postfix_unary_expression") => Part::Increment,
            (Self::CSharp, "for_each_statement") => Part::ForEach,
            _ => Part::Other,
        }
    }

    /// The fields of an element and of the whole in a [`Part::ForEach`].
    pub fn for_each_fields(self) -> (&'static str, &'static str) {
        match self {
            Self::CSharp => ("left", "right"),
            _ => ("name", "value"),
        }
    }
}
