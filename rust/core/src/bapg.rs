//! Bregman alternating projected gradient: each half step is a mirror step followed by a projection on one marginal only.
//!
//! `T <- diag(p / sum_j) (T exp(-df(T) / epsilon))`, then the same with the columns (Li, Tang, Kong, Liu, Li, So & Blanchet 2023,
//! <https://arxiv.org/abs/2303.05978>, algorithm 1). The rows of what is returned are off by what one mirror step moves. Held as logarithms,
//! so that a small epsilon does not underflow.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::cost::Centred;
use crate::error::InvalidInput;
use crate::gw::Literal;
use crate::kernels::exp_shift;
use crate::mat::{Mat, chunk_rows, product};
use crate::plan::LOG_OF_ZERO;
use crate::problem::Problem;

/// Where it ended.
pub struct Alternation {
    /// n x m; its columns sum to q.
    pub plan: Mat<f64>,
    /// Frobenius norms of the change of the plan, at the first step and every tenth from there.
    pub changes: Vec<f64>,
    /// Steps made.
    pub n_outer: usize,
    /// Whether the change fell to the tolerance.
    pub converged: bool,
}

/// From `init` (n x m, as given). `linear` (n x m, as given) is added to `df`, whose quadratic part has weight `alpha`. Over the current
/// rayon pool.
///
/// # Errors
/// A linear cost of another shape or not finite, a plan that does not fit, an epsilon that is not positive.
#[allow(clippy::too_many_arguments)]
pub fn bapg(
    problem: &Problem,
    linear: Option<&Mat<f64>>,
    alpha: f64,
    init: &Mat<f64>,
    epsilon: f64,
    tol: f64,
    max_outer: usize,
    cancel: &AtomicBool,
) -> Result<Alternation, InvalidInput> {
    if !(epsilon > 0.0 && epsilon.is_finite()) {
        return Err(InvalidInput::NotPositive { name: "epsilon", value: epsilon });
    }
    if let Some(linear) = linear {
        let (actual, expected) = ((linear.rows, linear.cols), problem.shape());
        if actual != expected {
            return Err(InvalidInput::Shape { name: "linear", actual, expected });
        }
    }
    let linear = linear.map(|given| problem.oriented(given));
    let mut plan = problem.checked_plan("init", init, f64::INFINITY)?;
    let mut log = Mat::from_fn(plan.rows, plan.cols, |i, j| plan.row(i)[j].ln().max(LOG_OF_ZERO));
    let (mut changes, mut n_outer, mut converged) = (Vec::new(), 0, false);
    while n_outer < max_outer && !converged && !cancel.load(Ordering::Relaxed) {
        let before = (n_outer % Literal::EVERY == 0).then(|| plan.clone());
        // The last projection is on the columns as given.
        for rows in [!problem.swapped, problem.swapped] {
            step(problem, linear.as_ref(), alpha, epsilon, &plan, &mut log);
            if rows {
                project_rows(&mut plan, &mut log, &problem.p);
            } else {
                project_columns(&mut plan, &mut log, &problem.q);
            }
        }
        n_outer += 1;
        if let Some(before) = before {
            let squares = plan.data.iter().zip(&before.data).map(|(a, b)| (a - b).powi(2));
            let change = squares.sum::<f64>().sqrt();
            changes.push(change);
            converged = change <= tol;
        }
    }
    Ok(Alternation { plan: problem.oriented(&plan), changes, n_outer, converged })
}

/// `log <- log - df(T) / epsilon`.
fn step(problem: &Problem, linear: Option<&Mat<f64>>, alpha: f64, epsilon: f64, plan: &Mat<f64>, log: &mut Mat<f64>) {
    let (source, target) = (&problem.source, &problem.target);
    // (C1 T C2')' of the symmetric parts, and of the antisymmetric ones.
    let mut y = symmetric(target, &symmetric(source, plan).transposed());
    if let (Some(_), Some(_)) = (&source.skew, &target.skew) {
        let skewed = antisymmetric(target, &antisymmetric(source, plan).transposed());
        y.data.iter_mut().zip(&skewed.data).for_each(|(y, s)| *y += s);
    }
    let y = y.transposed();
    let scale = alpha * problem.step(epsilon);
    log.data.iter_mut().zip(&y.data).for_each(|(l, y)| *l += scale * y);
    if let Some(linear) = linear {
        log.data.iter_mut().zip(&linear.data).for_each(|(l, c)| *l -= c / epsilon);
    }
}

