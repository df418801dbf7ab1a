//! Plans: marginal errors, and rounding onto exact marginals.

use crate::mat::Mat;

/// L1 distance of the marginals of a plan from the weights, rows plus columns.
#[must_use]
pub fn marginal_error(plan: &Mat<f64>, p: &[f64], q: &[f64]) -> f64 {
    let (rows, cols) = sums(plan);
    let l1 = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(a, b)| (a - b).abs()).sum::<f64>();
    l1(&rows, p) + l1(&cols, q)
}

fn sums(plan: &Mat<f64>) -> (Vec<f64>, Vec<f64>) {
    let mut cols = vec![0.0; plan.cols];
    let rows = (0..plan.rows)
        .map(|i| {
            let row = plan.row(i);
            for (s, x) in cols.iter_mut().zip(row) {
                *s += x;
            }
            row.iter().sum()
        })
        .collect();
    (rows, cols)
}

/// Round a non-negative matrix onto the plans with marginals `p`, `q`: shrink the rows and then the columns that are too heavy, spread
/// what is missing as a rank-one term. Altschuler, Weed & Rigollet (2017), algorithm 2, <https://arxiv.org/abs/1705.09634>.
pub fn round_to_marginals(plan: &mut Mat<f64>, p: &[f64], q: &[f64]) {
    let shrink = |target: f64, sum: f64| if sum > target { target / sum } else { 1.0 };
    let (rows, _) = sums(plan);
    for i in 0..plan.rows {
        let s = shrink(p[i], rows[i]);
        plan.row_mut(i).iter_mut().for_each(|x| *x *= s);
    }
    let (_, cols) = sums(plan);
    let s: Vec<f64> = q.iter().zip(&cols).map(|(&q, &c)| shrink(q, c)).collect();
    for i in 0..plan.rows {
        for (x, s) in plan.row_mut(i).iter_mut().zip(&s) {
            *x *= s;
        }
    }
    let (rows, cols) = sums(plan);
    let missing = |w: &[f64], s: &[f64]| -> Vec<f64> { w.iter().zip(s).map(|(w, s)| (w - s).max(0.0)).collect() };
    let (dp, dq) = (missing(p, &rows), missing(q, &cols));
    let total: f64 = dq.iter().sum();
    if total > 0.0 {
        for (i, dp) in dp.iter().enumerate().filter(|(_, d)| **d > 0.0) {
            for (x, dq) in plan.row_mut(i).iter_mut().zip(&dq) {
                *x += dp * dq / total;
            }
        }
    }
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
