//! One side of a problem: dissimilarities, double-centred with respect to the weights, dense or factored.

use std::sync::atomic::AtomicBool;

use crate::awake::each;
use crate::error::InvalidInput;
use crate::kernels::dot;
use crate::linalg::{factor_symmetric, leading_eigen};
use crate::mat::{Mat, chunk_rows, gemm_into, product};
use crate::power::{largest, power_of, times_two_to};

/// Dissimilarities as they are given.
#[derive(Debug, Clone)]
pub enum Dissimilarity {
    /// Any square matrix (n x n), symmetric or not.
    Dense(Mat<f64>),
    /// `C = A diag(w) A' + o 1' + 1 o'`, exactly, for an embedding. Cosine distance: unit rows, w = -1, o = 1/2. Squared Euclidean:
    /// w = -2, o = squared norms.
    Factored {
        /// A, n x d.
        values: Mat<f64>,
        /// w, length d.
        weights: Vec<f64>,
        /// o, length n.
        offset: Vec<f64>,
    },
}

/// `C = 2^power (S + a 1' + 1 a' + mean (+ skew part))` with `S p = 0`; the largest entry of what is in brackets is of the size of 1.
#[derive(Debug, Clone)]
pub struct Centred {
    /// The unit that all else is in.
    pub power: i32,
    /// S.
    pub core: Core,
    /// a, shifted to weighted mean 0; the mean is accounted for by `mean`.
    pub a: Vec<f64>,
    /// The antisymmetric part, when the matrix has one.
    pub skew: Option<Skew>,
    /// `p' C p`, in that unit.
    pub mean: f64,
    /// `sum_ik p_i p_k C_ik^2`, in its square.
    pub square_mean: f64,
}

/// `K = Kc + k 1' - 1 k'` with `Kc p = 0`.
#[derive(Debug, Clone)]
pub struct Skew {
    /// Kc.
    pub core: Mat<f64>,
    /// k.
    pub k: Vec<f64>,
}

/// The symmetric double-centred part.
#[derive(Debug, Clone)]
pub enum Core {
    /// n x n.
    Dense(Mat<f64>),
    /// `A diag(sign) A'`, A n x r.
    Factored(Mat<f64>, Vec<f64>),
}

/// A factored cost pays for itself below this share of full rank (4 r n m against 4 n^2 m flops an outer step).
const WORTH_FACTORING: f64 = 0.4;
/// Remainder, relative to the largest entry, up to which an array counts as having low rank: rounding of a float64 computation.
const RANK_TOL: f64 = 1e-12;
/// Asymmetry, relative to the largest entry, below which a matrix counts as symmetric in itself.
const SYMMETRY_TOL: f64 = 1e-12;

