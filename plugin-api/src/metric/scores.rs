//! What a metric answers: named numbers, and how to read them.

use serde::{Deserialize, Serialize};

/// One score: a name, a number, and how to read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Name in logs and summaries: `accuracy`, `f1_macro`, …
    pub name: String,
    /// The value; NaN when it is not defined on what was seen.
    #[serde(with = "nan_as_null")]
    pub value: f64,
    /// What the value counts: `fraction`, `percent`, `nats`, `correlation`, …
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub unit: String,
    /// Whether a higher value is better; `None` when neither is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub higher_is_better: Option<bool>,
    /// Anything that does not fit in one number, such as a confusion matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<serde_json::Value>,
}

/// Scores of a metric, the main one first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scores {
    scores: Vec<Score>,
}

impl Scores {
    /// No score yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A single score.
    #[must_use]
    pub fn one(name: impl Into<String>, value: f64) -> Self {
        Self::new().and(name, value)
    }

    /// Adds a score.
    #[must_use]
    pub fn and(mut self, name: impl Into<String>, value: f64) -> Self {
        self.scores.push(Score {
            name: name.into(),
            value,
            unit: String::new(),
            higher_is_better: None,
            detail: None,
        });
        self
    }

    /// Says of the score added last that higher is better.
    #[must_use]
    pub fn higher_is_better(self) -> Self {
        self.edit(|score| score.higher_is_better = Some(true))
    }

    /// Says of the score added last that lower is better.
    #[must_use]
    pub fn lower_is_better(self) -> Self {
        self.edit(|score| score.higher_is_better = Some(false))
    }

    /// Gives the score added last a unit.
    #[must_use]
    pub fn unit(self, unit: impl Into<String>) -> Self {
        self.edit(|score| score.unit = unit.into())
    }

    /// Gives the score added last a detail that does not fit in one number.
    #[must_use]
    pub fn detail(self, detail: serde_json::Value) -> Self {
        self.edit(|score| score.detail = Some(detail))
    }

    /// The scores in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Score] {
        &self.scores
    }

    /// The value of a score, if there is one of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.scores
            .iter()
            .find(|score| score.name == name)
            .map(|score| score.value)
    }

    fn edit(mut self, change: impl FnOnce(&mut Score)) -> Self {
        if let Some(last) = self.scores.last_mut() {
            change(last);
        }
        self
    }
}

impl IntoIterator for Scores {
    type Item = Score;
    type IntoIter = std::vec::IntoIter<Score>;

    fn into_iter(self) -> Self::IntoIter {
        self.scores.into_iter()
    }
}

/// JSON has no NaN or infinity: what is not finite is written as text, NaN as `null`.
mod nan_as_null {
    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
        Null,
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        match *value {
            value if value.is_finite() => serializer.serialize_f64(value),
            value if value.is_nan() => serializer.serialize_none(),
            value => serializer.serialize_str(if value > 0.0 { "inf" } else { "-inf" }),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(match Written::deserialize(deserializer)? {
            Written::Number(value) => value,
            Written::Text(text) if text == "inf" => f64::INFINITY,
            Written::Text(text) if text == "-inf" => f64::NEG_INFINITY,
            Written::Text(_) | Written::Null => f64::NAN,
        })
    }
}
