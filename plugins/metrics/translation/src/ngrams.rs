//! Counts of n-grams of all orders at once, and how many of them two sequences share.
//!
//! The n-grams of the references stand in a trie: the node of `a b c` is the child `c` of the
//! node of `a b`. All nodes lie in one open-addressed table by (parent, symbol), which is reused
//! from segment to segment without being cleared: each entry knows the generation that wrote it.

/// The parent of the n-grams of one symbol; the parent of others is the slot of theirs, from 1.
const ROOT: u32 = 0;

/// Counts of n-grams of references.
#[derive(Debug, Default)]
pub struct Ngrams {
    slots: Vec<Slot>,
    generation: u32,
    round: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    parent: u32,
    symbol: u32,
    generation: u32,
    /// The reference that counted last.
    round: u32,
    /// How often that reference has the n-gram.
    count: u32,
    /// How often the reference has it that has it most often.
    most: u32,
    /// How often it was matched.
    matched: u32,
}

impl Ngrams {
    /// Forgets all, and makes room for references of `symbols` symbols in all.
    pub fn begin(&mut self, symbols: usize, order: usize) {
        let nodes = symbols * order.min(symbols);
        let size = (2 * nodes).next_power_of_two().max(64);
        if self.slots.len() < size || self.generation == u32::MAX {
            self.slots.clear();
            self.slots.resize(size, Slot::default());
            self.generation = 0;
        }
        self.generation += 1;
        self.round = 0;
    }

    /// Counts the n-grams of a reference up to an order.
    pub fn count(&mut self, symbols: &[u32], order: usize) {
        self.round += 1;
        for start in 0..symbols.len() {
            let mut parent = ROOT;
            for symbol in symbols[start..].iter().take(order) {
                let at = self.place(parent, *symbol);
                let slot = &mut self.slots[at];
                if slot.generation != self.generation {
                    *slot = Slot {
                        parent,
                        symbol: *symbol,
                        generation: self.generation,
                        ..Slot::default()
                    };
                }
                if slot.round != self.round {
                    slot.round = self.round;
                    slot.count = 0;
                }
                slot.count += 1;
                slot.most = slot.most.max(slot.count);
                parent = at as u32 + 1;
            }
        }
    }

    /// Adds to `matches[n - 1]` how many n-grams of `symbols` a reference has, each as often at
    /// most as the reference that has it most often. May be called once after [`Self::begin`].
    pub fn matches(&mut self, symbols: &[u32], matches: &mut [u64]) {
        for start in 0..symbols.len() {
            let mut parent = ROOT;
            for (symbol, matches) in symbols[start..].iter().zip(matches.iter_mut()) {
                let at = self.place(parent, *symbol);
                let slot = &mut self.slots[at];
                if slot.generation != self.generation {
                    break;
                }
                if slot.matched < slot.most {
                    slot.matched += 1;
                    *matches += 1;
                }
                parent = at as u32 + 1;
            }
        }
    }

    /// Where an n-gram stands, or would stand.
    fn place(&self, parent: u32, symbol: u32) -> usize {
        let mask = self.slots.len() - 1;
        let key = u64::from(parent) << 32 | u64::from(symbol);
        let mut at = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize & mask;
        loop {
            let slot = &self.slots[at];
            if slot.generation != self.generation || (slot.parent, slot.symbol) == (parent, symbol)
            {
                return at;
            }
            at = (at + 1) & mask;
        }
    }
}

/// How many n-grams of order `n` a sequence of `len` symbols has.
pub fn total(len: usize, n: usize) -> u64 {
    (len + 1).saturating_sub(n) as u64
}