impl Dissimilarity {
    /// Number of objects.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Dense(c) => c.rows,
            Self::Factored { values, .. } => values.rows,
        }
    }

    /// Whether there are no objects.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Shapes fit and all numbers are finite.
    pub(crate) fn check(&self, name: &'static str) -> Result<(), InvalidInput> {
        let finite = |m: &Mat<f64>| match m.data.iter().position(|x| !x.is_finite()) {
            Some(at) => Err(InvalidInput::NotFinite { name, row: at / m.cols, col: at % m.cols, value: m.data[at] }),
            None => Ok(()),
        };
        match self {
            Self::Dense(c) if c.rows != c.cols || c.rows == 0 => {
                Err(InvalidInput::NotSquare { name, rows: c.rows, cols: c.cols })
            }
            Self::Dense(c) => finite(c),
            Self::Factored { values, weights, offset } => {
                if values.rows == 0 || weights.len() != values.cols || offset.len() != values.rows {
                    let expected = (values.rows.max(1), values.cols);
                    return Err(InvalidInput::Shape { name, actual: (offset.len(), weights.len()), expected });
                }
                finite(values)?;
                finite(&Mat::from_vec(weights.clone(), 1, weights.len()))?;
                finite(&Mat::from_vec(offset.clone(), offset.len(), 1))
            }
        }
    }

    /// As a square matrix.
    pub(crate) fn formed(&self) -> Mat<f64> {
        match self {
            Self::Dense(c) => c.clone(),
            Self::Factored { values, weights, offset } => expand(values, weights, offset),
        }
    }

    /// Centre with respect to the weights `p`; factor where it pays and is exact.
    pub(crate) fn centre(&self, p: &[f64], cancel: &AtomicBool) -> Centred {
        self.centre_in(p, self.power(), cancel)
    }

    /// The same in the unit that it is given in.
    pub(crate) fn centre_as_given(&self, p: &[f64], cancel: &AtomicBool) -> Centred {
        self.centre_in(p, 0, cancel)
    }

    fn centre_in(&self, p: &[f64], power: i32, cancel: &AtomicBool) -> Centred {
        let centred = match self {
            Self::Dense(c) => centre_dense(c, power, p, cancel),
            Self::Factored { values, weights, offset } => {
                // Values first, whose squares could leave the range.
                let of_values = power_of(values.data.iter().copied()).unwrap_or(0);
                let values = scaled(values, -of_values);
                let by = |x: &[f64], power: i32| -> Vec<f64> { x.iter().map(|&x| times_two_to(x, power)).collect() };
                let (weights, offset) = (by(weights, 2 * of_values - power), by(offset, -power));
                let dense = (values.cols as f64) > WORTH_FACTORING * values.rows as f64;
                if dense {
                    centre_dense(&expand(&values, &weights, &offset), 0, p, cancel)
                } else {
                    centre_factored(&values, &weights, &offset, p)
                }
            }
        };
        Centred { power, ..centred }
    }

    /// The power of two of the largest entry; of a factored cost, of the largest diagonal entry of either term.
    fn power(&self) -> i32 {
        let power = match self {
            Self::Dense(c) => power_of([largest(&c.data)]),
            Self::Factored { values, weights, offset } => {
                let of_values = power_of(values.data.iter().copied()).unwrap_or(0);
                let of_weights = power_of(weights.iter().copied()).unwrap_or(0);
                let diagonal = (0..values.rows).map(|i| {
                    let own = values.row(i).iter().zip(weights);
                    own.map(|(x, w)| times_two_to(w.abs(), -of_weights) * times_two_to(*x, -of_values).powi(2)).sum()
                });
                let product = power_of(diagonal).map(|power| power + 2 * of_values + of_weights);
                product.max(power_of(offset.iter().copied()))
            }
        };
        power.unwrap_or(0)
    }
}

fn scaled(x: &Mat<f64>, power: i32) -> Mat<f64> {
    Mat { data: x.data.iter().map(|&x| times_two_to(x, power)).collect(), rows: x.rows, cols: x.cols }
}

fn expand(values: &Mat<f64>, weights: &[f64], offset: &[f64]) -> Mat<f64> {
    let n = values.rows;
    let signed = Mat::from_fn(n, values.cols, |i, k| values.row(i)[k] * weights[k]);
    let mut c = Mat::from_fn(n, n, |i, j| offset[i] + offset[j]);
    product(&mut c, signed.view(), values.view().t(), 1.0, true, true);
    c
}

/// `sum_j w_j x_j^2`.
pub fn weighted_square(x: &[f64], w: &[f64]) -> f64 {
    let weighted: Vec<f64> = x.iter().zip(w).map(|(x, w)| w * x).collect();
    dot(&weighted, x)
}

