//! Words as numbers, so that they compare and hash as fast as characters do.

use rustc_hash::FxHashMap;

/// Numbers words in the order in which they first occur.
#[derive(Debug, Default)]
pub struct Words {
    ids: FxHashMap<Box<str>, u32>,
}

impl Words {
    /// The number of a word.
    pub fn id(&mut self, word: &str) -> u32 {
        if let Some(id) = self.ids.get(word) {
            return *id;
        }
        // More than 2³² different words would not fit into memory.
        let id = self.ids.len() as u32;
        self.ids.insert(word.into(), id);
        id
    }
}
