//! A row-major matrix and the one matrix product everything is made of.

#[cfg(target_arch = "x86_64")]
mod tiles;

use std::sync::atomic::{AtomicBool, Ordering};

use crate::awake::each;
use crate::real::Real;
use crate::simd::{Simd, chosen, gemm_fn};

/// Row-major dense matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Mat<R> {
    /// Entries, row by row; `rows * cols` of them.
    pub data: Vec<R>,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
}

impl<R: Real> Mat<R> {
    /// All zero.
    #[must_use]
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Self { data: vec![R::ZERO; rows * cols], rows, cols }
    }

    /// From entries, row by row.
    ///
    /// # Panics
    /// If the number of entries is not `rows * cols`.
    #[must_use]
    pub fn from_vec(data: Vec<R>, rows: usize, cols: usize) -> Self {
        assert_eq!(data.len(), rows * cols, "entries do not fill the matrix");
        Self { data, rows, cols }
    }

    /// Entry by entry.
    #[must_use]
    pub fn from_fn(rows: usize, cols: usize, f: impl Fn(usize, usize) -> R) -> Self {
        let data = (0..rows * cols).map(|k| f(k / cols, k % cols)).collect();
        Self { data, rows, cols }
    }

    /// Row `i`.
    #[must_use]
    pub fn row(&self, i: usize) -> &[R] {
        &self.data[i * self.cols..(i + 1) * self.cols]
    }

    /// Row `i`, to write to.
    pub fn row_mut(&mut self, i: usize) -> &mut [R] {
        &mut self.data[i * self.cols..(i + 1) * self.cols]
    }

    /// Whole rows, evenly spread, that hold about `entries` entries; all of them when there are no more.
    pub fn sample(&self, entries: usize) -> impl Iterator<Item = &[R]> {
        (0..self.rows).step_by(self.data.len().div_ceil(entries).max(1)).map(|i| self.row(i))
    }

    /// The transposed matrix.
    #[must_use]
    pub fn transposed(&self) -> Self {
        const TILE: usize = 32;
        let mut out = Self::zeros(self.cols, self.rows);
        for i0 in (0..self.rows).step_by(TILE) {
            for j0 in (0..self.cols).step_by(TILE) {
                for i in i0..(i0 + TILE).min(self.rows) {
                    for j in j0..(j0 + TILE).min(self.cols) {
                        out.data[j * self.rows + i] = self.data[i * self.cols + j];
                    }
                }
            }
        }
        out
    }

    /// The same numbers in another precision.
    #[must_use]
    pub fn cast<S: Real>(&self) -> Mat<S> {
        Mat { data: self.data.iter().map(|x| S::from_f64(x.to_f64())).collect(), rows: self.rows, cols: self.cols }
    }

    /// A view of the whole matrix.
    #[must_use]
    pub fn view(&self) -> View<'_, R> {
        View::of(&self.data, self.rows, self.cols, self.cols)
    }

    /// A view of the first `cols` columns.
    #[must_use]
    pub fn left_cols(&self, cols: usize) -> View<'_, R> {
        debug_assert!(cols <= self.cols);
        View { cols, ..self.view() }
    }
}

/// A strided window on a matrix.
#[derive(Debug, Clone, Copy)]
pub struct View<'a, R> {
    data: &'a [R],
    rows: usize,
    cols: usize,
    row_stride: usize,
    col_stride: usize,
}

impl<'a, R: Real> View<'a, R> {
    /// A window on rows that are `pitch` apart.
    #[must_use]
    pub fn of(data: &'a [R], rows: usize, cols: usize, pitch: usize) -> Self {
        Self { data, rows, cols, row_stride: pitch, col_stride: 1 }
    }

    /// Row `i` of a view whose columns are contiguous.
    #[must_use]
    pub fn row(&self, i: usize) -> &[R] {
        debug_assert!(self.col_stride == 1 && i < self.rows);
        &self.data[i * self.row_stride..][..self.cols]
    }

    /// Number of columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.cols
    }

    /// Rows and columns exchanged; nothing is copied.
    #[must_use]
    pub fn t(self) -> Self {
        Self { rows: self.cols, cols: self.rows, row_stride: self.col_stride, col_stride: self.row_stride, ..self }
    }

    /// Rows `start .. start + rows`.
    #[must_use]
    pub fn rows(self, start: usize, rows: usize) -> Self {
        debug_assert!(start + rows <= self.rows);
        Self { data: &self.data[start * self.row_stride..], rows, ..self }
    }

    /// Columns `start .. start + cols`.
    #[must_use]
    pub fn cols(self, start: usize, cols: usize) -> Self {
        self.t().rows(start, cols).t()
    }
}

