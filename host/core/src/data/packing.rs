//! Packing: the examples of consecutive records, one after another, cut into blocks of equal length.
//!
//! The tokens of all records form one stream. Block k holds its positions `k·stride .. k·stride +
//! length`; where `stride` is less than `length`, blocks overlap, and a target that an earlier block
//! had is masked, so that each counts once. Only what the next block needs is kept in memory.

use super::error::DataError;
use super::example::{DType, FieldSpec, HEAD, Packed, Packet, checksum};

/// What a target that is not to be predicted holds, as `ignore_index` in PyTorch.
const IGNORED: u32 = (-100_i32).cast_unsigned();

/// How examples are packed. Fields are meant by their place in the declaration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Positions of a block; only the last one may have fewer.
    pub length: usize,
    /// Positions from the start of a block to that of the next, at most `length`.
    pub stride: usize,
    /// The field that at each position holds what the examples have at the next one: what is to be
    /// predicted there.
    pub target: Option<usize>,
    /// Fields of which a block holds one value: the sum over the positions whose targets count.
    pub sums: Vec<usize>,
    /// A value for each field that follows every document.
    pub separator: Option<Vec<i64>>,
}

impl Packing {
    /// Whether it can be done with fields of these declarations.
    ///
    /// # Errors
    /// What cannot be.
    pub fn check(&self, specs: &[FieldSpec]) -> Result<(), String> {
        if self.length == 0 || self.stride == 0 || self.stride > self.length {
            return Err(format!(
                "blocks of {} positions cannot begin every {} positions",
                self.length, self.stride
            ));
        }
        let used = self.target.iter().chain(&self.sums);
        for &field in used {
            match specs.get(field) {
                Some(spec) if spec.dtype == DType::Int => {}
                Some(spec) => return Err(format!("field `{}` is not of integers", spec.name)),
                None => return Err(format!("there is no field {field} to be packed")),
            }
        }
        let values = self.separator.as_ref().map(Vec::len);
        if values.is_some_and(|values| values != specs.len()) {
            return Err("a separator needs a value for each field".to_owned());
        }
        Ok(())
    }

    /// Positions that a block looks ahead for its last target.
    fn ahead(&self) -> usize {
        usize::from(self.target.is_some())
    }
}

/// Packs examples as they come, in order.
pub(crate) struct Packer {
    packing: Packing,
    specs: Vec<FieldSpec>,
    /// The stream from the first position that is still needed: the values of each field…
    columns: Vec<Vec<u32>>,
    /// … and the row that each position was made of.
    rows: Vec<u64>,
    /// Where in these the next block begins.
    start: usize,
    /// Of the next block, positions whose targets an earlier one had.
    scored: usize,
    /// Whether the stream ends within a document.
    open: bool,
}

impl Packer {
    /// A packer for examples of these fields.
    ///
    /// # Errors
    /// [`DataError::Plan`] for a packing that cannot be.
    pub(crate) fn new(specs: &[FieldSpec], packing: Packing) -> Result<Self, DataError> {
        packing.check(specs).map_err(DataError::Plan)?;
        Ok(Self {
            columns: vec![Vec::new(); specs.len()],
            specs: specs.to_vec(),
            packing,
            rows: Vec::new(),
            start: 0,
            scored: 0,
            open: false,
        })
    }

    /// Takes the examples of consecutive records, the first of which is row `first`, and puts the
    /// blocks that are full into `blocks`. `goes_on` tells of each record whether the next one
    /// continues its document.
    ///
    /// # Errors
    /// The row whose example has fields of different lengths, and how they differ.
    pub(crate) fn add(
        &mut self,
        examples: &Packed,
        first: u64,
        goes_on: &[bool],
        blocks: &mut Packed,
    ) -> Result<(), (u64, String)> {
        let mut rest = examples.words.as_slice();
        for (row, goes_on) in (first..).zip(goes_on) {
            while let Some((&size, _)) = rest.split_first() {
                let (example, after) = rest.split_at(size as usize);
                if Packet(example).row() as u64 != row {
                    break;
                }
                self.append(Packet(example))
                    .map_err(|problem| (row, problem))?;
                rest = after;
            }
            if !goes_on {
                self.separate(row);
            }
            self.cut(false, blocks);
        }
        Ok(())
    }

    /// Puts what is left into a last, shorter block.
    pub(crate) fn finish(&mut self, blocks: &mut Packed) {
        self.cut(true, blocks);
    }

    fn append(&mut self, example: Packet<'_>) -> Result<(), String> {
        let mut length = None;
        for ((spec, column), values) in self
            .specs
            .iter()
            .zip(&mut self.columns)
            .zip(example.fields())
        {
            let expected = *length.get_or_insert(values.len());
            if values.len() != expected {
                return Err(format!(
                    "field `{}` has {} values, others {expected}: fields that are packed need one for each position",
                    spec.name,
                    values.len()
                ));
            }
            column.extend_from_slice(values);
        }
        let length = length.unwrap_or(0);
        self.rows
            .extend(std::iter::repeat_n(example.row() as u64, length));
        self.open |= length > 0;
        Ok(())
    }

