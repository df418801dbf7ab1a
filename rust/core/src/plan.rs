//! Plans: marginal errors, and rounding onto exact marginals.

use rayon::prelude::*;

use crate::mat::{Mat, chunk_rows};

/// L1 distance of the marginals of a plan from the weights, rows plus columns.
#[must_use]
pub fn marginal_error(plan: &Mat<f64>, p: &[f64], q: &[f64]) -> f64 {
    let (rows, cols) = sums(plan);
    let l1 = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(a, b)| (a - b).abs()).sum::<f64>();
    l1(&rows, p) + l1(&cols, q)
}

/// Row and column sums.
fn sums(plan: &Mat<f64>) -> (Vec<f64>, Vec<f64>) {
    let blocks = plan.data.par_chunks(block_len(plan)).map(|rows| block_sums(rows, plan.cols)).collect();
    gathered(blocks, plan.cols)
}

/// Entries a parallel task works on: whole rows, as many as their number says.
fn block_len(plan: &Mat<f64>) -> usize {
    chunk_rows(plan.rows) * plan.cols.max(1)
}

fn block_sums(rows: &[f64], n_cols: usize) -> (Vec<f64>, Vec<f64>) {
    let mut cols = vec![0.0; n_cols];
    let sums = rows
        .chunks_exact(n_cols)
        .map(|row| {
            for (s, x) in cols.iter_mut().zip(row) {
                *s += x;
            }
            row.iter().sum()
        })
        .collect();
    (sums, cols)
}

/// Sums of blocks, added in their order.
fn gathered(blocks: Vec<(Vec<f64>, Vec<f64>)>, n_cols: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut rows, mut cols) = (Vec::new(), vec![0.0; n_cols]);
    for (r, c) in blocks {
        rows.extend(r);
        for (s, x) in cols.iter_mut().zip(c) {
            *s += x;
        }
    }
    (rows, cols)
}

/// Round a non-negative matrix onto the plans with marginals `p`, `q`: shrink the rows and then the columns that are too heavy, spread
/// what is missing as a rank-one term. Altschuler, Weed & Rigollet (2017), algorithm 2, <https://arxiv.org/abs/1705.09634>.
pub fn round_to_marginals(plan: &mut Mat<f64>, p: &[f64], q: &[f64]) {
    let shrink = |target: f64, sum: f64| if sum > target { target / sum } else { 1.0 };
    let (n_cols, block) = (plan.cols, block_len(plan));
    let chunk = chunk_rows(plan.rows);
    let heavy_rows = |(rows, p): (&mut [f64], &[f64])| {
        for (row, &p) in rows.chunks_exact_mut(n_cols).zip(p) {
            let s = shrink(p, row.iter().sum());
            for x in row.iter_mut() {
                *x *= s;
            }
        }
        block_sums(rows, n_cols)
    };
    let blocks = plan.data.par_chunks_mut(block).zip(p.par_chunks(chunk)).map(heavy_rows).collect();
    let (_, cols) = gathered(blocks, n_cols);
    let s: Vec<f64> = q.iter().zip(&cols).map(|(&q, &c)| shrink(q, c)).collect();
    let heavy_cols = |rows: &mut [f64]| {
        for row in rows.chunks_exact_mut(n_cols) {
            row.iter_mut().zip(&s).for_each(|(x, s)| *x *= s);
        }
        block_sums(rows, n_cols)
    };
    let (rows, cols) = gathered(plan.data.par_chunks_mut(block).map(heavy_cols).collect(), n_cols);
    let missing = |w: &[f64], s: &[f64]| -> Vec<f64> { w.iter().zip(s).map(|(w, s)| (w - s).max(0.0)).collect() };
    let (dp, dq) = (missing(p, &rows), missing(q, &cols));
    let total: f64 = dq.iter().sum();
    if total > 0.0 {
        plan.data.par_chunks_mut(n_cols).zip(&dp).filter(|(_, d)| **d > 0.0).for_each(|(row, dp)| {
            row.iter_mut().zip(&dq).for_each(|(x, dq)| *x += dp * dq / total);
        });
    }
}

/// Sum of `f` over the rows, in an order that does not depend on the number of threads.
pub(crate) fn sum_rows(plan: &Mat<f64>, f: impl Fn(usize, &[f64]) -> f64 + Sync) -> f64 {
    let chunk = chunk_rows(plan.rows);
    let block = |(c, rows): (usize, &[f64])| -> f64 {
        rows.chunks_exact(plan.cols).enumerate().map(|(i, row)| f(c * chunk + i, row)).sum()
    };
    let sums: Vec<f64> = plan.data.par_chunks(block_len(plan)).enumerate().map(block).collect();
    sums.iter().sum()
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