/// `dst <- alpha * lhs * rhs` (added to `dst` when `add`), `dst` contiguous row-major.
pub fn gemm_into<R: Real>(dst: &mut [R], lhs: View<R>, rhs: View<R>, alpha: f64, add: bool) {
    assert_eq!(dst.len(), lhs.rows * rhs.cols, "the destination does not fit the product");
    // SAFETY: a contiguous matrix of that shape was just seen to fit.
    unsafe { gemm_at(Pointer(dst.as_mut_ptr()), rhs.cols, lhs, rhs, alpha, add) }
}

/// [`gemm_into`] for rows that are `pitch` apart, as many as `dst` holds; what lies between them stays.
pub fn gemm_into_lines<R: Real>(dst: &mut [R], pitch: usize, lhs: View<R>, rhs: View<R>) {
    assert!(rhs.cols <= pitch && dst.len() == lhs.rows * pitch, "the destination does not fit the product");
    // SAFETY: rows of that pitch were just seen to fit.
    unsafe { gemm_at(Pointer(dst.as_mut_ptr()), pitch, lhs, rhs, 1.0, false) }
}

/// Where a part of a matrix begins.
#[derive(Clone, Copy)]
struct Pointer<R>(*mut R);

// SAFETY: `product` gives each task a part of its own.
unsafe impl<R> Send for Pointer<R> {}
unsafe impl<R> Sync for Pointer<R> {}

impl<R> Pointer<R> {
    fn behind(self, entries: usize) -> Self {
        Self(self.0.wrapping_add(entries))
    }
}

