//! Collation: examples side by side, in plain buffers that become tensors without a copy.

use super::error::DataError;
use super::example::{Collate, DType, FieldSpec, Packet};

/// On which side shorter examples are filled up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PadSide {
    /// After the values, as encoders want it.
    #[default]
    Right,
    /// Before the values, as generation wants it.
    Left,
}

/// How examples of different lengths lie in a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// `[batch, longest]`, filled up.
    #[default]
    Padded,
    /// `[total]`: one after another without padding; [`Batch::lengths`] tells them apart.
    Packed,
}

/// How batches are laid out.
#[derive(Clone, Copy, Debug)]
pub struct CollateOptions {
    /// The padded length is rounded up to a multiple of this (default 1).
    pub pad_to_multiple_of: usize,
    /// Where padding goes.
    pub side: PadSide,
    /// Whether there is any.
    pub layout: Layout,
}

impl Default for CollateOptions {
    fn default() -> Self {
        Self {
            pad_to_multiple_of: 1,
            side: PadSide::Right,
            layout: Layout::Padded,
        }
    }
}

/// Values of a batch, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Buffer {
    /// 64-bit integers, as embeddings and losses take them.
    Ints(Vec<i64>),
    /// 32-bit floats.
    Floats(Vec<f32>),
    /// Truth values.
    Bools(Vec<bool>),
}

/// One field of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Collated {
    /// The field's name.
    pub name: String,
    /// Its shape, the batch first.
    pub shape: Vec<usize>,
    /// Its values.
    pub data: Buffer,
}

/// A batch, ready to become tensors.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// Its number in the plan.
    pub number: usize,
    /// The number of each example in the prepared set, by which [`super::Restored`] puts
    /// predictions into their order.
    pub examples: Vec<usize>,
    /// The row of the view that each example was made of.
    pub rows: Vec<usize>,
    /// The length of each example, before padding; of its first field, where several have one.
    pub lengths: Vec<u32>,
    /// Its fields, in the order of the task's declaration.
    pub fields: Vec<Collated>,
}