fn centre_factored(values: &Mat<f64>, weights: &[f64], offset: &[f64], p: &[f64]) -> Centred {
    let (n, d) = (values.rows, values.cols);
    let mut mean = vec![0.0; d];
    for i in 0..n {
        for (s, x) in mean.iter_mut().zip(values.row(i)) {
            *s += p[i] * x;
        }
    }
    let kept: Vec<usize> = (0..d).filter(|&k| weights[k] != 0.0).collect();
    let a_core = Mat::from_fn(n, kept.len(), |i, j| {
        let k = kept[j];
        (values.row(i)[k] - mean[k]) * weights[k].abs().sqrt()
    });
    let sign: Vec<f64> = kept.iter().map(|&k| weights[k].signum()).collect();
    let weighted_mean: Vec<f64> = (0..d).map(|k| weights[k] * mean[k]).collect();
    let half = 0.5 * dot(&weighted_mean, &mean);
    let mut a: Vec<f64> = (0..n).map(|i| offset[i] + dot(values.row(i), &weighted_mean) - half).collect();
    let a_mean = dot(&a, p);
    for x in &mut a {
        *x -= a_mean;
    }
    // sum_ik p_i p_k S_ik^2 = sum_kl s_k s_l G_kl^2 with G = A' diag(p) A.
    let weighted = Mat::from_fn(n, kept.len(), |i, j| a_core.row(i)[j] * p[i]);
    let mut gram = Mat::zeros(kept.len(), kept.len());
    product(&mut gram, weighted.view().t(), a_core.view(), 1.0, false, true);
    let core_square: f64 =
        (0..kept.len()).map(|k| (0..kept.len()).map(|l| sign[k] * sign[l] * gram.row(k)[l].powi(2)).sum::<f64>()).sum();
    let spread = weighted_square(&a, p);
    let mean = 2.0 * a_mean;
    Centred {
        power: 0,
        core: Core::Factored(a_core, sign),
        a,
        skew: None,
        mean,
        square_mean: core_square + 2.0 * spread + mean * mean,
    }
}

/// What is summed over one row of the symmetric part of a dense cost; the square is that of both parts, whose product vanishes over all rows.
#[derive(Debug, Clone, Copy, Default)]
struct RowSums {
    mean: f64,
    square: f64,
    largest: f64,
    asymmetry: f64,
}

/// Of the dense cost divided by `2^power`.
fn centre_dense(c: &Mat<f64>, power: i32, p: &[f64], cancel: &AtomicBool) -> Centred {
    const TILE: usize = 32;
    let n = c.rows;
    let chunk = chunk_rows(n);
    let unit = times_two_to(1.0, -power / 2);
    let rest = times_two_to(1.0, -power - -power / 2);
    let at = |i: usize, j: usize| c.data[i * n + j] * unit * rest;
    let mut core = Mat::zeros(n, n);
    let mut sums = vec![RowSums::default(); n];
    each(core.data.chunks_mut(chunk * n).zip(sums.chunks_mut(chunk)).enumerate(), true, |(part, (core, sums))| {
        let start = part * chunk;
        for i0 in (0..sums.len()).step_by(TILE) {
            for j0 in (0..n).step_by(TILE) {
                for i in i0..(i0 + TILE).min(sums.len()) {
                    for j in j0..(j0 + TILE).min(n) {
                        core[i * n + j] = 0.5 * (at(start + i, j) + at(j, start + i));
                    }
                }
            }
        }
        for (i, (row, sums)) in core.chunks_exact(n).zip(sums).enumerate() {
            let skew: Vec<f64> = row.iter().enumerate().map(|(j, s)| at(start + i, j) - s).collect();
            *sums = RowSums {
                mean: dot(row, p),
                square: weighted_square(row, p) + weighted_square(&skew, p),
                largest: largest(row),
                asymmetry: largest(&skew),
            };
        }
    });
    let row_means: Vec<f64> = sums.iter().map(|s| s.mean).collect();
    let mean = dot(&row_means, p);
    let square_mean = sums.iter().zip(p).map(|(s, w)| w * s.square).sum();
    let top = sums.iter().fold(0.0f64, |m, s| m.max(s.largest));
    let asymmetry = sums.iter().fold(0.0f64, |m, s| m.max(s.asymmetry));
    each(core.data.chunks_mut(chunk * n).zip(row_means.chunks(chunk)), true, |(rows, means)| {
        for (row, ri) in rows.chunks_exact_mut(n).zip(means) {
            row.iter_mut().zip(&row_means).for_each(|(x, rj)| *x -= ri + rj - mean);
        }
    });
    let a = row_means.iter().map(|r| r - mean).collect();
    let skew = (asymmetry > SYMMETRY_TOL * top).then(|| {
        let mut k = Mat::from_fn(n, n, |i, j| 0.5 * (at(i, j) - at(j, i)));
        let means: Vec<f64> = (0..n).map(|i| dot(k.row(i), p)).collect();
        for i in 0..n {
            for (x, mj) in k.row_mut(i).iter_mut().zip(&means) {
                *x -= means[i] - mj;
            }
        }
        Skew { core: k, k: means }
    });
    let max_rank = (WORTH_FACTORING * n as f64) as usize;
    let core = match factor_symmetric(&core, max_rank, RANK_TOL, cancel) {
        Some((a, sign)) => Core::Factored(a, sign),
        None => Core::Dense(core),
    };
    Centred { power: 0, core, a, skew, mean, square_mean }
}

