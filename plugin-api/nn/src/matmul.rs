//! Products of matrices small enough for the nearest cache, inside the fused kernels.
//!
//! libtorch's matrix product costs microseconds to call; attention needs thousands of products of some
//! 25 × 32 elements. Tiles of the result stay in registers.

use crate::simd::{LANES, fma, isa};

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
/// elements, a multiple of [`LANES`]. Compiled into a function that may use the instruction set `ISA`.
#[inline(always)]
pub(crate) fn multiply<const ISA: u8>(
    a: Matrix<'_>,
    b: &[f32],
    width: usize,
    out: &mut [f32],
    accumulate: bool,
) {
    multiply_part::<ISA>(a, b, width, width, out, accumulate);
}

/// The same with the first `width` elements of rows of `b` that are `stride` apart.
#[inline(always)]
pub(crate) fn multiply_part<const ISA: u8>(
    a: Matrix<'_>,
    b: &[f32],
    stride: usize,
    width: usize,
    out: &mut [f32],
    accumulate: bool,
) {
    assert!(width.is_multiple_of(LANES) && out.len() >= a.rows * width);
    if a.rows == 0 || a.columns == 0 {
        if !accumulate {
            out[..a.rows * width].fill(0.0);
        }
        return;
    }
    assert!(width <= stride && b.len() >= (a.columns - 1) * stride + width);
    assert!(a.elements.len() > (a.rows - 1) * a.row_stride + (a.columns - 1) * a.column_stride);
    let product = Product {
        a,
        b: b.as_ptr(),
        stride,
        width,
        out: out.as_mut_ptr(),
        accumulate,
    };
    // SAFETY: the assertions above bound every element of the three, and the caller's function has the
    // instructions that ISA stands for.
    unsafe {
        match ISA {
            #[cfg(target_arch = "x86_64")]
            isa::AVX512 => {
                let wide = width / 32 * 32;
                product.columns::<std::arch::x86_64::__m512, 2, 8>(0, wide);
                product.columns::<std::arch::x86_64::__m512, 1, 8>(wide, width);
            }
            #[cfg(target_arch = "x86_64")]
            isa::AVX2 => product.columns::<std::arch::x86_64::__m256, 2, 4>(0, width),
            _ => product.columns::<[f32; 4], 2, 4>(0, width),
        }
    }
}

/// A vector register. The compiler, left to itself, vectorises these loops along the wrong dimension.
pub(crate) trait Vector: Copy {
    const WIDTH: usize;

    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    unsafe fn splat(value: f32) -> Self;
    /// `self * b + c`.
    unsafe fn mul_add(self, b: Self, c: Self) -> Self;
    /// The sum of the elements of each of four times four vectors, all in the same order.
    unsafe fn sums(tile: [[Self; 4]; 4]) -> [[f32; 4]; 4];
    /// Has the element's line brought near, if it can be; the address may lie outside of memory.
    #[inline(always)]
    unsafe fn prefetch(_at: *const f32) {}
}

macro_rules! x86_vector {
    ($type:ident, $width:literal, $load:ident, $store:ident, $splat:ident, $mul_add:ident, $sums:path) => {
        #[cfg(target_arch = "x86_64")]
        impl Vector for std::arch::x86_64::$type {
            const WIDTH: usize = $width;

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the caller's, here and below.
                unsafe { std::arch::x86_64::$load(from) }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                unsafe { std::arch::x86_64::$store(to, self) }
            }
            #[inline(always)]
            unsafe fn splat(value: f32) -> Self {
                unsafe { std::arch::x86_64::$splat(value) }
            }
            #[inline(always)]
            unsafe fn mul_add(self, b: Self, c: Self) -> Self {
                unsafe { std::arch::x86_64::$mul_add(self, b, c) }
            }
            #[inline(always)]
            unsafe fn sums(tile: [[Self; 4]; 4]) -> [[f32; 4]; 4] {
                unsafe { $sums(tile) }
            }
            #[inline(always)]
            unsafe fn prefetch(at: *const f32) {
                unsafe {
                    std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast())
                }
            }
        }
    };
}
x86_vector!(
    __m512,
    16,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_set1_ps,
    _mm512_fmadd_ps,
    sums_of_sixteen
);
x86_vector!(
    __m256,
    8,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_set1_ps,
    _mm256_fmadd_ps,
    sums_of_eight
);