/// Weighted column sums.
fn columns(weights: impl Fn(usize) -> f64, x: &Mat<f64>) -> Vec<f64> {
    let mut sums = vec![0.0; x.cols];
    for i in 0..x.rows {
        let w = weights(i);
        sums.iter_mut().zip(x.row(i)).for_each(|(s, x)| *s += w * x);
    }
    sums
}

/// The symmetric part of C times X: `C = S + a 1' + 1 a' + mean`.
fn symmetric(c: &Centred, x: &Mat<f64>) -> Mat<f64> {
    let mut out = c.apply(x, true);
    let (sums, weighted) = (columns(|_| 1.0, x), columns(|i| c.a[i], x));
    for i in 0..out.rows {
        let own = c.a[i] + c.mean;
        out.row_mut(i).iter_mut().zip(sums.iter().zip(&weighted)).for_each(|(o, (s, w))| *o += own * s + w);
    }
    out
}

/// The antisymmetric part of C times X: `K = Kc + k 1' - 1 k'`.
fn antisymmetric(c: &Centred, x: &Mat<f64>) -> Mat<f64> {
    let mut out = Mat::zeros(x.rows, x.cols);
    let Some(skew) = &c.skew else { return out };
    product(&mut out, skew.core.view(), x.view(), 1.0, false, true);
    let (sums, weighted) = (columns(|_| 1.0, x), columns(|i| skew.k[i], x));
    for (i, k) in skew.k.iter().enumerate() {
        out.row_mut(i).iter_mut().zip(sums.iter().zip(&weighted)).for_each(|(o, (s, w))| *o += k * s - w);
    }
    out
}

fn project_rows(plan: &mut Mat<f64>, log: &mut Mat<f64>, p: &[f64]) {
    let m = plan.cols;
    let nothing = vec![0.0; m];
    plan.data.par_chunks_mut(m).zip(log.data.par_chunks_mut(m)).zip(p).for_each(|((plan, log), &weight)| {
        let top = log.iter().copied().fold(LOG_OF_ZERO, f64::max);
        plan.copy_from_slice(log);
        exp_shift(plan, -top, &nothing);
        let sum: f64 = plan.iter().sum();
        let shift = weight.ln() - top - sum.ln();
        for (t, l) in plan.iter_mut().zip(log) {
            *t *= weight / sum;
            *l = (*l + shift).max(LOG_OF_ZERO);
        }
    });
}

fn project_columns(plan: &mut Mat<f64>, log: &mut Mat<f64>, q: &[f64]) {
    let m = plan.cols;
    let chunk = chunk_rows(plan.rows);
    let mut shift = vec![LOG_OF_ZERO; m];
    for row in log.data.chunks_exact(m) {
        shift.iter_mut().zip(row).for_each(|(s, &l)| *s = s.max(l));
    }
    for s in &mut shift {
        *s = -*s;
    }
    plan.data.par_chunks_mut(chunk * m).zip(log.data.par_chunks(chunk * m)).for_each(|(plan, log)| {
        plan.copy_from_slice(log);
        plan.chunks_exact_mut(m).for_each(|row| exp_shift(row, 0.0, &shift));
    });
    let sums = columns(|_| 1.0, plan);
    let scale: Vec<f64> = q.iter().zip(&sums).map(|(q, s)| q / s).collect();
    shift.iter_mut().zip(&scale).for_each(|(s, by)| *s += by.ln());
    plan.data.par_chunks_mut(m).zip(log.data.par_chunks_mut(m)).for_each(|(plan, log)| {
        plan.iter_mut().zip(&scale).for_each(|(t, by)| *t *= by);
        log.iter_mut().zip(&shift).for_each(|(l, by)| *l = (*l + by).max(LOG_OF_ZERO));
    });
}
