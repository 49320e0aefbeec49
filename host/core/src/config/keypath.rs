//! The path of a key: `train.epochs`, `metrics[0].use`, `data.columns."my text"`.

use std::fmt;

/// Steps beyond which a path is refused; no run file needs more, and recursion stays bounded.
pub(super) const MAX_DEPTH: usize = 32;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Step {
    /// A key of a table.
    Key(String),
    /// An element of a list, from 0.
    Index(usize),
}

/// The steps from the top of the run file to a value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct KeyPath(pub Vec<Step>);

impl KeyPath {
    /// The path of `key` in the table at this path.
    pub fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    /// The path of an element of the list at this path.
    pub fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The name of the last key, or nothing at the top or at an element of a list.
    pub fn last_key(&self) -> Option<&str> {
        match self.0.last() {
            Some(Step::Key(key)) => Some(key),
            _ => None,
        }
    }

    /// Whether one of two paths leads to, or through, what the other leads to. A variable names
    /// keys that are numbers like elements of a list.
    pub fn shares_a_branch_with(&self, other: &Self) -> bool {
        let same = |(own, other): (&Step, &Step)| match (own, other) {
            (Step::Key(key), Step::Index(index)) | (Step::Index(index), Step::Key(key)) => {
                *key == index.to_string()
            }
            _ => own == other,
        };
        self.0.iter().zip(&other.0).all(same)
    }

    /// Whether an element of a list is on the way.
    pub fn has_index(&self) -> bool {
        self.0.iter().any(|step| matches!(step, Step::Index(_)))
    }

    /// Reads the key of `--set`: keys joined by dots, quoted where they need it, `[n]` for the
    /// elements of a list.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() || steps.is_empty() {
            let (step, after) = if let Some(inside) = rest.strip_prefix('[') {
                let (number, after) = inside.split_once(']').ok_or("`[` without `]`")?;
                (
                    Step::Index(
                        number
                            .trim()
                            .parse()
                            .map_err(|_| format!("`[{number}]` is not a number"))?,
                    ),
                    after,
                )
            } else {
                let unseparated = match (steps.is_empty(), rest.strip_prefix('.')) {
                    (true, _) => rest,
                    (false, Some(after)) => after,
                    (false, None) => return Err(format!("expected `.` or `[` before `{rest}`")),
                };
                key_at(unseparated)?
            };
            steps.push(step);
            rest = after;
            if steps.len() > MAX_DEPTH {
                return Err(format!("more than {MAX_DEPTH} keys deep"));
            }
        }
        Ok(Self(steps))
    }

    /// Reads the name of a variable after `TENON_`: keys in capitals, joined by two underscores,
    /// numbers for the elements of a list.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn from_variable(name: &str) -> Result<Self, String> {
        let step = |part: &str| match part.parse() {
            Ok(index) => Step::Index(index),
            Err(_) => Step::Key(part.to_lowercase()),
        };
        let steps: Vec<Step> = name.split("__").map(step).collect();
        if steps.contains(&Step::Key(String::new())) {
            return Err("an empty key".into());
        }
        if steps.len() > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} keys deep"));
        }
        Ok(Self(steps))
    }
}

/// The key at the start of `text`, and what follows it.
fn key_at(text: &str) -> Result<(Step, &str), String> {
    for quote in ['"', '\''] {
        if let Some(inside) = text.strip_prefix(quote) {
            let (key, after) = inside
                .split_once(quote)
                .ok_or_else(|| format!("{quote} is not closed"))?;
            return Ok((Step::Key(key.to_owned()), after));
        }
    }
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (key, after) = text.split_at(end);
    let key = key.trim();
    if key.is_empty() {
        return Err("an empty key".into());
    }
    Ok((Step::Key(key.to_owned()), after))
}

/// A key as TOML writes it: bare, or in quotes.
pub(super) fn quoted(key: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !key.is_empty() && key.chars().all(bare) {
        return key.to_owned();
    }
    toml::Value::String(key.to_owned()).to_string()
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if position == 0 => f.write_str(&quoted(key))?,
                Step::Key(key) => write!(f, ".{}", quoted(key))?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_keys_of_set() {
        for (text, expected) in [
            ("train.epochs", Ok("train.epochs")),
            (" train . epochs ", Ok("train.epochs")),
            ("metrics[0].use", Ok("metrics[0].use")),
            ("data.columns.'my text'", Ok("data.columns.\"my text\"")),
            ("a[0][1]", Ok("a[0][1]")),
            ("", Err("an empty key")),
            ("train..epochs", Err("an empty key")),
            ("metrics[x]", Err("`[x]` is not a number")),
            ("metrics[0", Err("`[` without `]`")),
            ("metrics[0]use", Err("expected `.` or `[` before `use`")),
            ("a.\"b", Err("\" is not closed")),
            (&"a.".repeat(100), Err("more than 32 keys deep")),
        ] {
            let found = KeyPath::parse(text).map(|path| path.to_string());
            assert_eq!(
                found,
                expected.map(str::to_owned).map_err(str::to_owned),
                "{text}"
            );
        }
    }

    #[test]
    fn reads_the_names_of_variables() {
        let read = |name| KeyPath::from_variable(name).map(|path| path.to_string());
        assert_eq!(read("TRAIN__MAX_STEPS"), Ok("train.max_steps".into()));
        assert_eq!(read("METRICS__1__USE"), Ok("metrics[1].use".into()));
        assert_eq!(read("TRAIN____EPOCHS"), Err("an empty key".into()));
    }
}