/// The vectors of four rows come together in one with what is left of them in lanes of four, and the four columns of
/// these lanes in the result: 30 shuffles and 15 additions for 16 sums.
///
/// # Safety
/// The processor has AVX-512.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn sums_of_sixteen(tile: [[std::arch::x86_64::__m512; 4]; 4]) -> [[f32; 4]; 4] {
    use std::arch::x86_64::{
        _mm512_add_ps, _mm512_setzero_ps, _mm512_shuffle_f32x4, _mm512_shuffle_ps,
        _mm512_storeu_ps, _mm512_unpackhi_ps, _mm512_unpacklo_ps,
    };
    // SAFETY: the caller's; the result has room for sixteen.
    unsafe {
        // no closures: they would be functions of their own, without the instructions
        let mut lanes = [_mm512_setzero_ps(); 4];
        for (column, lanes) in lanes.iter_mut().enumerate() {
            let [a, b] = [tile[0][column], tile[1][column]];
            let [c, d] = [tile[2][column], tile[3][column]];
            let ab = _mm512_add_ps(
                _mm512_shuffle_f32x4::<0x44>(a, b),
                _mm512_shuffle_f32x4::<0xee>(a, b),
            );
            let cd = _mm512_add_ps(
                _mm512_shuffle_f32x4::<0x44>(c, d),
                _mm512_shuffle_f32x4::<0xee>(c, d),
            );
            *lanes = _mm512_add_ps(
                _mm512_shuffle_f32x4::<0x88>(ab, cd),
                _mm512_shuffle_f32x4::<0xdd>(ab, cd),
            );
        }
        let [a, b, c, d] = lanes;
        let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
        let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
        let sums = _mm512_add_ps(
            _mm512_shuffle_ps::<0x44>(ab, cd),
            _mm512_shuffle_ps::<0xee>(ab, cd),
        );
        let mut out = [[0.0; 4]; 4];
        _mm512_storeu_ps(out.as_mut_ptr().cast(), sums);
        out
    }
}

/// # Safety
/// The processor has AVX.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn sums_of_eight(tile: [[std::arch::x86_64::__m256; 4]; 4]) -> [[f32; 4]; 4] {
    use std::arch::x86_64::{
        _mm_add_ps, _mm_storeu_ps, _mm256_castps256_ps128, _mm256_extractf128_ps, _mm256_hadd_ps,
    };
    // SAFETY: the caller's; each row of the result has room for four.
    unsafe {
        let mut out = [[0.0; 4]; 4];
        for (out, [a, b, c, d]) in out.iter_mut().zip(tile) {
            let sums = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
            let (low, high) = (
                _mm256_castps256_ps128(sums),
                _mm256_extractf128_ps::<1>(sums),
            );
            _mm_storeu_ps(out.as_mut_ptr(), _mm_add_ps(low, high));
        }
        out
    }
}

impl Vector for [f32; 4] {
    const WIDTH: usize = 4;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's, here and below.
        unsafe { from.cast::<Self>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        [value; 4]
    }
    #[inline(always)]
    unsafe fn mul_add(self, b: Self, c: Self) -> Self {
        std::array::from_fn(|lane| fma::<{ isa::BASELINE }>(self[lane], b[lane], c[lane]))
    }
    #[inline(always)]
    unsafe fn sums(tile: [[Self; 4]; 4]) -> [[f32; 4]; 4] {
        tile.map(|row| row.map(|[a, b, c, d]| (a + c) + (b + d)))
    }
}

/// A product whose bounds have been checked.
#[derive(Clone, Copy)]
struct Product<'a> {
    a: Matrix<'a>,
    b: *const f32,
    stride: usize,
    width: usize,
    out: *mut f32,
    accumulate: bool,
}

