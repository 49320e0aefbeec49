//! Words as numbers, so that they compare and hash as fast as characters do.

use rustc_hash::FxHashMap;

/// Numbers words in the order in which they first occur.
#[derive(Debug, Default)]
pub struct Words {
    ids: FxHashMap<Box<str>, u32>,
}

/// Words that are kept from segment to segment.
const KEPT: usize = 1 << 16;

impl Words {
    /// Begins a segment; numbers of the one before may no longer hold.
    pub fn begin(&mut self) {
        if self.ids.len() > KEPT {
            self.ids.clear();
        }
    }

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
