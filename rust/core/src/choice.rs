//! Choice probabilities of the odd-one-out task, from the similarities of its objects.
//!
//! ```text
//! P(ij | ijk) = exp(s_ij) / (exp(s_ij) + exp(s_ik) + exp(s_jk))     i and j are kept together, k is the odd one out
//! P_ij        = mean over k, neither i nor j, of P(ij | ijk)
//! ```
//!
//! Hebart, Zheng, Pereira & Baker (2020), <https://doi.org/10.1038/s41562-020-00951-3>.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::kernels::versions;
use crate::mat::Mat;
use crate::real::Real;

/// Independent partial sums, so that a reduction vectorises.
const LANES: usize = 16;

/// Rows a task shares each row of the others with.
const BLOCK: usize = 8;

/// Largest spread of the similarities at which all their exponentials, and sums of their reciprocals, stay in range.
const SPREAD: f64 = 1200.0;

/// `P`, n x n with a diagonal of 1, of symmetric similarities `s`, whose diagonal is not used; n is at least 3. None: cancelled.
///
/// Relative error of an entry below 1e-12, or 1e-15 times the spread of the similarities where that is more. Within a spread of 1200, `exp(s)` is taken
/// once and a term is one division; beyond it, where most choices are certain, a term takes two exponentials.
#[must_use]
pub fn choice_probabilities(s: &Mat<f64>, cancel: &AtomicBool) -> Option<Mat<f64>> {
    let n = s.rows;
    let pairs = || (0..n).flat_map(|i| s.data[i * n + i + 1..(i + 1) * n].iter().copied());
    let (low, high) = pairs().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
    let wide = high - low > SPREAD;
    let centre = low + 0.5 * (high - low);
    // On the diagonal infinity: the terms k = i and k = j vanish without a branch.
    let mut e = Mat::from_fn(n, n, |i, j| {
        if i == j {
            f64::INFINITY
        } else if wide {
            s.data[i * n + j]
        } else {
            (s.data[i * n + j] - centre).exp()
        }
    });
    let row = |i: usize| &e.data[i * n..(i + 1) * n];
    let mut p = Mat::zeros(n, n);
    p.data.par_chunks_mut(BLOCK * n).enumerate().for_each(|(block, out)| {
        let first = block * BLOCK;
        for j in first + 1..n {
            if cancel.load(Ordering::Relaxed) {
                return;
            }
            for (i, out) in (first..j).zip(out.chunks_exact_mut(n)) {
                let own = row(i)[j];
                out[j] =
                    if wide { sum_of_softmax(own, row(i), row(j)) } else { own * sum_of_inverses(own, row(i), row(j)) };
            }
        }
    });
    if cancel.load(Ordering::Relaxed) {
        return None;
    }
    // The exponentials' memory is done with; it becomes the result.
    let thirds = (n - 2) as f64;
    for i in 0..n {
        e.data[i * n + i] = 1.0;
        for j in i + 1..n {
            // Rounding may carry a sum of ones past n - 2.
            let mean = (p.data[i * n + j] / thirds).min(1.0);
            e.data[i * n + j] = mean;
            e.data[j * n + i] = mean;
        }
    }
    Some(e)
}

#[inline(always)]
fn sum_over<R: Real>(x: &[R], y: &[R], term: impl Fn(R, R) -> R) -> R {
    let mut lanes = [R::ZERO; LANES];
    let (xs, ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let tail = xs.remainder().iter().zip(ys.remainder()).fold(R::ZERO, |s, (&a, &b)| s + term(a, b));
    for (a, b) in xs.zip(ys) {
        for l in 0..LANES {
            lanes[l] += term(a[l], b[l]);
        }
    }
    lanes.into_iter().fold(tail, |s, x| s + x)
}

#[inline(always)]
fn sum_of_inverses_body<R: Real, const FMA: bool>(own: R, x: &[R], y: &[R]) -> R {
    sum_over(x, y, |a, b| R::ONE / (own + a + b))
}

#[inline(always)]
fn sum_of_softmax_body<R: Real, const FMA: bool>(own: R, x: &[R], y: &[R]) -> R {
    sum_over(x, y, |a, b| R::ONE / (R::ONE + (a - own).exp::<FMA>() + (b - own).exp::<FMA>()))
}

versions! {
    /// `sum_k 1 / (own + x_k + y_k)`.
    fn sum_of_inverses(own: R, x: &[R], y: &[R]) -> R = sum_of_inverses_body
}
versions! {
    /// `sum_k 1 / (1 + exp(x_k - own) + exp(y_k - own))`.
    fn sum_of_softmax(own: R, x: &[R], y: &[R]) -> R = sum_of_softmax_body
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Symmetric, of the given spread.
    fn similarities(n: usize, spread: f64) -> Mat<f64> {
        Mat::from_fn(n, n, |i, j| {
            let (a, b) = (i.min(j), i.max(j));
            spread * (((a * 7919 + b * 104_729) % 1009) as f64 / 1008.0 - 0.3)
        })
    }

    fn of(s: &Mat<f64>) -> Mat<f64> {
        choice_probabilities(s, &AtomicBool::new(false)).expect("nobody cancels")
    }

    /// The formula, term by term.
    fn plain(s: &Mat<f64>, i: usize, j: usize) -> f64 {
        let at = |i: usize, j: usize| s.data[i * s.cols + j];
        let thirds = (0..s.rows).filter(|&k| k != i && k != j);
        let term = |k| 1.0 / (1.0 + (at(i, k) - at(i, j)).exp() + (at(j, k) - at(i, j)).exp());
        thirds.map(term).sum::<f64>() / (s.rows - 2) as f64
    }

    #[test]
    fn both_forms_are_the_formula() {
        for n in [3, 4, 9, 16, 35] {
            for spread in [0.0, 1e-3, 4.0, 50.0, 1199.0, 1201.0, 1e6, 1e300] {
                let s = similarities(n, spread);
                let p = of(&s);
                for i in 0..n {
                    assert_eq!(p.data[i * n + i], 1.0);
                    for j in (0..n).filter(|&j| j != i) {
                        let (got, want) = (p.data[i * n + j], plain(&s, i, j));
                        let error = 1e-13 + 1e-15 * spread.min(1e3);
                        // Below 1e-300 the exponentials of the wide form end.
                        assert!(
                            (got - want).abs() <= error * want + 1e-300,
                            "{got} is not {want}: n {n}, spread {spread}"
                        );
                        assert_eq!(got, p.data[j * n + i]);
                    }
                }
            }
        }
    }

    #[test]
    fn three_ways_to_choose_share_every_triplet() {
        let n = 20;
        let p = of(&similarities(n, 6.0));
        let mean = (p.data.iter().sum::<f64>() - n as f64) / (n * (n - 1)) as f64;
        assert!((mean - 1.0 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn a_cancelled_call_has_no_result() {
        assert_eq!(choice_probabilities(&similarities(5, 1.0), &AtomicBool::new(true)), None);
    }
}
