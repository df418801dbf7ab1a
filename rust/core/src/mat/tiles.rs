//! The matrix product in AVX-512: tiles of the destination that stay in registers, sums cut so that what they read stays in cache. Its plain
//! twin is the gemm crate's.
//!
//! Our own, because the long side of an outer step's products is read once and used some 70 times only: where it lies is fetched, line by line,
//! during the products before it, as the processor does not foresee reading that jumps from row to row. After Goto & van de Geijn (2008),
//! <https://doi.org/10.1145/1356052.1356053>.

use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
use std::cell::Cell;

use super::{Pointer, View};
use crate::real::Real;

/// Rows of a tile: two vectors a row, two of the right side and one number of the left are 31 of the 32 registers.
const ROWS: usize = 14;
/// Vectors of a row of a tile.
const WIDTH: usize = 2;
/// Terms of a sum that are added up in registers.
const TERMS: usize = 384;
/// Bytes of the left side that stay in a core's own cache while the right side passes by.
const NEAR: usize = 720 << 10;

/// 64 bytes that begin at a multiple of 64.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line {
    _bytes: [u8; 64],
}

thread_local! {
    /// Copies of what a product of this thread works on. Kept, so that no step of a solve allocates.
    static COPIES: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// Columns of a tile.
const fn columns<R: Real>() -> usize {
    WIDTH * R::LANES
}

/// Where a tile is and what it is added up from.
#[derive(Clone, Copy)]
struct Tile<R> {
    /// Its entries, in rows that are `stride` apart.
    dst: Pointer<R>,
    stride: usize,
    /// Columns of either vector.
    filled: [usize; WIDTH],
    /// Of the sum.
    terms: usize,
    /// The terms' rows of the left side, which are as many numbers as the tile has rows, one after the other.
    left: *const R,
    /// The terms' rows of the right side, one after the other.
    right: *mut R,
    /// Where those are taken from first, and how far apart they are there.
    given: Option<(*const R, usize)>,
    alpha: R,
    add: bool,
    /// What is fetched, a line every other term, so far apart.
    fetched: (*const R, usize),
    /// The tile that comes next, fetched too.
    next: Pointer<R>,
}

/// The tile's `N` rows; with `COPY`, the right side is copied on the way, while the products hide how long it takes to come.
///
/// # Safety
/// AVX-512F has to be there, and the tile and what it is added up from inside matrices, the tile in one that nothing else refers to.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn tile<R: Real, const N: usize, const COPY: bool>(tile: Tile<R>) {
    let Tile { dst, stride, filled, terms, left, right, given, alpha, add, fetched, next } = tile;
    let at = |dst: Pointer<R>, i: usize, h: usize| dst.0.wrapping_add(i * stride + h * R::LANES);
    let ((from, pitch), (fetched, apart)) = (given.unwrap_or((right, 0)), fetched);
    // SAFETY: the caller's promise; nothing is read where it is only fetched.
    unsafe {
        let mut sums = [[R::splat(R::ZERO); WIDTH]; N];
        // Not a closure: the sums have to stay in registers.
        macro_rules! term {
            ($l:expr) => {
                let copied = right.add($l * columns::<R>());
                let lanes: [_; WIDTH] = std::array::from_fn(|h| {
                    if COPY {
                        let lanes = R::load(from.add($l * pitch + h * R::LANES), filled[h]);
                        R::store(copied.add(h * R::LANES), lanes, R::LANES);
                        lanes
                    } else {
                        R::load(copied.add(h * R::LANES), R::LANES)
                    }
                });
                for i in 0..N {
                    let x = R::splat(*left.add($l * N + i));
                    for h in 0..WIDTH {
                        sums[i][h] = R::times_plus(x, lanes[h], sums[i][h]);
                    }
                }
            };
        }
        for pair in 0..terms / 2 {
            _mm_prefetch::<_MM_HINT_T0>(fetched.wrapping_add(pair * apart).cast());
            if pair < N {
                for h in 0..WIDTH {
                    _mm_prefetch::<_MM_HINT_T0>(at(next, pair, h).cast());
                }
            }
            term!(2 * pair);
            term!(2 * pair + 1);
        }
        if terms % 2 == 1 {
            term!(terms - 1);
        }
        let alpha = R::splat(alpha);
        for i in 0..N {
            for h in 0..WIDTH {
                let old = if add { R::load(at(dst, i, h), filled[h]) } else { R::splat(R::ZERO) };
                R::store(at(dst, i, h), R::times_plus(sums[i][h], alpha, old), filled[h]);
            }
        }
    }
}

