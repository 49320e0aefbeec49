//! What differs between languages.

use std::collections::HashSet;
use std::sync::LazyLock;

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
pub type Keywords = HashSet<&'static str>;

// The lists of codebleu 0.7.0 (MIT).
static PYTHON: LazyLock<Keywords> = LazyLock::new(|| words(include_str!("keywords/python.txt")));
static JAVA: LazyLock<Keywords> = LazyLock::new(|| words(include_str!("keywords/java.txt")));
static C_SHARP: LazyLock<Keywords> = LazyLock::new(|| words(include_str!("keywords/c_sharp.txt")));

fn words(list: &'static str) -> Keywords {
    list.split_whitespace().collect()
}

/// The nodes of a language's trees that move values.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// A declaration with a name and perhaps a value.
    pub definition: &'static str,
    /// Whether its name and value are its two children instead of fields.
    pub by_position: bool,
    pub assignments: &'static [&'static str],
    pub increment: &'static str,
    /// A loop over the elements of something, and its fields for the element and for the whole.
    pub for_each: (&'static str, &'static str, &'static str),
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

    /// The nodes that move values.
    pub fn flow(self) -> Flow {
        match self {
            Self::Python => Flow {
                definition: "default_parameter",
                by_position: false,
                assignments: &["assignment", "augmented_assignment", "for_in_clause"],
                increment: "",
                for_each: ("", "", ""),
            },
            Self::Java => Flow {
                definition: "variable_declarator",
                by_position: false,
                assignments: &["assignment_expression"],
                increment: "update_expression",
                for_each: ("enhanced_for_statement", "name", "value"),
            },
            Self::CSharp => Flow {
                definition: "variable_declarator",
                by_position: true,
                assignments: &["assignment_expression"],
                increment: "postfix_unary_expression",
                for_each: ("for_each_statement", "left", "right"),
            },
        }
    }
}
