//! A matrix whose rows begin at cache lines, for what is read again and again: a load of a whole vector then touches one line, and a product
//! takes the matrix as it lies, where it would first pack a copy.

use crate::mat::{Mat, View};
use crate::real::Real;

/// Bytes of a cache line, and of the widest vector.
const LINE: usize = 64;

/// Row-major: in each row `cols` numbers, and as many more as fill up the pitch, which are zero until somebody writes them.
#[derive(Debug)]
pub struct Padded<R> {
    data: Vec<R>,
    /// Where the first line begins in `data`.
    begin: usize,
    /// Number of rows.
    pub rows: usize,
    /// Number of columns.
    pub cols: usize,
}

impl<R: Real> Padded<R> {
    const PER_LINE: usize = LINE / size_of::<R>();

    /// All zero.
    #[must_use]
    pub fn zeros(rows: usize, cols: usize) -> Self {
        let data = vec![R::ZERO; rows * Self::pitch_of(cols) + Self::PER_LINE - 1];
        // Where it cannot be told, nothing is aligned and all is right.
        let begin = data.as_ptr().align_offset(LINE).min(Self::PER_LINE - 1);
        Self { data, begin, rows, cols }
    }

    /// The same numbers.
    #[must_use]
    pub fn from_mat(mat: &Mat<R>) -> Self {
        Self::of_rows(mat.rows, mat.cols, |i, row| row.extend_from_slice(mat.row(i)))
    }

    /// From its rows, each added by `add`; nothing is written twice.
    fn of_rows(rows: usize, cols: usize, add: impl Fn(usize, &mut Vec<R>)) -> Self {
        let pitch = Self::pitch_of(cols);
        let mut data: Vec<R> = Vec::with_capacity(rows * pitch + Self::PER_LINE - 1);
        let begin = data.as_ptr().align_offset(LINE).min(Self::PER_LINE - 1);
        data.resize(begin, R::ZERO);
        for i in 0..rows {
            add(i, &mut data);
            data.resize(begin + (i + 1) * pitch, R::ZERO);
        }
        Self { data, begin, rows, cols }
    }

    /// Take these numbers.
    ///
    /// # Panics
    /// If the shapes differ.
    pub fn copy_from(&mut self, mat: &Mat<R>) {
        assert_eq!((self.rows, self.cols), (mat.rows, mat.cols), "the shapes differ");
        for i in 0..self.rows {
            self.row_mut(i).copy_from_slice(mat.row(i));
        }
    }

    /// The same numbers without what fills up the pitch.
    #[must_use]
    pub fn to_mat(&self) -> Mat<R> {
        let data = (0..self.rows).flat_map(|i| self.row(i)).copied().collect();
        Mat::from_vec(data, self.rows, self.cols)
    }

    /// Distance of two rows of so many columns: whole lines, an odd number of them, so that one column of many rows does not fall into a few
    /// sets of the cache.
    #[must_use]
    pub fn pitch_of(cols: usize) -> usize {
        (cols.div_ceil(Self::PER_LINE) | 1) * Self::PER_LINE
    }

    /// Distance of two rows.
    #[must_use]
    pub fn pitch(&self) -> usize {
        Self::pitch_of(self.cols)
    }

    /// All rows with what fills up their pitch.
    #[must_use]
    pub fn lines(&self) -> &[R] {
        &self.data[self.begin..][..self.rows * self.pitch()]
    }

    /// The same, to write to.
    pub fn lines_mut(&mut self) -> &mut [R] {
        let len = self.rows * self.pitch();
        &mut self.data[self.begin..][..len]
    }

    /// Row `i`.
    #[must_use]
    pub fn row(&self, i: usize) -> &[R] {
        &self.lines()[i * self.pitch()..][..self.cols]
    }

    /// Row `i`, to write to.
    pub fn row_mut(&mut self, i: usize) -> &mut [R] {
        let (pitch, cols) = (self.pitch(), self.cols);
        &mut self.lines_mut()[i * pitch..][..cols]
    }

    /// A view of its columns.
    #[must_use]
    pub fn view(&self) -> View<'_, R> {
        View::of(self.lines(), self.rows, self.cols, self.pitch())
    }

    /// The same numbers in another precision.
    #[must_use]
    pub fn cast<S: Real>(&self) -> Padded<S> {
        Padded::of_rows(self.rows, self.cols, |i, row| row.extend(self.row(i).iter().map(|x| S::from_f64(x.to_f64()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_begin_at_lines_whatever_is_done_with_them() {
        for (rows, cols) in [(0, 3), (1, 1), (5, 15), (5, 16), (5, 17), (3, 33), (7, 1854)] {
            let mat = Mat::from_fn(rows, cols, |i, j| (i * 100 + j) as f32);
            let padded = Padded::from_mat(&mat);
            for at in [padded.cast::<f64>().cast::<f32>(), padded] {
                assert!(at.pitch() >= cols && at.pitch() % 32 == 16);
                assert_eq!(at.to_mat(), mat);
                assert_eq!(at.view().rows(0, rows).width(), cols);
                for i in 0..rows {
                    assert_eq!(at.row(i).as_ptr().align_offset(LINE), 0);
                    assert_eq!(at.view().row(i), mat.row(i));
                    assert!(at.lines()[i * at.pitch() + cols..(i + 1) * at.pitch()].iter().all(|&x| x == 0.0));
                }
            }
        }
    }

    #[test]
    fn float64_fills_odd_lines_too() {
        assert_eq!([1, 8, 9, 16, 1854].map(Padded::<f64>::pitch_of), [8, 8, 24, 24, 1864]);
    }
}