/// Collates packed examples field by field.
///
/// # Errors
/// [`DataError::Collate`] for a stacked field whose examples differ in their number of values.
pub(crate) fn collate_packed(
    specs: &[FieldSpec],
    examples: &[Packet<'_>],
    options: &CollateOptions,
) -> Result<Vec<Collated>, DataError> {
    let mut columns: Vec<Vec<&[u32]>> = vec![Vec::with_capacity(examples.len()); specs.len()];
    for example in examples {
        for (column, field) in columns.iter_mut().zip(example.fields()) {
            column.push(field);
        }
    }
    specs
        .iter()
        .zip(&columns)
        .map(|(spec, column)| collate(spec, column, options))
        .collect()
}

/// Collates one field, given as the words of its values in each example.
///
/// # Errors
/// As for a batch.
pub fn collate(
    spec: &FieldSpec,
    examples: &[&[u32]],
    options: &CollateOptions,
) -> Result<Collated, DataError> {
    let arrange = match spec.collate {
        Collate::Stack => Arrange::stacked(spec, examples)?,
        Collate::Pad(_) if options.layout == Layout::Packed => Arrange {
            shape: vec![examples.iter().map(|values| values.len()).sum()],
            width: 0,
            side: options.side,
        },
        Collate::Pad(_) => {
            let longest = examples
                .iter()
                .map(|values| values.len())
                .max()
                .unwrap_or(0);
            let width = longest.next_multiple_of(options.pad_to_multiple_of.max(1));
            Arrange {
                shape: vec![examples.len(), width],
                width,
                side: options.side,
            }
        }
    };
    let fill = if let Collate::Pad(value) = spec.collate {
        value
    } else {
        0.0
    };
    let data = match spec.dtype {
        DType::Int => {
            Buffer::Ints(arrange.fill(examples, fill as i64, |word| i64::from(word.cast_signed())))
        }
        DType::Float => Buffer::Floats(arrange.fill(examples, fill as f32, f32::from_bits)),
        DType::Bool => Buffer::Bools(arrange.fill(examples, fill != 0.0, |word| word != 0)),
    };
    Ok(Collated {
        name: spec.name.clone(),
        shape: arrange.shape,
        data,
    })
}

struct Arrange {
    shape: Vec<usize>,
    /// Values for each example, padding included; 0 where nothing is padded.
    width: usize,
    side: PadSide,
}

impl Arrange {
    fn stacked(spec: &FieldSpec, examples: &[&[u32]]) -> Result<Self, DataError> {
        let width = examples.first().map_or(0, |values| values.len());
        if let Some(other) = examples.iter().find(|values| values.len() != width) {
            return Err(DataError::Collate(format!(
                "field `{}` has {width} values in one example and {} in another; a field that varies must be padded",
                spec.name,
                other.len()
            )));
        }
        let shape = if width == 1 {
            vec![examples.len()]
        } else {
            vec![examples.len(), width]
        };
        Ok(Self {
            shape,
            width: 0,
            side: PadSide::Right,
        })
    }

    fn fill<T: Copy>(&self, examples: &[&[u32]], fill: T, read: impl Fn(u32) -> T) -> Vec<T> {
        let mut data = Vec::with_capacity(self.shape.iter().product());
        for values in examples {
            let padding = self.width.saturating_sub(values.len());
            let (before, after) = match self.side {
                PadSide::Left => (padding, 0),
                PadSide::Right => (0, padding),
            };
            data.extend(std::iter::repeat_n(fill, before));
            data.extend(values.iter().map(|&word| read(word)));
            data.extend(std::iter::repeat_n(fill, after));
        }
        data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(dtype: DType, collate: Collate) -> FieldSpec {
        FieldSpec {
            name: "x".to_owned(),
            dtype,
            collate,
            length: false,
        }
    }

    #[test]
    fn layouts() {
        let examples: [&[u32]; 3] = [&[1, 2, 3], &[(-4_i32).cast_unsigned()], &[]];
        let pad = spec(DType::Int, Collate::Pad(9.0));
        let left = CollateOptions {
            side: PadSide::Left,
            ..CollateOptions::default()
        };
        let multiple = CollateOptions {
            pad_to_multiple_of: 2,
            ..CollateOptions::default()
        };
        let packed = CollateOptions {
            layout: Layout::Packed,
            ..CollateOptions::default()
        };
        let cases = [
            (
                CollateOptions::default(),
                vec![3, 3],
                vec![1, 2, 3, -4, 9, 9, 9, 9, 9],
            ),
            (left, vec![3, 3], vec![1, 2, 3, 9, 9, -4, 9, 9, 9]),
            (
                multiple,
                vec![3, 4],
                vec![1, 2, 3, 9, -4, 9, 9, 9, 9, 9, 9, 9],
            ),
            (packed, vec![4], vec![1, 2, 3, -4]),
        ];
        for (options, shape, values) in cases {
            let made = collate(&pad, &examples, &options).expect("collates");
            assert_eq!(
                (made.shape, made.data),
                (shape, Buffer::Ints(values)),
                "{options:?}"
            );
        }
    }

    #[test]
    fn stacks() {
        let options = CollateOptions {
            layout: Layout::Packed,
            pad_to_multiple_of: 8,
            side: PadSide::Left,
        };
        let one = [1.5_f32.to_bits()];
        let made =
            collate(&spec(DType::Float, Collate::Stack), &[&one, &one], &options).expect("stacks");
        assert_eq!(
            (made.shape, made.data),
            (vec![2], Buffer::Floats(vec![1.5, 1.5]))
        );
        let made = collate(
            &spec(DType::Bool, Collate::Stack),
            &[&[0, 1], &[7, 0]],
            &options,
        )
        .expect("stacks");
        assert_eq!(
            (made.shape, made.data),
            (vec![2, 2], Buffer::Bools(vec![false, true, true, false]))
        );
        let error = collate(
            &spec(DType::Int, Collate::Stack),
            &[&[1], &[1, 2]],
            &options,
        )
        .expect_err("ragged");
        insta::assert_snapshot!(error);
    }
}
