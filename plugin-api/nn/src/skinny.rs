//! Products of few rows with a large matrix: what a decoder computes for each token.
//!
//! A step of a decoding multiplies 1 to [`ROWS`] rows with every weight of the model once. Most of what that takes is
//! reading the weights, so the kernels go over them once, in whole vectors and in the order in which they lie:
//! along the rows of `[out, in]`, and along pieces of rows of `[in, out]`. Each element of the result is summed
//! in the same order whatever the number of rows, so that a text does not depend on what is written beside it.

use tch::{Device, Kind, TchError, Tensor};

use crate::bridge::parallel_for;
use crate::matmul::Vector;
use crate::simd::{dispatch, isa};

/// The most rows that are few.
pub(crate) const ROWS: i64 = 32;

/// Multiplications for which a second thread is woken.
const GRAIN: usize = 1 << 15;

/// Columns of `[in, out]` that a thread takes at a time.
const COLUMNS: usize = 64;

/// Whether the kernels take this product: float32 on the CPU, few rows, weights in one of the two layouts.
pub(crate) fn serves(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> bool {
    let plain = |x: &Tensor| x.device() == Device::Cpu && x.kind() == Kind::Float;
    let &[width, depth] = weight.size().as_slice() else {
        return false;
    };
    let &[down, across] = weight.stride().as_slice() else {
        return false;
    };
    x.dim() == 2
        && (1..=ROWS).contains(&x.size()[0])
        && x.size()[1] == depth
        && depth > 0
        && plain(x)
        && plain(weight)
        && x.stride()[1] == 1
        && ((across == 1 && down >= depth) || (down == 1 && across >= width))
        && bias.is_none_or(|bias| plain(bias) && bias.size() == [width] && bias.is_contiguous())
}

/// `x` `[rows, in]` times the transpose of `weight` `[out, in]`, plus `bias`: `[rows, out]`. For what [`serves`]
/// says; not recorded for a backward pass.
pub(crate) fn linear(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
) -> Result<Tensor, TchError> {
    let [rows, depth, width] = [x.size()[0], x.size()[1], weight.size()[0]].map(|n| n as usize);
    let output = Tensor::f_empty([rows as i64, width as i64], (Kind::Float, Device::Cpu))?;
    let by_rows = weight.stride()[1] == 1;
    let job = Job {
        x: x.data_ptr().cast(),
        x_stride: x.stride()[0] as usize,
        weight: weight.data_ptr().cast(),
        stride: weight.stride()[usize::from(!by_rows)] as usize,
        bias: bias.map_or(std::ptr::null(), |bias| bias.data_ptr().cast()),
        out: output.data_ptr().cast(),
        rows,
        depth,
        width,
    };
    let grain = GRAIN / (rows * depth).max(1);
    if by_rows {
        let block = 16;
        parallel_for(
            width.div_ceil(block),
            grain.div_ceil(block),
            |begin, end| {
                along_rows(&job, begin * block, (end * block).min(width));
            },
        );
    } else {
        let block = COLUMNS;
        parallel_for(
            width.div_ceil(block),
            grain.div_ceil(block),
            |begin, end| {
                along_columns(&job, begin * block, (end * block).min(width));
            },
        );
    }
    Ok(output)
}

/// A product whose shapes have been checked.
struct Job {
    /// `[rows, depth]`, rows `x_stride` apart.
    x: *const f32,
    x_stride: usize,
    /// `[width, depth]` or `[depth, width]`, rows `stride` apart.
    weight: *const f32,
    stride: usize,
    /// `[width]`, or null.
    bias: *const f32,
    /// `[rows, width]`.
    out: *mut f32,
    rows: usize,
    depth: usize,
    width: usize,
}

// SAFETY: threads write disjoint columns of `out` and read the rest.
unsafe impl Send for Job {}
// SAFETY: as above.
unsafe impl Sync for Job {}

impl Job {
    /// # Safety
    /// `column` is one of the result's.
    #[inline(always)]
    unsafe fn bias(&self, column: usize) -> f32 {
        if self.bias.is_null() {
            0.0
        } else {
            // SAFETY: the caller's.
            unsafe { *self.bias.add(column) }
        }
    }
}

dispatch! {
    fn along_rows(job: &Job, begin: usize, end: usize) = along_rows_body
}

dispatch! {
    fn along_columns(job: &Job, begin: usize, end: usize) = along_columns_body
}

/// Columns `begin..end` of the result, the weight being `[width, depth]`.
#[inline(always)]
fn along_rows_body<const ISA: u8>(job: &Job, begin: usize, end: usize) {
    // SAFETY: the columns are the result's, and the caller's function has the instructions that ISA stands for.
    unsafe {
        match ISA {
            #[cfg(target_arch = "x86_64")]
            isa::AVX512 => dots::<std::arch::x86_64::__m512>(job, begin, end),
            #[cfg(target_arch = "x86_64")]
            isa::AVX2 => dots::<std::arch::x86_64::__m256>(job, begin, end),
            _ => dots::<[f32; 4]>(job, begin, end),
        }
    }
}

/// The same, the weight being `[depth, width]`.
#[inline(always)]
fn along_columns_body<const ISA: u8>(job: &Job, begin: usize, end: usize) {
    // SAFETY: as above.
    unsafe {
        match ISA {
            #[cfg(target_arch = "x86_64")]
            isa::AVX512 => sums::<std::arch::x86_64::__m512, 4>(job, begin, end),
            #[cfg(target_arch = "x86_64")]
            isa::AVX2 => sums::<std::arch::x86_64::__m256, 2>(job, begin, end),
            _ => sums::<[f32; 4], 2>(job, begin, end),
        }
    }
}

/// Rows, and columns of dots, that a tile holds.
const TILE: usize = 4;

/// Tiles of rows.
const TILES: usize = ROWS as usize / TILE;

/// Each column of the result is a row of the weight times the rows of `x`, four of both at a time. With many rows the
/// weight is taken in pieces that stay near while one tile after the other needs them.
///
/// # Safety
/// `begin..end` are columns of the result, and the function has the instructions of `V`.
#[inline(always)]
unsafe fn dots<V: Vector>(job: &Job, begin: usize, end: usize) {
    /// Elements of a row that stay near.
    const PIECE: usize = 512;
    let (rows, whole) = (job.rows, job.depth / V::WIDTH * V::WIDTH);
    for column in (begin..end).step_by(TILE) {
        // at the end the last column stands in for those that are missing
        let columns = std::array::from_fn(|c| (column + c).min(end - 1));
        // SAFETY: the caller's.
        unsafe {
            let none = [[V::splat(0.0); TILE]; TILE];
            if whole <= PIECE || rows <= TILE {
                for row in (0..rows).step_by(TILE) {
                    let tile = dot_tiles::<V>(job, row, columns, [0, whole], none);
                    job.put_dots(row, [column, end], whole, V::sums(tile));
                }
                continue;
            }
            let mut tiles = [none; TILES];
            for from in (0..whole).step_by(PIECE) {
                let range = [from, (from + PIECE).min(whole)];
                for (row, tile) in (0..rows).step_by(TILE).zip(&mut tiles) {
                    *tile = dot_tiles::<V>(job, row, columns, range, *tile);
                }
            }
            for (row, tile) in (0..rows).step_by(TILE).zip(tiles) {
                job.put_dots(row, [column, end], whole, V::sums(tile));
            }
        }
    }
}

impl Job {
    /// Puts products whose first `whole` elements are summed up into their places, as far as there are rows and columns.
    ///
    /// # Safety
    /// The first of them are of the result, and the weight is `[width, depth]`.
    #[inline(always)]
    unsafe fn put_dots(
        &self,
        row: usize,
        [column, end]: [usize; 2],
        whole: usize,
        mut sums: [[f32; TILE]; TILE],
    ) {
        let there = TILE.min(end - column);
        for (row, sums) in (row..self.rows).zip(&mut sums) {
            // SAFETY: the caller's.
            unsafe {
                let x = self.x.add(row * self.x_stride);
                for (column, sum) in (column..end).zip(sums.iter_mut()) {
                    let weight = self.weight.add(column * self.stride);
                    for at in whole..self.depth {
                        *sum += *x.add(at) * *weight.add(at);
                    }
                    *sum += self.bias(column);
                }
                let out = self.out.add(row * self.width + column);
                std::ptr::copy_nonoverlapping(sums.as_ptr(), out, there);
            }
        }
    }
}

/// Adds the products of elements `from..to` of the rows from `row` on, four at most, and four rows of the weight to
/// their sums.
///
/// # Safety
/// These exist, the elements fill vectors, and the function has the instructions of `V`.
#[inline(always)]
unsafe fn dot_tiles<V: Vector>(
    job: &Job,
    row: usize,
    columns: [usize; TILE],
    range: [usize; 2],
    sums: [[V; TILE]; TILE],
) -> [[V; TILE]; TILE] {
    // SAFETY: the caller's.
    unsafe {
        match job.rows - row {
            1 => dot_tile::<V, 1>(job, row, columns, range, sums),
            2 => dot_tile::<V, 2>(job, row, columns, range, sums),
            3 => dot_tile::<V, 3>(job, row, columns, range, sums),
            _ => dot_tile::<V, TILE>(job, row, columns, range, sums),
        }
    }
}

/// The same for `R` rows.
///
/// # Safety
/// As [`dot_tiles`].
#[inline(always)]
unsafe fn dot_tile<V: Vector, const R: usize>(
    job: &Job,
    row: usize,
    columns: [usize; TILE],
    [from, to]: [usize; 2],
    mut sums: [[V; TILE]; TILE],
) -> [[V; TILE]; TILE] {
    // SAFETY: the caller's.
    unsafe {
        let x: [*const f32; R] = std::array::from_fn(|r| job.x.add((row + r) * job.x_stride));
        let w = columns.map(|column| job.weight.add(column * job.stride));
        let next = TILE * job.stride; // where the next tile's weights lie
        for at in (from..to).step_by(V::WIDTH) {
            let mut weights = [V::splat(0.0); TILE];
            for (weight, w) in weights.iter_mut().zip(w) {
                *weight = V::load(w.add(at));
            }
            // a single row leaves the processor time to do it by itself
            if R > 1 && row == 0 {
                for w in w {
                    V::prefetch(w.wrapping_add(next + at));
                }
            }
            for r in 0..R {
                let x = V::load(x[r].add(at));
                for (sum, weight) in sums[r].iter_mut().zip(weights) {
                    *sum = x.mul_add(weight, *sum);
                }
            }
        }
        sums
    }
}

/// Columns of the result, a few vectors at a time, are sums of pieces of the weight's rows.
///
/// # Safety
/// As [`dots`].
#[inline(always)]
unsafe fn sums<V: Vector, const C: usize>(job: &Job, begin: usize, end: usize) {
    /// Rows of the weight that stay near.
    const PIECE: usize = 64;
    let piece = if job.rows > TILE { PIECE } else { job.depth };
    let mut column = begin;
    // SAFETY: the caller's.
    unsafe {
        while column + C * V::WIDTH <= end {
            for from in (0..job.depth).step_by(piece) {
                let range = [from, (from + piece).min(job.depth)];
                for row in (0..job.rows).step_by(TILE) {
                    match job.rows - row {
                        1 => sum_tile::<V, 1, C>(job, row, column, range),
                        2 => sum_tile::<V, 2, C>(job, row, column, range),
                        3 => sum_tile::<V, 3, C>(job, row, column, range),
                        _ => sum_tile::<V, TILE, C>(job, row, column, range),
                    }
                }
            }
            column += C * V::WIDTH;
        }
        for column in column..end {
            for row in 0..job.rows {
                let x = job.x.add(row * job.x_stride);
                let mut sum = job.bias(column);
                for at in 0..job.depth {
                    sum += *x.add(at) * *job.weight.add(at * job.stride + column);
                }
                *job.out.add(row * job.width + column) = sum;
            }
        }
    }
}

/// Adds rows `from..to` of `C` vectors of columns of the weight, times elements of `R` rows, to the result, which
/// begins with the bias.
///
/// # Safety
/// These exist, and the function has the instructions of `V`.
#[inline(always)]
unsafe fn sum_tile<V: Vector, const R: usize, const C: usize>(
    job: &Job,
    row: usize,
    column: usize,
    [from, to]: [usize; 2],
) {
    /// How many rows ahead weights are brought near.
    const AHEAD: usize = 16;
    // SAFETY: the caller's.
    unsafe {
        let x: [*const f32; R] = std::array::from_fn(|r| job.x.add((row + r) * job.x_stride));
        let out: [*mut f32; R] =
            std::array::from_fn(|r| job.out.add((row + r) * job.width + column));
        let mut sums = [[V::splat(0.0); C]; R];
        for (sums, out) in sums.iter_mut().zip(out) {
            for (c, sum) in sums.iter_mut().enumerate() {
                let at = c * V::WIDTH;
                if from > 0 {
                    *sum = V::load(out.add(at));
                } else if !job.bias.is_null() {
                    *sum = V::load(job.bias.add(column + at));
                }
            }
        }
        let mut weight = job.weight.add(from * job.stride + column);
        for at in from..to {
            let mut weights = [V::splat(0.0); C];
            for (c, next) in weights.iter_mut().enumerate() {
                *next = V::load(weight.add(c * V::WIDTH));
            }
            if row == 0 {
                for c in 0..C {
                    V::prefetch(weight.wrapping_add(AHEAD * job.stride + c * V::WIDTH));
                }
            }
            for r in 0..R {
                let x = V::splat(*x[r].add(at));
                for (sum, weight) in sums[r].iter_mut().zip(weights) {
                    *sum = x.mul_add(weight, *sum);
                }
            }
            weight = weight.add(job.stride);
        }
        for (sums, out) in sums.iter().zip(out) {
            for (c, sum) in sums.iter().enumerate() {
                sum.store(out.add(c * V::WIDTH));
            }
        }
    }
}

#[cfg(test)]
#[path = "../tests/draws/mod.rs"]
mod draws;

#[cfg(test)]
mod tests {
    use super::*;

    fn random(shape: &[i64]) -> Tensor {
        draws::draw(shape, Kind::Float)
    }

    /// Both layouts, and the code of each instruction set, against libtorch in float64.
    #[test]
    fn products_equal_libtorch() {
        for (depth, width) in [(7, 3), (64, 64), (100, 131), (1030, 70), (48, 257)] {
            for rows in [1, 2, 3, 4, 5, 9, 16, 23, 32] {
                let (wide, weight, bias) = (
                    random(&[rows, depth + 5]),
                    random(&[width, depth]),
                    random(&[width]),
                );
                let x = wide.narrow(1, 5, depth);
                let turned = weight.tr().contiguous();
                for (weight, bias) in [
                    (&weight, Some(&bias)),
                    (&weight, None),
                    (&turned.tr(), Some(&bias)),
                    (&turned.tr(), None),
                ] {
                    assert!(serves(&x, weight, bias), "{rows} of {depth} to {width}");
                    let found = linear(&x, weight, bias).expect("a product");
                    let expected = x.to_kind(Kind::Double).linear(
                        &weight.to_kind(Kind::Double),
                        bias.map(|bias| bias.to_kind(Kind::Double)),
                    );
                    let difference = (found - &expected).abs().max().double_value(&[]);
                    let scale = expected.abs().max().double_value(&[]);
                    assert!(
                        difference < 2e-6 * scale.max(1.0),
                        "{rows} rows of {depth} to {width}: {difference:e} of {scale}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_row_comes_out_the_same_whatever_lies_beside_it() {
        let (x, weight) = (random(&[32, 1030]), random(&[75, 1030]));
        let turned = weight.tr().contiguous().tr();
        for weight in [&weight, &turned] {
            let all = linear(&x, weight, None).expect("a product");
            for rows in [1, 3, 6, 16, 31] {
                let some = linear(&x.narrow(0, 0, rows), weight, None).expect("a product");
                assert_eq!(some, all.narrow(0, 0, rows), "{rows} rows");
            }
        }
    }
}