    /// Ends the document at hand, if there is one.
    fn separate(&mut self, row: u64) {
        let Some(values) = self.packing.separator.as_ref().filter(|_| self.open) else {
            return;
        };
        for ((spec, column), value) in self.specs.iter().zip(&mut self.columns).zip(values) {
            column.push(match spec.dtype {
                DType::Float => (*value as f32).to_bits(),
                DType::Int | DType::Bool => (*value as i32).cast_unsigned(),
            });
        }
        self.rows.push(row);
        self.open = false;
    }

    /// Cuts off the blocks that are full; at the end (`last`) also one that is not.
    fn cut(&mut self, last: bool, blocks: &mut Packed) {
        let ahead = self.packing.ahead();
        loop {
            let left = self.rows.len() - self.start;
            let is_full = left >= self.packing.length + ahead;
            let length = left.saturating_sub(ahead).min(self.packing.length);
            if !(is_full || last) || length <= self.scored {
                break;
            }
            self.block(length, blocks);
            self.start += self.packing.stride.min(length);
            self.scored = self.packing.length - self.packing.stride;
        }
        // What lies before the next block is dropped once it is as much as what is kept, so that a
        // value is moved no more than once on average.
        if self.start * 2 >= self.rows.len() {
            self.columns
                .iter_mut()
                .for_each(|column| drop(column.drain(..self.start)));
            self.rows.drain(..self.start);
            self.start = 0;
        }
    }

    fn block(&self, length: usize, blocks: &mut Packed) {
        let words = &mut blocks.words;
        let (from, head) = (self.start, words.len());
        let row = self.rows[from];
        words.extend([0, row as u32, (row >> 32) as u32, 0]);
        let shifted = from + self.packing.ahead();
        let targets = self
            .packing
            .target
            .map(|field| &self.columns[field][shifted..shifted + length]);
        let counts = |at: usize| targets.is_none_or(|targets| targets[at] != IGNORED);
        for (field, column) in self.columns.iter().enumerate() {
            if self.packing.sums.contains(&field) {
                let values = &column[shifted..shifted + length];
                let new = (self.scored..length).filter(|at| counts(*at));
                let sum: i64 = new.map(|at| i64::from(values[at].cast_signed())).sum();
                let sum = sum.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
                words.extend([1, sum.cast_unsigned()]);
                continue;
            }
            words.push(length as u32);
            match self.packing.target == Some(field) {
                true => {
                    let values = &column[shifted + self.scored..shifted + length];
                    words.extend(std::iter::repeat_n(IGNORED, self.scored));
                    words.extend_from_slice(values);
                }
                false => words.extend_from_slice(&column[from..from + length]),
            }
        }
        words[head] = (words.len() - head) as u32;
        words[head + HEAD - 1] = checksum(&words[head..]);
        blocks.lengths.push(length as u32);
    }
}

#[cfg(test)]
mod tests {
    use super::super::example::{Collate, Examples, Field, encode_into};
    use super::super::value::Record;
    use super::*;

    fn specs() -> Vec<FieldSpec> {
        let spec = |name: &str, collate, length| FieldSpec {
            name: name.to_owned(),
            dtype: DType::Int,
            collate,
            length,
        };
        vec![
            spec("input_ids", Collate::Pad(0.0), true),
            spec("labels", Collate::Pad(-100.0), false),
            spec("bytes", Collate::Stack, false),
        ]
    }

