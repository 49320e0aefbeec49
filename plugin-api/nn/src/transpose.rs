//! Rows into columns, inside the fused kernels.

use crate::simd::isa;

/// Rows and columns of a tile that is turned in registers.
const TILE: usize = 16;

/// Writes `rows` rows of `columns` elements, `stride` apart, as the first elements of lines that are `line` apart, one a
/// column. Compiled into a function that may use the instruction set `ISA`.
#[inline(always)]
pub(crate) fn transpose<const ISA: u8>(
    from: &[f32],
    [rows, columns]: [usize; 2],
    stride: usize,
    to: &mut [f32],
    line: usize,
) {
    if rows == 0 || columns == 0 {
        return;
    }
    assert!(columns <= stride && from.len() >= (rows - 1) * stride + columns);
    assert!(rows <= line && to.len() >= (columns - 1) * line + rows);
    let whole = match ISA {
        #[cfg(target_arch = "x86_64")]
        isa::AVX512 => {
            let whole = [rows, columns].map(|count| count / TILE * TILE);
            for row in (0..whole[0]).step_by(TILE) {
                for column in (0..whole[1]).step_by(TILE) {
                    // SAFETY: the assertions above bound the tile on both sides, and the caller's function has the
                    // instructions.
                    unsafe {
                        let from = from.as_ptr().add(row * stride + column);
                        let to = to.as_mut_ptr().add(column * line + row);
                        tile(from, stride, to, line);
                    }
                }
            }
            whole
        }
        _ => [0, 0],
    };
    for row in 0..rows {
        let first = if row < whole[0] { whole[1] } else { 0 };
        for column in first..columns {
            to[column * line + row] = from[row * stride + column];
        }
    }
}

/// Sixteen rows of sixteen elements, in four rounds: after the first two, lanes of four hold elements of one column; the
/// other two bring these lanes into their places.
///
/// # Safety
/// Both tiles exist, and the processor has AVX-512.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn tile(from: *const f32, stride: usize, to: *mut f32, line: usize) {
    use std::arch::x86_64::{
        __m512, _mm512_castpd_ps, _mm512_castps_pd, _mm512_loadu_ps, _mm512_setzero_ps,
        _mm512_shuffle_f32x4, _mm512_storeu_ps, _mm512_unpackhi_pd, _mm512_unpackhi_ps,
        _mm512_unpacklo_pd, _mm512_unpacklo_ps,
    };
    // SAFETY: the caller's.
    unsafe {
        let mut x = [_mm512_setzero_ps(); TILE];
        let mut y = x;
        for (row, x) in x.iter_mut().enumerate() {
            *x = _mm512_loadu_ps(from.add(row * stride));
        }
        for at in (0..TILE).step_by(2) {
            y[at] = _mm512_unpacklo_ps(x[at], x[at + 1]);
            y[at + 1] = _mm512_unpackhi_ps(x[at], x[at + 1]);
        }
        for at in (0..TILE).step_by(4) {
            for half in 0..2 {
                let [a, b]: [__m512; 2] = [y[at + half], y[at + half + 2]];
                let [a, b] = [_mm512_castps_pd(a), _mm512_castps_pd(b)];
                x[at + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                x[at + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
            }
        }
        for at in 0..4 {
            for half in [0, 8] {
                let [a, b] = [x[half + at], x[half + at + 4]];
                y[half + at] = _mm512_shuffle_f32x4::<0x88>(a, b);
                y[half + at + 4] = _mm512_shuffle_f32x4::<0xdd>(a, b);
            }
        }
        for at in 0..8 {
            let [a, b] = [y[at], y[at + 8]];
            x[at] = _mm512_shuffle_f32x4::<0x88>(a, b);
            x[at + 8] = _mm512_shuffle_f32x4::<0xdd>(a, b);
        }
        for (column, x) in x.iter().enumerate() {
            _mm512_storeu_ps(to.add(column * line), *x);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::dispatch;

    dispatch! {
        fn best(from: &[f32], shape: [usize; 2], stride: usize, to: &mut [f32], line: usize) = transpose
    }

    #[test]
    fn every_element_finds_its_place() {
        for [rows, columns] in [[1, 1], [16, 16], [3, 40], [33, 17], [64, 48], [0, 5]] {
            let (stride, line) = (columns + 3, rows + 5);
            let from: Vec<f32> = (0..rows * stride).map(|at| at as f32).collect();
            for kernel in [best, transpose::<{ isa::BASELINE }>] {
                let mut to = vec![-1.0; columns * line];
                kernel(&from, [rows, columns], stride, &mut to, line);
                for (at, found) in to.iter().enumerate() {
                    let (column, row) = (at / line, at % line);
                    let expected = if row < rows {
                        from[row * stride + column]
                    } else {
                        -1.0
                    };
                    assert_eq!(*found, expected, "{rows} × {columns}: {row}, {column}");
                }
            }
        }
    }
}
