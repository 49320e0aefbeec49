//! Class names and ids, as the task told them, and sets of ids.

use std::borrow::Cow;

use tenon_plugin_api::metric::prelude::*;
use tenon_plugin_api::options::Class;

/// The classes of the data; empty until the task has named them.
#[derive(Clone, Debug, Default)]
pub struct ClassNames(Vec<String>);

impl ClassNames {
    pub fn new(output: &OutputInfo) -> Self {
        Self(output.labels.clone())
    }

    /// How many there are, 0 when the task did not name them.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The name of a class, or its id as text.
    pub fn name(&self, id: i64) -> Cow<'_, str> {
        let known = usize::try_from(id).ok().and_then(|id| self.0.get(id));
        known.map_or_else(|| id.to_string().into(), |name| name.as_str().into())
    }

    /// The id of a class that an option names.
    pub fn id(&self, option: &str, class: &Class) -> Result<i64> {
        let id = match class {
            Class::Id(id) => Some(*id).filter(|id| self.known(*id)),
            Class::Name(name) => self
                .0
                .iter()
                .position(|other| other == name)
                .map(|id| id as i64),
        };
        id.ok_or_else(|| {
            let found = match class {
                Class::Id(id) => id.to_string(),
                Class::Name(name) => format!("\"{name}\""),
            };
            let help = match self.0.as_slice() {
                [] => "the data does not name its classes; give the id".to_owned(),
                names => format!("classes, from id 0: {}", names.join(", ")),
            };
            Error::options(format!("`{option}` is {found}, which is no class")).with_help(help)
        })
    }

    /// Refuses ids that no class has; those of sets (multi-label) count from 0 in any case.
    ///
    /// # Errors
    /// Names the id, its side and the ids there are.
    pub fn check(&self, multi_label: bool, prediction: &[i64], reference: &[i64]) -> Result<()> {
        for (side, ids) in [("predicted", prediction), ("reference", reference)] {
            for id in ids {
                ensure!(
                    !multi_label || *id >= 0,
                    Data,
                    "{side} class {id}; the ids of sets count from 0"
                );
                ensure!(
                    self.known(*id),
                    Data,
                    "{side} class {id}, but classes are 0 to {}",
                    self.len() - 1
                );
            }
        }
        Ok(())
    }

    fn known(&self, id: i64) -> bool {
        self.0.is_empty() || (0..self.0.len() as i64).contains(&id)
    }
}

/// The ids of a set in order, each once.
pub fn set(ids: &[i64]) -> Vec<i64> {
    let mut ids = ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    ids
}