/// [`tile`] of `rows` rows, at most [`ROWS`].
///
/// # Safety
/// As there.
#[target_feature(enable = "avx512f")]
unsafe fn tile_of<R: Real>(rows: usize, part: Tile<R>) {
    macro_rules! by_rows {
        ($copy:literal: $($n:literal)+) => {
            // SAFETY: the caller's promise.
            match rows { $($n => unsafe { tile::<R, $n, $copy>(part) },)+ _ => unreachable!("more rows than a tile has") }
        };
    }
    if part.given.is_some() {
        by_rows!(true: 1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    } else {
        by_rows!(false: 1 2 3 4 5 6 7 8 9 10 11 12 13 14);
    }
}

/// Copy rows of `from` into one after the other, term by term.
///
/// # Safety
/// `to` has to have room for all of it.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn copy_left<R: Real>(from: View<R>, to: *mut R) {
    let (rows, terms) = (from.rows, from.cols);
    let at = |i: usize, l: usize| from.data.as_ptr().wrapping_add(i * from.row_stride + l * from.col_stride);
    // SAFETY: the caller's promise, and what a view refers to lies inside its data.
    unsafe {
        if from.row_stride == 1 {
            for l in 0..terms {
                R::store(to.add(l * rows), R::load(at(0, l), rows.min(R::LANES)), rows.min(R::LANES));
                for i in R::LANES..rows {
                    *to.add(l * rows + i) = *at(i, l);
                }
            }
        } else {
            for i in 0..rows {
                for l in 0..terms {
                    *to.add(l * rows + i) = *at(i, l);
                }
            }
        }
    }
}

/// Copy columns of `from`, as many as a tile has or fewer, into rows of a tile's; 0 where there is none.
///
/// # Safety
/// `to` has to have room for all of it.
unsafe fn copy_right<R: Real>(from: View<R>, to: *mut R) {
    for l in 0..from.rows {
        for j in 0..columns::<R>() {
            let x = if j < from.cols { from.data[l * from.row_stride + j * from.col_stride] } else { R::ZERO };
            // SAFETY: the caller's promise.
            unsafe { to.add(l * columns::<R>() + j).write(x) };
        }
    }
}

/// Where the `k`-th of `parts` almost equal parts of `len` begins.
fn begin(k: usize, len: usize, parts: usize) -> usize {
    k * len / parts
}

