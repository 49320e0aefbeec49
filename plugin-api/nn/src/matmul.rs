//! Products of matrices small enough for the nearest cache, inside the fused kernels.
//!
//! libtorch's matrix product costs microseconds to call; attention needs thousands of products of some
//! 25 × 32 elements. Tiles of the result stay in registers.

use crate::simd::{F32s, LANES, isa};

/// The left factor: `rows × columns` elements at given distances.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    elements: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `columns` elements, `stride` apart.
    #[inline(always)]
    pub fn rows(elements: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        Self {
            elements,
            rows,
            columns,
            row_stride: stride,
            column_stride: 1,
        }
    }

    #[inline(always)]
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// `out = a·b`, or `out += a·b`. `b` is `[a.columns, width]` and `out` `[a.rows, width]`, both in rows of `width`
/// elements, a multiple of [`LANES`].
#[inline(always)]
pub(crate) fn multiply<const ISA: u8>(a: Matrix<'_>, b: &[f32], width: usize, out: &mut [f32], accumulate: bool) {
    assert!(width.is_multiple_of(LANES) && b.len() >= a.columns * width && out.len() >= a.rows * width);
    if a.rows == 0 || a.columns == 0 {
        if !accumulate {
            out[..a.rows * width].fill(0.0);
        }
        return;
    }
    assert!(a.elements.len() > (a.rows - 1) * a.row_stride + (a.columns - 1) * a.column_stride);
    let mut column = 0;
    // AVX-512 has the registers for tiles two vectors wide
    if ISA == isa::AVX512 {
        while column + 2 * LANES <= width {
            columns::<ISA, 2>(a, b, width, out, accumulate, column);
            column += 2 * LANES;
        }
    }
    while column < width {
        columns::<ISA, 1>(a, b, width, out, accumulate, column);
        column += LANES;
    }
}

/// `VECTORS · LANES` columns of the result.
#[inline(always)]
fn columns<const ISA: u8, const VECTORS: usize>(
    a: Matrix<'_>,
    b: &[f32],
    width: usize,
    out: &mut [f32],
    accumulate: bool,
    column: usize,
) {
    let mut row = 0;
    while row + 4 <= a.rows {
        tile::<ISA, 4, VECTORS>(a, b, width, out, accumulate, row, column);
        row += 4;
    }
    match a.rows - row {
        3 => tile::<ISA, 3, VECTORS>(a, b, width, out, accumulate, row, column),
        2 => tile::<ISA, 2, VECTORS>(a, b, width, out, accumulate, row, column),
        1 => tile::<ISA, 1, VECTORS>(a, b, width, out, accumulate, row, column),
        _ => {}
    }
}

#[inline(always)]
fn tile<const ISA: u8, const ROWS: usize, const VECTORS: usize>(
    a: Matrix<'_>,
    b: &[f32],
    width: usize,
    out: &mut [f32],
    accumulate: bool,
    row: usize,
    column: usize,
) {
    let mut sums = [[F32s::splat(0.0); VECTORS]; ROWS];
    if accumulate {
        for (r, sums) in sums.iter_mut().enumerate() {
            for (v, sum) in sums.iter_mut().enumerate() {
                *sum = F32s::load(&out[(row + r) * width + column + v * LANES..]);
            }
        }
    }
    for (inner, b_row) in b.chunks_exact(width).take(a.columns).enumerate() {
        let b_row = &b_row[column..column + VECTORS * LANES];
        let vectors: [F32s; VECTORS] = std::array::from_fn(|v| F32s::load(&b_row[v * LANES..]));
        for (r, sums) in sums.iter_mut().enumerate() {
            // SAFETY: `multiply` has checked the last element of the last row, and r < a.rows - row.
            let factor =
                unsafe { *a.elements.get_unchecked((row + r) * a.row_stride + inner * a.column_stride) };
            for (sum, vector) in sums.iter_mut().zip(vectors) {
                *sum = F32s::splat(factor).mul_add::<ISA>(vector, *sum);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        for (v, sum) in sums.iter().enumerate() {
            sum.store(&mut out[(row + r) * width + column + v * LANES..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks every instruction set's code (all run on any processor) against three loops.
    fn check(rows: usize, columns: usize, width: usize) {
        let values = |count: usize, step: f32| (0..count).map(|i| (i as f32 * step).sin()).collect::<Vec<_>>();
        let (a, b, start) = (
            values(rows * columns, 0.7),
            values(columns * width, 0.3),
            values(rows * width, 0.1),
        );
        for accumulate in [false, true] {
            let expected: Vec<f32> = (0..rows * width)
                .map(|at| {
                    let (row, column) = (at / width, at % width);
                    let product: f32 = (0..columns).map(|k| a[row * columns + k] * b[k * width + column]).sum();
                    product + if accumulate { start[at] } else { 0.0 }
                })
                .collect();
            let by_column: Vec<f32> = (0..rows * columns).map(|at| a[at % rows * columns + at / rows]).collect();
            let matrices = [
                Matrix::rows(&a, rows, columns, columns),
                Matrix::rows(&by_column, columns, rows, rows).transposed(),
            ];
            for matrix in matrices {
                let kernels = [
                    multiply::<{ isa::BASELINE }>,
                    multiply::<{ isa::AVX2 }>,
                    multiply::<{ isa::AVX512 }>,
                ];
                for kernel in kernels {
                    let mut out = start.clone();
                    kernel(matrix, &b, width, &mut out, accumulate);
                    for (found, expected) in out.iter().zip(&expected) {
                        assert!((found - expected).abs() < 1e-4, "{rows}×{columns}×{width}: {found}, {expected}");
                    }
                }
            }
        }
    }

    #[test]
    fn products_equal_three_loops() {
        for (rows, columns, width) in [(1, 1, 16), (5, 7, 32), (4, 32, 48), (11, 3, 64), (3, 1, 16)] {
            check(rows, columns, width);
        }
    }
}
