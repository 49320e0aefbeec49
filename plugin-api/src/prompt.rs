//! Zero- and few-shot prompting: what a run file asks for, and demonstrations before a prompt.
//!
//! A task that says that it is [`promptable`](crate::info::TaskInfo::promptable) is told in
//! [`DataInfo::prompt`](crate::info::DataInfo::prompt). It writes [demonstrations](PromptInfo::records) as it writes
//! what it asks about, and puts as many as [fit](fitting) before each prompt:
//!
//! ```
//! use tenon_plugin_api::prompt::{PromptInfo, fitting};
//!
//! # let demonstration = |q: &str, a: &str| [("q", q), ("a", a)].map(|(name, text)| (name.to_owned(), vec![text.to_owned()]));
//! # let info = PromptInfo {
//! #     demonstrations: vec![demonstration("1+1", "2").into(), demonstration("2+3", "5").into()],
//! #     separator: "\n".to_owned(),
//! #     ..PromptInfo::default()
//! # };
//! let solved = info.records()?;
//! let shown: Vec<String> = (0..solved.len())
//!     .map(|row| {
//!         let record = solved.record(row);
//!         Ok(format!("{}={}{}", record.text("q")?, record.text("a")?, info.separator))
//!     })
//!     .collect::<tenon_plugin_api::Result<_>>()?;
//! let prompt = |room: usize| {
//!     let make = |skipped: usize| Ok(shown[skipped..].concat() + "2+2=");
//!     fitting(shown.len(), make, |prompt| prompt.len() <= room)
//! };
//! assert_eq!(prompt(100)?, "1+1=2\n2+3=5\n2+2=");
//! assert_eq!(prompt(10)?, "2+3=5\n2+2=");
//! assert_eq!(prompt(3)?, "2+2=");
//! # Ok::<(), tenon_plugin_api::Error>(())
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::record::RecordBatch;
use crate::values::Values;

/// Zero- and few-shot prompting (Brown et al. 2020; Schick and Schütze 2021), as `[prompt]` of a run file asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptInfo {
    /// A Jinja template over the columns of a record, with `answer` where the answer stands. A task that has a
    /// template of its own refuses one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// The word that stands for each label; labels that are not here stand for themselves.
    #[serde(default)]
    pub verbalizers: BTreeMap<String, String>,
    /// Text between demonstrations, and before the prompt.
    #[serde(default)]
    pub separator: String,
    /// Records of the training data, in the order in which they stand before each prompt.
    #[serde(default)]
    pub demonstrations: Vec<Demonstration>,
    /// Whether the scores of a prompt without content are taken off (Zhao et al. 2021).
    #[serde(default)]
    pub calibrate: bool,
}

/// What a record holds in each of the task's columns, by name: its text, or the texts of a list. Labels are as they are
/// called, numbers as they are written, cells of [`ColumnKind::Json`](crate::info::ColumnKind::Json) JSON.
pub type Demonstration = BTreeMap<String, Vec<String>>;

impl PromptInfo {
    /// The demonstrations as records, whose columns are all text. Reading them is what reading other records is, but
    /// for labels and numbers.
    ///
    /// # Errors
    /// None that a host makes.
    pub fn records(&self) -> Result<RecordBatch> {
        let all = &self.demonstrations;
        let names: BTreeSet<&String> = all.iter().flat_map(BTreeMap::keys).collect();
        let mut records = RecordBatch::new(all.len());
        for name in names {
            let cells = all
                .iter()
                .map(|one| one.get(name).cloned().unwrap_or_default());
            let cells: Vec<Vec<String>> = cells.collect();
            let missing: Vec<bool> = cells.iter().map(Vec::is_empty).collect();
            records.add(name, Values::texts(cells), &missing)?;
        }
        Ok(records)
    }
}

/// What `make` makes with as many of `count` demonstrations as `fits` lets through. `make(n)` leaves out the first `n`,
/// so that what stands nearest to the prompt stays. Where nothing fits it is what is made without any, for the caller to
/// cut or to refuse.
///
/// # Errors
/// Those of `make`.
pub fn fitting<T>(
    count: usize,
    mut make: impl FnMut(usize) -> Result<T>,
    fits: impl Fn(&T) -> bool,
) -> Result<T> {
    let all = make(0)?;
    if count == 0 || fits(&all) {
        return Ok(all);
    }
    let mut best = make(count)?;
    if !fits(&best) {
        return Ok(best);
    }
    // Leaving out `most` fits, and fewer than `least` does not.
    let (mut least, mut most) = (1, count);
    while least < most {
        let skipped = least.midpoint(most);
        let made = make(skipped)?;
        match fits(&made) {
            true => (best, most) = (made, skipped),
            false => least = skipped + 1,
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_are_left_out() {
        for count in 0..9 {
            for room in 0..12 {
                // The prompt has the length 2, each demonstration 1.
                let make = |skipped: usize| Ok(2 + count - skipped);
                let made = fitting(count, make, |made| *made <= room).expect("made");
                assert_eq!(made, (2 + count).min(room.max(2)), "{count} in {room}");
            }
        }
    }

    #[test]
    fn demonstrations_are_read_as_records_are() {
        let cell = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let info = PromptInfo {
            demonstrations: vec![
                [
                    ("q".to_owned(), cell(&["why"])),
                    ("a".to_owned(), cell(&["so", "thus"])),
                ]
                .into(),
                [
                    ("q".to_owned(), cell(&[])),
                    ("a".to_owned(), cell(&["{\"b\": 1}"])),
                ]
                .into(),
            ],
            ..PromptInfo::default()
        };
        let records = info.records().expect("records");
        assert_eq!(records.len(), 2);
        let (first, second) = (records.record(0), records.record(1));
        assert_eq!(first.text("q").expect("a text"), "why");
        assert_eq!(first.texts("a").expect("texts"), ["so", "thus"]);
        assert!(second.has("q") && second.opt_text("q").is_none());
        let json = second.json("a").expect("JSON").expect("a value");
        assert_eq!(json["b"], 1);
        assert!(PromptInfo::default().records().expect("none").is_empty());
    }
}