/// [`gemm_into`] for a part of a matrix whose rows are `stride` apart.
///
/// # Safety
/// `dst` has to point to a matrix of the product's shape and that stride which nothing else refers to.
unsafe fn gemm_at<R: Real>(dst: Pointer<R>, stride: usize, lhs: View<R>, rhs: View<R>, alpha: f64, add: bool) {
    let (m, n, k) = (lhs.rows, rhs.cols, lhs.cols);
    assert_eq!(k, rhs.rows, "inner dimensions differ");
    if m == 0 || n == 0 {
        return;
    }
    if k == 0 {
        for i in 0..if add { 0 } else { m } {
            // SAFETY: the caller's promise.
            unsafe { std::slice::from_raw_parts_mut(dst.0.wrapping_add(i * stride), n).fill(R::ZERO) };
        }
        return;
    }
    let last = |v: &View<R>| (v.rows - 1) * v.row_stride + (v.cols - 1) * v.col_stride;
    assert!(last(&lhs) < lhs.data.len() && last(&rhs) < rhs.data.len(), "a view leaves its data");
    #[cfg(target_arch = "x86_64")]
    if chosen() == Simd::Avx512 {
        // SAFETY: the features are present, no side is 0, the views lie inside their data (asserted above), and the caller's promise for dst.
        return unsafe { tiles::gemm(dst, stride, lhs, rhs, R::from_f64(alpha), add) };
    }
    // SAFETY: the caller's promise for dst; the farthest entry of either view lies inside its slice (asserted above).
    unsafe {
        gemm_fn::<R>()(
            m,
            n,
            k,
            dst.0,
            1,
            stride as isize,
            add,
            lhs.data.as_ptr(),
            lhs.col_stride as isize,
            lhs.row_stride as isize,
            rhs.data.as_ptr(),
            rhs.col_stride as isize,
            rhs.row_stride as isize,
            R::ONE,
            R::from_f64(alpha),
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// Rows a parallel task works on. A function of the number of rows only, so that sums do not depend on the
/// number of threads; at most 32 tasks of at least 56 rows, which a sweep takes in groups of eight.
#[must_use]
pub fn chunk_rows(rows: usize) -> usize {
    rows.div_ceil(32).max(56).next_multiple_of(8)
}

/// Rows or columns of a product that are computed at once. Where the order of a sum inside depends on the size of a part, a function of their
/// number alone; elsewhere all of them, or two parts a thread.
fn part_of(len: usize, parallel: bool) -> usize {
    if chosen() != Simd::Avx512 {
        len.div_ceil(8).clamp(64, 256).next_multiple_of(16)
    } else if parallel {
        len.div_ceil(2 * rayon::current_num_threads()).next_multiple_of(32)
    } else {
        len
    }
}

/// `dst <- alpha * lhs * rhs` (or added), over the threads of the current rayon pool when `parallel`. The longer side is cut; no bit
/// depends on the number of threads.
pub fn product<R: Real>(dst: &mut Mat<R>, lhs: View<R>, rhs: View<R>, alpha: f64, add: bool, parallel: bool) {
    assert_eq!((dst.rows, dst.cols), (lhs.rows, rhs.cols), "the destination does not fit the product");
    product_until(&mut dst.data, lhs, rhs, (alpha, add), parallel, &AtomicBool::new(false));
}

/// [`product`] into a contiguous matrix, `factors` being alpha and whether to add; no part of it is begun once `cancel` is set.
pub fn product_until<R: Real>(
    dst: &mut [R],
    lhs: View<R>,
    rhs: View<R>,
    factors: (f64, bool),
    parallel: bool,
    cancel: &AtomicBool,
) {
    let (rows, cols) = (lhs.rows, rhs.cols);
    assert_eq!(dst.len(), rows * cols, "the destination does not fit the product");
    let whole = Pointer(dst.as_mut_ptr());
    let (alpha, add) = factors;
    let part = part_of(rows.max(cols), parallel).max(1);
    each(0..rows.max(cols).div_ceil(part), parallel, |c| {
        if cancel.load(Ordering::Relaxed) {
            return;
        }
        let at = c * part;
        // SAFETY: rows or columns `at .. at + part` are this task's own, inside dst.
        unsafe {
            if rows >= cols {
                gemm_at(whole.behind(at * cols), cols, lhs.rows(at, part.min(rows - at)), rhs, alpha, add);
            } else {
                gemm_at(whole.behind(at), cols, lhs, rhs.cols(at, part.min(cols - at)), alpha, add);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_whole_rows_evenly_spread() {
        let m = Mat::from_fn(10, 4, |i, j| (4 * i + j) as f64);
        let rows = |entries| m.sample(entries).map(|row| row[0] as usize / 4).collect::<Vec<_>>();
        assert_eq!(rows(12), [0, 4, 8]);
        assert_eq!(rows(20), [0, 2, 4, 6, 8]);
        assert_eq!(rows(40), (0..10).collect::<Vec<_>>());
        assert_eq!(Mat::<f32>::zeros(0, 4).sample(5).count(), 0);
    }

    #[test]
    fn threads_do_not_change_a_product() {
        let number = |i: usize, j: usize, by: usize| ((i * 7919 + j * by) % 1009) as f32 / 1009.0 - 0.5;
        for (m, n, k) in
            [(700, 90, 300), (66, 900, 500), (301, 299, 67), (700, 700, 700), (20, 577, 577), (49, 49, 1000)]
        {
            let (a, b) = (Mat::from_fn(m, k, |i, j| number(i, j, 31)), Mat::from_fn(n, k, |i, j| number(i, j, 17)));
            let mut alone = Mat::from_fn(m, n, |_, _| 1.0);
            product(&mut alone, a.view(), b.view().t(), 0.5, true, false);
            let plain: f64 = (0..k).map(|l| f64::from(a.row(m / 2)[l]) * f64::from(b.row(n / 3)[l])).sum();
            assert!((f64::from(alone.row(m / 2)[n / 3]) - 1.0 - 0.5 * plain).abs() < 1e-4);
            for threads in [1, 2, 5] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
                let mut together = Mat::from_fn(m, n, |_, _| 1.0);
                pool.install(|| product(&mut together, a.view(), b.view().t(), 0.5, true, true));
                assert_eq!(together, alone, "{threads} threads");
            }
        }
    }

    #[test]
    fn an_empty_product_is_empty() {
        for (m, n, k) in [(0, 0, 0), (0, 5, 3), (5, 0, 3), (5, 4, 0)] {
            for parallel in [false, true] {
                let mut out = Mat::from_fn(m, n, |_, _| 1.0f32);
                product(&mut out, Mat::zeros(m, k).view(), Mat::zeros(k, n).view(), 1.0, false, parallel);
                assert!(out.data.iter().all(|&x| x == 0.0));
            }
        }
    }
}