impl Product<'_> {
    /// Columns `from..to`, `COUNT` vectors and `ROWS` rows at a time.
    #[inline(always)]
    unsafe fn columns<V: Vector, const COUNT: usize, const ROWS: usize>(
        self,
        from: usize,
        to: usize,
    ) {
        for column in (from..to).step_by(COUNT * V::WIDTH) {
            let mut row = 0;
            // SAFETY: rows and columns lie in the result.
            unsafe {
                while row + ROWS <= self.a.rows {
                    self.tile::<V, ROWS, COUNT>(row, column);
                    row += ROWS;
                }
                while row + 4 <= self.a.rows {
                    self.tile::<V, 4, COUNT>(row, column);
                    row += 4;
                }
                match self.a.rows - row {
                    3 => self.tile::<V, 3, COUNT>(row, column),
                    2 => self.tile::<V, 2, COUNT>(row, column),
                    1 => self.tile::<V, 1, COUNT>(row, column),
                    _ => {}
                }
            }
        }
    }

    /// `ROWS` rows of `COUNT` vectors, held in registers.
    #[inline(always)]
    unsafe fn tile<V: Vector, const ROWS: usize, const COUNT: usize>(
        self,
        row: usize,
        column: usize,
    ) {
        let Matrix {
            elements,
            columns,
            row_stride,
            column_stride,
            ..
        } = self.a;
        // SAFETY: the tile lies in the result, and with it everything that it is made from.
        unsafe {
            let out = self.out.add(row * self.width + column);
            let a = elements.as_ptr().add(row * row_stride);
            let mut sums = [[V::splat(0.0); COUNT]; ROWS];
            if self.accumulate {
                for (r, sums) in sums.iter_mut().enumerate() {
                    for (v, sum) in sums.iter_mut().enumerate() {
                        *sum = V::load(out.add(r * self.width + v * V::WIDTH));
                    }
                }
            }
            for inner in 0..columns {
                let b = self.b.add(inner * self.stride + column);
                let mut vectors = [V::splat(0.0); COUNT];
                for (v, vector) in vectors.iter_mut().enumerate() {
                    *vector = V::load(b.add(v * V::WIDTH));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let factor = V::splat(*a.add(r * row_stride + inner * column_stride));
                    for (sum, vector) in sums.iter_mut().zip(vectors) {
                        *sum = factor.mul_add(vector, *sum);
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (v, sum) in sums.iter().enumerate() {
                    sum.store(out.add(r * self.width + v * V::WIDTH));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::dispatch;

    dispatch! {
        fn best(a: Matrix<'_>, b: &[f32], width: usize, out: &mut [f32], accumulate: bool) = multiply
    }

    #[cfg(target_arch = "x86_64")]
    fn avx2(a: Matrix<'_>, b: &[f32], width: usize, out: &mut [f32], accumulate: bool) {
        #[target_feature(enable = "avx2,fma")]
        fn body(a: Matrix<'_>, b: &[f32], width: usize, out: &mut [f32], accumulate: bool) {
            multiply::<{ isa::AVX2 }>(a, b, width, out, accumulate);
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: just asked.
            unsafe { body(a, b, width, out, accumulate) }
        } else {
            multiply::<{ isa::BASELINE }>(a, b, width, out, accumulate);
        }
    }

    /// Checks the code of each instruction set against three loops.
    fn check(rows: usize, columns: usize, width: usize) {
        let values = |count: usize, step: f32| {
            (0..count)
                .map(|i| (i as f32 * step).sin())
                .collect::<Vec<_>>()
        };
        let (a, b, start) = (
            values(rows * columns, 0.7),
            values(columns * width, 0.3),
            values(rows * width, 0.1),
        );
        for accumulate in [false, true] {
            let expected: Vec<f32> = (0..rows * width)
                .map(|at| {
                    let (row, column) = (at / width, at % width);
                    let product: f32 = (0..columns)
                        .map(|k| a[row * columns + k] * b[k * width + column])
                        .sum();
                    product + if accumulate { start[at] } else { 0.0 }
                })
                .collect();
            let by_column: Vec<f32> = (0..rows * columns)
                .map(|at| a[at % rows * columns + at / rows])
                .collect();
            let matrices = [
                Matrix::rows(&a, rows, columns, columns),
                Matrix::rows(&by_column, columns, rows, rows).transposed(),
            ];
            for matrix in matrices {
                let kernels = [
                    multiply::<{ isa::BASELINE }>,
                    best,
                    #[cfg(target_arch = "x86_64")]
                    avx2,
                ];
                for kernel in kernels {
                    let mut out = start.clone();
                    kernel(matrix, &b, width, &mut out, accumulate);
                    for (found, expected) in out.iter().zip(&expected) {
                        assert!(
                            (found - expected).abs() < 1e-4,
                            "{rows}×{columns}×{width}: {found}, {expected}"
                        );
                    }
                }
            }
        }
    }

    /// The sums of sixteen vectors of whole numbers, which are exact in any order.
    #[inline(always)]
    fn check_sums<V: Vector>() {
        let values: Vec<f32> = (0..16 * V::WIDTH)
            .map(|at| (at * at % 101) as f32)
            .collect();
        // SAFETY: the vectors lie in `values`, and the caller has asked for the instructions.
        let found = unsafe {
            let mut tile = [[V::splat(0.0); 4]; 4];
            for (at, vector) in tile.as_flattened_mut().iter_mut().enumerate() {
                *vector = V::load(values.as_ptr().add(at * V::WIDTH));
            }
            V::sums(tile)
        };
        for (sum, vector) in found.as_flattened().iter().zip(values.chunks(V::WIDTH)) {
            assert_eq!(*sum, vector.iter().sum::<f32>(), "{} lanes", V::WIDTH);
        }
    }

    #[test]
    fn sums_stand_where_their_vectors_did() {
        check_sums::<[f32; 4]>();
        #[cfg(target_arch = "x86_64")]
        {
            #[target_feature(enable = "avx2,fma")]
            fn eight() {
                check_sums::<std::arch::x86_64::__m256>();
            }
            #[target_feature(enable = "avx512f")]
            fn sixteen() {
                check_sums::<std::arch::x86_64::__m512>();
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                // SAFETY: just asked.
                unsafe { eight() }
            }
            if is_x86_feature_detected!("avx512f") {
                // SAFETY: as above.
                unsafe { sixteen() }
            }
        }
    }

    #[test]
    fn products_equal_three_loops() {
        for (rows, columns, width) in [(1, 1, 16), (5, 7, 32), (4, 32, 48), (11, 3, 64), (3, 1, 16)]
        {
            check(rows, columns, width);
        }
    }
}