    /// Documents of tokens, of which each is worth ten times its number of bytes.
    fn examples(documents: &[&[i64]]) -> Packed {
        let mut packed = Packed::default();
        for (row, ids) in documents.iter().enumerate() {
            let bytes: Vec<i64> = ids.iter().map(|id| id * 10).collect();
            let encode = |_: &[Record], examples: &mut Examples<'_>| {
                examples.push(
                    0,
                    &[Field::Ints(ids), Field::Ints(ids), Field::Ints(&bytes)],
                );
                Ok(())
            };
            encode_into(&(specs(), encode), &[], &|_| row as u64, &mut packed).expect("packs");
        }
        packed
    }

    fn packing(length: usize, stride: usize) -> Packing {
        Packing {
            length,
            stride,
            target: Some(1),
            sums: vec![2],
            separator: Some(vec![99, 99, 0]),
        }
    }

    /// Row, ids, targets and bytes of every block, one a line; documents come in two calls.
    fn blocks(packing: Packing, documents: &[&[i64]], goes_on: &[bool]) -> String {
        let mut packer = Packer::new(&specs(), packing).expect("can be");
        let mut made = Packed::default();
        let middle = documents.len() / 2;
        for (first, part, goes_on) in [
            (0, &documents[..middle], &goes_on[..middle]),
            (middle, &documents[middle..], &goes_on[middle..]),
        ] {
            let mut packed = examples(part);
            // Rows are counted from the first of all documents.
            let mut at = 0;
            while at < packed.words.len() {
                packed.words[at + 1] += first as u32;
                at += packed.words[at] as usize;
            }
            packer
                .add(&packed, first as u64, goes_on, &mut made)
                .expect("packs");
        }
        packer.finish(&mut made);
        let mut lines = String::new();
        let mut rest = made.words.as_slice();
        for length in &made.lengths {
            let (example, after) = rest.split_at(rest[0] as usize);
            assert_eq!(checksum(example), example[HEAD - 1]);
            let fields: Vec<Vec<i32>> = Packet(example)
                .fields()
                .map(|field| field.iter().map(|word| word.cast_signed()).collect())
                .collect();
            assert_eq!(fields[0].len(), *length as usize);
            lines += &format!(
                "row {} {:?} -> {:?} bytes {:?}\n",
                Packet(example).row(),
                fields[0],
                fields[1],
                fields[2]
            );
            rest = after;
        }
        lines
    }

    #[test]
    fn documents_become_blocks() {
        let documents: [&[i64]; 4] = [&[1, 2, 3], &[4], &[], &[5, 6, 7, 8]];
        let ends = [false; 4];
        let mut said = String::new();
        let mut show = |what: &str, made: String| said += &format!("{what}\n{made}");
        show("blocks of 4", blocks(packing(4, 4), &documents, &ends));
        show(
            "blocks of 4, every 2",
            blocks(packing(4, 2), &documents, &ends),
        );
        show("one block", blocks(packing(100, 100), &documents, &ends));
        show(
            "the first document goes on in the second",
            blocks(packing(4, 4), &documents, &[true, false, false, false]),
        );
        let plain = Packing {
            separator: None,
            target: None,
            sums: Vec::new(),
            ..packing(3, 3)
        };
        show("without targets", blocks(plain, &documents, &ends));
        show(
            "too short for a target",
            blocks(
                Packing {
                    separator: None,
                    ..packing(4, 4)
                },
                &[&[1]],
                &[false],
            ),
        );
        insta::assert_snapshot!(said);
    }

    #[test]
    fn every_target_counts_once_whatever_the_stride() {
        let ids: Vec<i64> = (1..=37).collect();
        for length in 1..12 {
            for stride in 1..=length {
                let documents = [&ids[..10], &ids[10..11], &ids[11..]];
                let made = blocks(packing(length, stride), &documents, &[false; 3]);
                let mut targets: Vec<i64> = Vec::new();
                let mut bytes = 0;
                for line in made.lines() {
                    let (_, rest) = line.split_once("-> [").expect("targets");
                    let (part, sum) = rest.split_once("] bytes [").expect("bytes");
                    let new = part
                        .split(", ")
                        .map(|id| id.parse::<i64>().expect("a number"));
                    targets.extend(new.filter(|id| *id != -100));
                    bytes += sum.trim_end_matches(']').parse::<i64>().expect("a number");
                }
                let mut expected: Vec<i64> = (2..=37).collect();
                expected.insert(9, 99);
                expected.insert(11, 99);
                expected.push(99);
                assert_eq!(targets, expected, "{length} {stride}");
                assert_eq!(bytes, (2..=37).sum::<i64>() * 10, "{length} {stride}");
            }
        }
    }

    #[test]
    fn what_cannot_be_packed_is_refused() {
        let refused = |packing: Packing| {
            let made = Packer::new(&specs(), packing).map(drop);
            made.expect_err("it cannot be packed").to_string()
        };
        let mut said = vec![
            refused(packing(0, 1)),
            refused(packing(4, 5)),
            refused(Packing {
                sums: vec![3],
                ..packing(4, 4)
            }),
            refused(Packing {
                separator: Some(vec![1]),
                ..packing(4, 4)
            }),
        ];
        let mut packed = Packed::default();
        let encode = |_: &[Record], examples: &mut Examples<'_>| {
            examples.push(
                0,
                &[Field::Ints(&[1, 2]), Field::Ints(&[1]), Field::Ints(&[])],
            );
            Ok(())
        };
        encode_into(&(specs(), encode), &[], &|_| 7, &mut packed).expect("packs");
        let mut packer = Packer::new(&specs(), packing(4, 4)).expect("can be");
        let found = packer.add(&packed, 7, &[false], &mut Packed::default());
        said.push(format!("{:?}", found.expect_err("ragged")));
        insta::assert_snapshot!(said.join("\n"));
    }
}