/// `dst <- alpha * lhs * rhs` (added when `add`), rows of `dst` being `stride` apart. Every entry is added up in the same order, whatever part of
/// a matrix is asked for.
///
/// # Safety
/// AVX-512F has to be there, the views within their data, and `dst` a matrix of the product's shape that nothing else refers to. No side may be 0.
#[target_feature(enable = "avx512f")]
pub unsafe fn gemm<R: Real>(dst: Pointer<R>, stride: usize, lhs: View<R>, rhs: View<R>, alpha: R, add: bool) {
    let (rows, cols, terms) = (lhs.rows, rhs.cols, lhs.cols);
    let sums = terms.div_ceil(TERMS);
    let longest = terms.div_ceil(sums);
    let bands = rows.div_ceil((NEAR / (longest * size_of::<R>())).next_multiple_of(ROWS));
    let highest = rows.div_ceil(bands);
    let mut copies = COPIES.take();
    let lines = |numbers: usize| (numbers * size_of::<R>()).div_ceil(size_of::<Line>());
    let of_right = lines(longest * columns::<R>());
    copies.resize((of_right + lines(longest * highest)).max(copies.len()), Line { _bytes: [0; 64] });
    let whole = copies.as_mut_ptr();
    let (right, left): (*mut R, *mut R) = (whole.cast(), whole.wrapping_add(of_right).cast());
    let terms_of = |s: usize| (begin(s, terms, sums), begin(s + 1, terms, sums));
    let panel = |s: usize, j: usize| {
        let (from, to) = terms_of(s);
        rhs.rows(from, to - from).cols(j, columns::<R>().min(cols - j))
    };
    for s in 0..sums {
        let (from, to) = terms_of(s);
        for b in 0..bands {
            let (top, bottom) = (begin(b, rows, bands), begin(b + 1, rows, bands));
            let lhs = lhs.cols(from, to - from).rows(top, bottom - top);
            let tiles = lhs.rows.div_ceil(ROWS);
            let of_tile = |k: usize| (begin(k, lhs.rows, tiles), begin(k + 1, lhs.rows, tiles));
            for k in 0..tiles {
                let (first, end) = of_tile(k);
                // SAFETY: the copies have room for this many rows and terms.
                unsafe { copy_left(lhs.rows(first, end - first), left.add(first * lhs.cols)) };
            }
            for j in (0..cols).step_by(columns::<R>()) {
                let rhs = panel(s, j);
                let filled = std::array::from_fn(|h| rhs.cols.saturating_sub(h * R::LANES).min(R::LANES));
                if rhs.col_stride > 1 {
                    // SAFETY: the copies have room for a tile's columns of this many terms.
                    unsafe { copy_right(rhs, right) };
                }
                let next = match j + columns::<R>() {
                    next if next < cols => panel(s, next),
                    _ if b + 1 < bands => panel(s, 0),
                    _ => panel((s + 1).min(sums - 1), 0),
                };
                for k in 0..tiles {
                    let (first, end) = of_tile(k);
                    // Its lines, two a row, are shared out among the first tiles.
                    let at = k % WIDTH * R::LANES + k / WIDTH * (rhs.rows / 2) * rhs.row_stride;
                    let share = k < 2 * WIDTH && rhs.col_stride == 1;
                    let below = if k + 1 < tiles {
                        dst.behind((top + end) * stride + j)
                    } else {
                        dst.behind(top * stride + j + columns::<R>())
                    };
                    let part = Tile {
                        next: below,
                        dst: dst.behind((top + first) * stride + j),
                        stride,
                        filled,
                        terms: rhs.rows,
                        // SAFETY: it was copied there.
                        left: unsafe { left.add(first * lhs.cols) },
                        right,
                        given: (k == 0 && rhs.col_stride == 1).then_some((rhs.data.as_ptr(), rhs.row_stride)),
                        alpha,
                        add: add || s > 0,
                        fetched: if share {
                            (next.data.as_ptr().wrapping_add(at), rhs.row_stride)
                        } else {
                            (right.cast_const(), 0)
                        },
                    };
                    // SAFETY: the caller's promises.
                    unsafe { tile_of(end - first, part) };
                }
            }
        }
    }
    COPIES.set(copies);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mat::Mat;
    use crate::simd::Simd;
    use proptest::prelude::*;

    fn numbers<R: Real>(rows: usize, cols: usize, seed: usize) -> Mat<R> {
        let number = |i: usize, j: usize| ((i * 7919 + j * 104_729 + seed * 31) % 1009) as f64 / 1009.0 - 0.5;
        Mat::from_fn(rows, cols, |i, j| R::from_f64(number(i, j)))
    }

    /// `dst`, `stride` wide, after the product of rows `at.0 ..` and columns `at.1 ..` only.
    fn part<R: Real>(mut dst: Mat<R>, at: (usize, usize), lhs: View<R>, rhs: View<R>, alpha: f64, add: bool) -> Mat<R> {
        let (lhs, rhs) = (lhs.rows(at.0, lhs.rows - at.0), rhs.cols(at.1, rhs.cols - at.1));
        let to = Pointer(dst.data.as_mut_ptr()).behind(at.0 * dst.cols + at.1);
        // SAFETY: AVX-512 is there (asked by the caller), and the part is inside `dst`, which is as wide as the product or wider.
        unsafe { gemm(to, dst.cols, lhs, rhs, R::from_f64(alpha), add) };
        dst
    }

    fn is_the_product<R: Real>(
        (m, n, k): (usize, usize, usize),
        turned: (bool, bool),
        alpha: f64,
        add: bool,
        tol: f64,
    ) {
        // Two more rows and columns than are multiplied.
        let of = |rows: usize, cols: usize, turned: bool, seed| {
            if turned { numbers::<R>(cols + 2, rows + 2, seed) } else { numbers::<R>(rows + 2, cols + 2, seed) }
        };
        let (a, b) = (of(m, k, turned.0, 1), of(k, n, turned.1, 2));
        let lhs = if turned.0 { a.view().t() } else { a.view() }.rows(1, m).cols(1, k);
        let rhs = if turned.1 { b.view().t() } else { b.view() }.rows(1, k).cols(1, n);
        let at = |v: &View<R>, i: usize, j: usize| v.data[i * v.row_stride + j * v.col_stride].to_f64();
        let before = numbers::<R>(m, n + 5, 3);
        let whole = part(before.clone(), (0, 0), lhs, rhs, alpha, add);
        for i in 0..m {
            for j in 0..n + 5 {
                let old = before.row(i)[j].to_f64();
                let sum: f64 = if j < n { (0..k).map(|l| at(&lhs, i, l) * at(&rhs, l, j)).sum() } else { 0.0 };
                let want = if j < n { alpha * sum + if add { old } else { 0.0 } } else { old };
                let got = whole.row(i)[j].to_f64();
                assert!((got - want).abs() <= tol * (k as f64).max(1.0), "{got} for {want} at ({i}, {j})");
            }
        }
        // No bit of the rest changes when a part of it is left out.
        let (top, left) = (m / 3, n / 2);
        let rest = part(before, (top, left), lhs, rhs, alpha, add);
        assert!((top..m).all(|i| rest.row(i)[left..n] == whole.row(i)[left..n]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn tiles_are_the_product(
            m in 1usize..60, n in 1usize..80, k in 1usize..900, turned in any::<(bool, bool)>(), alpha in -2.0f64..2.0, add in any::<bool>(),
        ) {
            if Simd::available()[0] == Simd::Avx512 {
                is_the_product::<f32>((m, n, k), turned, alpha, add, 1e-6);
                is_the_product::<f64>((m, n, k), turned, alpha, add, 1e-15);
            }
        }
    }

    #[test]
    fn a_high_left_side_goes_by_in_bands() {
        if Simd::available()[0] == Simd::Avx512 {
            is_the_product::<f32>((1001, 37, 401), (false, false), 1.0, true, 1e-6);
            is_the_product::<f64>((501, 37, 401), (true, true), 1.0, false, 1e-15);
        }
    }
}
