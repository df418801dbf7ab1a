//! The few dense decompositions, by faer.

use std::sync::atomic::{AtomicBool, Ordering};

use faer::linalg::solvers::Solve;
use faer::{Mat as Faer, Side};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::mat::{Mat, product, product_until};
use crate::power::largest;

/// Eigenvalues (ascending) and orthonormal eigenvectors (columns) of a small symmetric matrix.
pub fn symmetric_eigen(a: &Mat<f64>) -> Option<(Vec<f64>, Mat<f64>)> {
    let n = a.rows;
    let full = Faer::from_fn(n, n, |i, j| 0.5 * (a.data[i * n + j] + a.data[j * n + i]));
    let eigen = full.self_adjoint_eigen(Side::Lower).ok()?;
    let values = (0..n).map(|k| eigen.S()[k]).collect();
    Some((values, Mat::from_fn(n, n, |i, j| eigen.U()[(i, j)])))
}

/// `A^-1 b` of a small positive definite matrix; None when it is not.
pub fn solve_positive(a: &Mat<f64>, b: &[f64]) -> Option<Vec<f64>> {
    let full = Faer::from_fn(a.rows, a.rows, |i, j| a.data[i * a.cols + j]);
    let x = full.llt(Side::Lower).ok()?.solve(Faer::from_fn(b.len(), 1, |i, _| b[i]));
    Some((0..b.len()).map(|i| x[(i, 0)]).collect())
}

/// The combination of moves that comes closest to a vector, from the moves' inner products `gram` and theirs with the vector, `with`. Moves
/// count by their directions; `ridge` is the relative weight at which one that repeats the others is left out. None when it is not finite.
pub fn closest_combination(gram: &Mat<f64>, with: &[f64], ridge: f64) -> Option<Vec<f64>> {
    let k = with.len();
    let length: Vec<f64> = (0..k).map(|i| gram.row(i)[i].max(f64::MIN_POSITIVE).sqrt()).collect();
    let normal = Mat::from_fn(k, k, |i, j| gram.row(i)[j] / (length[i] * length[j]) + if i == j { ridge } else { 0.0 });
    let right: Vec<f64> = with.iter().zip(&length).map(|(product, length)| product / length).collect();
    let weights: Vec<f64> = solve_positive(&normal, &right)?.iter().zip(&length).map(|(w, l)| w / l).collect();
    weights.iter().all(|w| w.is_finite()).then_some(weights)
}

/// Pivots above `tol` in the LU decomposition of `size` rows and columns of S, evenly spread: a lower bound of its numerical rank,
/// and nearly always the rank itself when it is below `size`.
fn sampled_rank(s: &Mat<f64>, size: usize, tol: f64) -> usize {
    let n = s.rows;
    let at = |i: usize| i * n / size;
    let part = Faer::from_fn(size, size, |i, j| s.data[at(i) * n + at(j)]);
    let lu = part.partial_piv_lu();
    (0..size).filter(|&i| lu.U()[(i, i)].abs() > tol).count()
}

/// Most rounds of a subspace iteration.
const ROUNDS: usize = 200;

/// Orthonormal basis of the columns of `a`, n x k with n >= k.
fn orthonormal(a: &Mat<f64>) -> Mat<f64> {
    let q = Faer::from_fn(a.rows, a.cols, |i, j| a.data[i * a.cols + j]).qr().compute_thin_Q();
    Mat::from_fn(a.rows, a.cols, |i, j| q[(i, j)])
}

/// Uniform numbers in (-1, 1), fixed by `seed`.
fn noise(rows: usize, cols: usize, seed: u64) -> Mat<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let data = (0..rows * cols).map(|_| rng.next_u64() as f64 / 2f64.powi(63) - 1.0).collect();
    Mat::from_vec(data, rows, cols)
}

/// The `k` eigenpairs of largest magnitude of a symmetric operator on vectors of length `n`, by subspace iteration with Rayleigh-Ritz;
/// values by descending magnitude, vectors in the columns (n x k).
/// Where the spectrum has no gap the last digits may be missing after [`ROUNDS`] rounds; all of them are once `cancel` is set.
pub fn leading_eigen(
    n: usize,
    k: usize,
    apply: impl Fn(&Mat<f64>) -> Mat<f64>,
    cancel: &AtomicBool,
) -> (Vec<f64>, Mat<f64>) {
    let (k, block) = (k.min(n), (2 * k + 8).min(n));
    let mut basis = orthonormal(&noise(n, block, 1));
    let mut previous = f64::NAN;
    for round in 1..=ROUNDS {
        if cancel.load(Ordering::Relaxed) {
            break;
        }
        let image = apply(&basis);
        let mut small = Mat::zeros(block, block);
        product(&mut small, basis.view().t(), image.view(), 1.0, false, false);
        let Some((values, vectors)) = symmetric_eigen(&small) else { break };
        let mut order: Vec<usize> = (0..block).collect();
        order.sort_by(|&a, &b| values[b].abs().total_cmp(&values[a].abs()));
        let sum: f64 = order[..k].iter().map(|&i| values[i].abs()).sum();
        if (sum - previous).abs() <= 1e-10 * sum || block == n || round == ROUNDS {
            let chosen = Mat::from_fn(block, k, |i, j| vectors.data[i * block + order[j]]);
            let mut ritz = Mat::zeros(n, k);
            product(&mut ritz, basis.view(), chosen.view(), 1.0, false, false);
            return (order[..k].iter().map(|&i| values[i]).collect(), ritz);
        }
        previous = sum;
        basis = orthonormal(&image);
    }
    (vec![0.0; k], Mat::from_fn(n, k, |i, j| f64::from(u8::from(i == j))))
}

