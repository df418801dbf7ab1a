//! Plans that are held as a matrix: marginal errors, and rounding onto exact marginals.

use rayon::prelude::*;

use crate::mat::{Mat, chunk_rows};
use crate::rows::{NEVER, Rows, held};

/// The logarithm of an entry without mass: `exp` of it is 0 beside any potential.
pub const LOG_OF_ZERO: f64 = -1e30;

/// L1 distance of the marginals of a plan from the weights, rows plus columns.
#[must_use]
pub fn marginal_error(plan: &Mat<f64>, p: &[f64], q: &[f64]) -> f64 {
    let (rows, cols) = sums(plan);
    let l1 = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(a, b)| (a - b).abs()).sum::<f64>();
    l1(&rows, p) + l1(&cols, q)
}

/// Row and column sums, added in an order that does not depend on the number of threads.
fn sums(plan: &Mat<f64>) -> (Vec<f64>, Vec<f64>) {
    let block_sums = |rows: &[f64]| -> (Vec<f64>, Vec<f64>) {
        let mut cols = vec![0.0; plan.cols];
        let sums = rows
            .chunks_exact(plan.cols)
            .map(|row| {
                for (s, x) in cols.iter_mut().zip(row) {
                    *s += x;
                }
                row.iter().sum()
            })
            .collect();
        (sums, cols)
    };
    let block = chunk_rows(plan.rows) * plan.cols.max(1);
    let blocks: Vec<_> = plan.data.par_chunks(block).map(block_sums).collect();
    let (mut rows, mut cols) = (Vec::new(), vec![0.0; plan.cols]);
    for (r, c) in blocks {
        rows.extend(r);
        for (s, x) in cols.iter_mut().zip(c) {
            *s += x;
        }
    }
    (rows, cols)
}

/// Round a non-negative matrix onto the plans with marginals `p`, `q`, moving at most twice its marginal error.
/// Altschuler, Weed & Rigollet (2017), algorithm 2, <https://arxiv.org/abs/1705.09634>.
pub fn round_to_marginals(plan: &mut Mat<f64>, p: &[f64], q: &[f64]) {
    let (m, ones) = (plan.cols, vec![1.0; plan.cols]);
    let nothing = Mat::<f64>::zeros(p.len(), 0);
    let (rounding, _) = Rows { fill: &held(plan), p, q, parallel: true, cancel: &NEVER }.rounding(nothing.view());
    let chunk = chunk_rows(plan.rows);
    plan.data.par_chunks_mut(chunk * m).enumerate().for_each(|(c, rows)| rounding.apply(c * chunk, rows, p, &ones));
}
#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rounding_is_feasible_and_moves_no_more_than_twice_the_error(
            entries in prop::collection::vec(0.0..1.0f64, 12), w in prop::collection::vec(0.0..1.0f64, 7)
        ) {
            let scale = |w: &[f64]| { let s: f64 = w.iter().sum::<f64>() + 1e-9; w.iter().map(|x| (x + 1e-9 / w.len() as f64) / s).collect::<Vec<_>>() };
            let (p, q) = (scale(&w[..3]), scale(&w[3..]));
            let total: f64 = entries.iter().sum::<f64>() + 1e-12;
            let before = Mat::from_vec(entries.iter().map(|x| x / total).collect(), 3, 4);
            let mut plan = before.clone();
            round_to_marginals(&mut plan, &p, &q);
            prop_assert!(marginal_error(&plan, &p, &q) < 1e-12);
            prop_assert!(plan.data.iter().all(|x| *x >= 0.0));
            let moved: f64 = plan.data.iter().zip(&before.data).map(|(a, b)| (a - b).abs()).sum();
            prop_assert!(moved <= 2.0 * marginal_error(&before, &p, &q) + 1e-12);
        }
    }
}
