//! What is kept of a solve, and what is derived from it when asked for.

use rayon::prelude::*;

use crate::gw::Status;
use crate::mat::{Mat, gemm_into};
use crate::operator::Operator;
use crate::plan::{round_to_marginals, sum_rows};
use crate::problem::Problem;

/// Y in the precision it was computed in.
#[derive(Debug, Clone)]
pub(crate) enum Exponent {
    Single(Mat<f32>),
    Double(Mat<f64>),
}

/// Seconds of a solve, by what was done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Phases {
    /// Initial plan and its summary.
    pub start: f64,
    /// From the summary to the small factor of the exponent; for dense costs, to the exponent.
    pub products: f64,
    /// Exponent, exponential and first sweep.
    pub kernel: f64,
    /// Further sweeps.
    pub sweeps: f64,
    /// Summary of the new plan, and extrapolation.
    pub summary: f64,
    /// Loss of the rounded plan in float64.
    pub evaluation: f64,
}

/// The end of a solve: potentials and the small factor Y of the exponent, from which plan and top-k are derived.
#[derive(Debug, Clone)]
pub struct Solution {
    /// GW(T) of the rounded plan, in float64: an upper bound of the optimum.
    pub gw_loss: f64,
    /// `GW(T) + epsilon sum T log T` of the same plan.
    pub objective: f64,
    /// Regularisation of the last level.
    pub epsilon: f64,
    /// How it ended.
    pub status: Status,
    /// Outer steps, over all levels.
    pub n_outer: usize,
    /// Sinkhorn sweeps, over all levels.
    pub n_sinkhorn: usize,
    /// L1 error of the column marginal before rounding.
    pub marginal_error: f64,
    /// Relative change of the plan's summary in the last outer step.
    pub change: f64,
    /// Level by level: epsilon, outer steps, relative change at the end.
    pub path: Vec<(f64, usize, f64)>,
    /// In a search: the start whose basin it entered, whose end this is. Steps and path are its own.
    pub merged_into: Option<usize>,
    /// Time spent on this solve.
    pub seconds: f64,
    /// Where that time went.
    pub phases: Phases,
    pub(crate) exponent: Exponent,
    pub(crate) f: Vec<f64>,
    pub(crate) g: Vec<f64>,
}

impl Solution {
    /// The end of `other`, the start numbered `number`, with the steps and the path that led into its basin.
    pub(crate) fn merged(&self, other: &Self, number: usize) -> Self {
        Self {
            n_outer: self.n_outer,
            n_sinkhorn: self.n_sinkhorn,
            path: self.path.clone(),
            seconds: self.seconds,
            phases: self.phases,
            merged_into: Some(number),
            ..other.clone()
        }
    }