impl Centred {
    /// Columns of the factor, or n for a dense cost.
    pub fn rank(&self) -> usize {
        match &self.core {
            Core::Dense(s) => s.rows,
            Core::Factored(a, _) => a.cols,
        }
    }

    /// Number of objects.
    pub fn len(&self) -> usize {
        self.a.len()
    }

    /// S as a full matrix.
    pub fn dense_core(&self) -> Mat<f64> {
        match &self.core {
            Core::Dense(s) => s.clone(),
            Core::Factored(a, sign) => expand(a, sign, &vec![0.0; a.rows]),
        }
    }

    /// The rows of S from the `start`-th on, as many as `out` holds.
    pub fn core_rows(&self, start: usize, out: &mut [f64]) {
        let n = self.len();
        match &self.core {
            Core::Dense(s) => out.copy_from_slice(&s.data[start * n..][..out.len()]),
            Core::Factored(a, sign) => {
                let signed = Mat::from_fn(out.len() / n, a.cols, |i, k| a.row(start + i)[k] * sign[k]);
                gemm_into(out, signed.view(), a.view().t(), 1.0, false);
            }
        }
    }

    /// `S X`.
    pub fn apply(&self, x: &Mat<f64>, parallel: bool) -> Mat<f64> {
        let mut out = Mat::zeros(self.len(), x.cols);
        match &self.core {
            Core::Dense(s) => product(&mut out, s.view(), x.view(), 1.0, false, parallel),
            Core::Factored(a, sign) => {
                let mut small = Mat::zeros(a.cols, x.cols);
                product(&mut small, a.view().t(), x.view(), 1.0, false, parallel);
                for (k, s) in sign.iter().enumerate() {
                    small.row_mut(k).iter_mut().for_each(|y| *y *= s);
                }
                product(&mut out, a.view(), small.view(), 1.0, false, parallel);
            }
        }
        out
    }

    /// The `k` leading eigenpairs of `-P^1/2 S P^1/2 / 2`, P = diag(p): the axes of classical scaling. Values by descending magnitude;
    /// vectors (n x k) divided by `p^1/2`, so that their weighted mean square is 1.
    pub fn axes(&self, p: &[f64], k: usize, parallel: bool, cancel: &AtomicBool) -> (Vec<f64>, Mat<f64>) {
        let root: Vec<f64> = p.iter().map(|w| w.sqrt()).collect();
        let scale = |x: &Mat<f64>, by: f64| Mat::from_fn(x.rows, x.cols, |i, j| by * root[i] * x.data[i * x.cols + j]);
        let image = |x: &Mat<f64>| scale(&self.apply(&scale(x, 1.0), parallel), -0.5);
        let (values, vectors) = leading_eigen(self.len(), k, image, cancel);
        let axes = Mat::from_fn(vectors.rows, vectors.cols, |i, j| {
            if root[i] > 0.0 { vectors.data[i * vectors.cols + j] / root[i] } else { 0.0 }
        });
        (values, axes)
    }
}