/// `S = A diag(sign) A'` of numerical rank `r <= max_rank`, or None when the remainder exceeds `tol * max|S|` in some entry, or once `cancel`
/// is set.
/// Randomised range finder, its size from a sampled LU decomposition (Halko, Martinsson & Tropp 2011, <https://doi.org/10.1137/090771806>).
pub fn factor_symmetric(s: &Mat<f64>, max_rank: usize, tol: f64, cancel: &AtomicBool) -> Option<(Mat<f64>, Vec<f64>)> {
    let n = s.rows;
    let cancelled = || cancel.load(Ordering::Relaxed);
    let largest = largest(&s.data);
    let sample = (max_rank + 1).min(n);
    let seen = sampled_rank(s, sample, 100.0 * tol * largest);
    if seen > max_rank || cancelled() {
        return None;
    }
    let mut k = (seen + 8).min(max_rank);
    while k > 0 {
        let mut image = Mat::zeros(n, k);
        product_until(&mut image.data, s.view(), noise(n, k, k as u64).view(), (1.0, false), true, cancel);
        if cancelled() {
            return None;
        }
        let q = orthonormal(&image);
        product_until(&mut image.data, s.view(), q.view(), (1.0, false), true, cancel);
        if cancelled() {
            return None;
        }
        let mut small = Mat::zeros(k, k);
        product(&mut small, q.view().t(), image.view(), 1.0, false, true);
        let (values, vectors) = symmetric_eigen(&small)?;
        let top = values.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        let kept: Vec<usize> = (0..k).filter(|&i| values[i].abs() > 1e-13 * top).collect();
        let scaled = Mat::from_fn(k, kept.len(), |i, j| vectors.data[i * k + kept[j]] * values[kept[j]].abs().sqrt());
        let mut a = Mat::zeros(n, kept.len());
        product(&mut a, q.view(), scaled.view(), 1.0, false, true);
        let sign: Vec<f64> = kept.iter().map(|&i| values[i].signum()).collect();
        // Cheap probe on 8 rows before the remainder is formed in full.
        let signed = Mat::from_fn(n, kept.len(), |i, j| a.data[i * kept.len() + j] * sign[j]);
        let fits = |rows: &[usize]| {
            rows.iter().all(|&i| {
                let mut row = vec![0.0; n];
                crate::mat::gemm_into(&mut row, signed.view().rows(i, 1), a.view().t(), 1.0, false);
                row.iter().zip(s.row(i)).all(|(x, y)| (x - y).abs() <= tol * largest)
            })
        };
        let probe: Vec<usize> = (0..8.min(n)).map(|i| i * n / 8.min(n)).collect();
        if fits(&probe) {
            let mut rest = s.clone();
            product_until(&mut rest.data, signed.view(), a.view().t(), (-1.0, true), true, cancel);
            if !cancelled() && rest.data.iter().all(|x| x.abs() <= tol * largest) {
                return Some((a, sign));
            }
        }
        if k == max_rank {
            return None;
        }
        k = (2 * k).min(max_rank);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_eigenpairs_of_a_known_matrix() {
        let n = 40;
        let q = orthonormal(&noise(n, n, 5));
        let values: Vec<f64> = (0..n).map(|i| if i == 1 { -9.0 } else { 10.0 / (1.0 + i as f64) }).collect();
        let s = Mat::from_fn(n, n, |i, j| (0..n).map(|k| q.data[i * n + k] * values[k] * q.data[j * n + k]).sum());
        let apply = |x: &Mat<f64>| {
            let mut y = Mat::zeros(n, x.cols);
            product(&mut y, s.view(), x.view(), 1.0, false, false);
            y
        };
        let (got, vectors) = leading_eigen(n, 3, apply, &AtomicBool::new(false));
        for (g, w) in got.iter().zip([10.0, -9.0, 10.0 / 3.0]) {
            assert!((g - w).abs() < 1e-7, "{g} {w}");
        }
        let overlap: f64 = (0..n).map(|i| vectors.data[i * 3] * q.data[i * n]).sum();
        assert!((overlap.abs() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_spectrum_without_a_gap_is_still_answered() {
        let n = 300;
        let x = noise(n, n, 3);
        let s = Mat::from_fn(n, n, |i, j| x.row(i)[j] + x.row(j)[i]);
        let apply = |x: &Mat<f64>| {
            let mut y = Mat::zeros(n, x.cols);
            product(&mut y, s.view(), x.view(), 1.0, false, false);
            y
        };
        let (got, _) = leading_eigen(n, 1, apply, &AtomicBool::new(false));
        let (all, _) = symmetric_eigen(&s).expect("finite");
        assert!((got[0].abs() / all[0].abs().max(all[n - 1].abs()) - 1.0).abs() < 1e-3, "{got:?}");
    }

    #[test]
    fn a_matrix_of_low_rank_is_factored_and_one_of_full_rank_is_not() {
        let x = noise(150, 40, 2);
        let s = Mat::from_fn(150, 150, |i, j| {
            (0..40).map(|k| x.row(i)[k] * x.row(j)[k] * if k < 5 { -1.0 } else { 1.0 }).sum()
        });
        let (a, sign) = factor_symmetric(&s, 75, 1e-12, &AtomicBool::new(false)).expect("rank 40 fits 75");
        assert_eq!((a.cols, sign.iter().filter(|s| **s < 0.0).count()), (40, 5));
        let full = Mat::from_fn(150, 150, |i, j| (i as f64 - j as f64).abs().sqrt());
        assert!(factor_symmetric(&full, 75, 1e-12, &AtomicBool::new(false)).is_none());
        assert!(factor_symmetric(&s, 75, 1e-12, &AtomicBool::new(true)).is_none());
    }
}