    /// Potentials (f of the source, g of the target) in units of epsilon: `T = exp(M + f + g)`. Negative infinity where a weight is 0.
    #[must_use]
    pub fn potentials<'a>(&'a self, problem: &Problem) -> (&'a [f64], &'a [f64]) {
        if problem.swapped { (&self.g, &self.f) } else { (&self.f, &self.g) }
    }

    /// The plan (n x m), rounded onto the exact marginals.
    #[must_use]
    pub fn plan(&self, problem: &Problem) -> Mat<f64> {
        let plan = self.inner_plan(problem);
        if problem.swapped { plan.transposed() } else { plan }
    }

    pub(crate) fn inner_plan(&self, problem: &Problem) -> Mat<f64> {
        let (n, m) = problem.exact.shape();
        let mut plan = Mat::zeros(n, m);
        let block = 64;
        plan.data.par_chunks_mut(block * m).enumerate().for_each(|(c, rows)| self.rows(problem, c * block, rows));
        round_to_marginals(&mut plan, &problem.p, &problem.q);
        plan
    }

    /// Rows of `exp(M + f + g)` in the inner orientation.
    fn rows(&self, problem: &Problem, start: usize, out: &mut [f64]) {
        self.exponents(problem, start, out);
        for (row, &fi) in out.chunks_exact_mut(self.g.len()).zip(&self.f[start..]) {
            for (x, gj) in row.iter_mut().zip(&self.g) {
                // An overflow can only come from a solve that ended in a numerical error; the rounding bounds it.
                *x = (*x + gj + fi).min(0.0).exp();
            }
        }
    }

    fn exponents(&self, problem: &Problem, start: usize, out: &mut [f64]) {
        match &self.exponent {
            Exponent::Double(y) => problem.exact.exponent_rows(y, start, out),
            Exponent::Single(y) => {
                // In the precision of the solve, so that the plan is the one whose marginals were fitted.
                let mut single = vec![0.0f32; out.len()];
                problem.single().exponent_rows(y, start, &mut single);
                for (x, s) in out.iter_mut().zip(single) {
                    *x = f64::from(s);
                }
            }
        }
    }

    /// The `k` most probable targets of each source item (n x k, best first; ties to the lower index), without forming the plan.
    #[must_use]
    pub fn top(&self, problem: &Problem, k: usize) -> Mat<u32> {
        let (n, m) = problem.shape();
        let (fs, gs) = self.potentials(problem);
        let k = k.min(m);
        let mut out = Mat { data: Vec::with_capacity(n * k), rows: n, cols: k };
        let block = 64;
        let mut logits = vec![0.0; block * m];
        for start in (0..n).step_by(block) {
            let rows = block.min(n - start);
            let part = &mut logits[..rows * m];
            if problem.swapped {
                self.transposed_exponents(problem, start, part);
            } else {
                self.exponents(problem, start, part);
            }
            for (row, f) in part.chunks_exact_mut(m).zip(&fs[start..]) {
                for (x, g) in row.iter_mut().zip(gs) {
                    *x += g;
                }
                debug_assert!(!f.is_nan());
                let mut order: Vec<u32> = (0..m as u32).collect();
                let by = |a: &u32, b: &u32| row[*b as usize].total_cmp(&row[*a as usize]).then(a.cmp(b));
                if k < m {
                    order.select_nth_unstable_by(k, by);
                    order.truncate(k);
                }
                order.sort_unstable_by(by);
                out.data.extend(order);
            }
        }
        out
    }

    /// Columns `start ..` of M as rows.
    fn transposed_exponents(&self, problem: &Problem, start: usize, out: &mut [f64]) {
        let n = problem.p.len();
        let cols = out.len() / n;
        let y = match &self.exponent {
            Exponent::Single(y) => y.cast(),
            Exponent::Double(y) => y.clone(),
        };
        match &problem.exact {
            Operator::Factored { left, .. } => {
                gemm_into(out, y.view().t().rows(start, cols), left.view().t(), 1.0, false);
            }
            Operator::Dense { .. } => {
                for (c, row) in out.chunks_exact_mut(n).enumerate() {
                    for (i, x) in row.iter_mut().enumerate() {
                        *x = y.data[i * y.cols + start + c];
                    }
                }
            }
        }
    }

    /// Evaluate loss and objective in float64 on the rounded plan.
    pub(crate) fn evaluate(&mut self, problem: &Problem) {
        let plan = self.inner_plan(problem);
        let entropy = sum_rows(&plan, |_, row| row.iter().filter(|x| **x > 0.0).map(|x| x * x.ln()).sum());
        let mass = sum_rows(&plan, |_, row| row.iter().sum());
        if mass.is_finite() && (mass - 1.0).abs() < 1e-6 {
            self.gw_loss = problem.loss(&plan);
            self.objective = self.gw_loss + self.epsilon * entropy;
        } else {
            self.status = Status::NumericalError;
        }
        if self.status == Status::NumericalError {
            self.gw_loss = f64::INFINITY;
            self.objective = f64::INFINITY;
        }
    }
}
