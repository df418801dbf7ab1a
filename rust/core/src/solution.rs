//! What is kept of a solve, and what is derived from it when asked for.

use rayon::prelude::*;

use crate::error::InvalidInput;
use crate::gw::Status;
use crate::kernels::exp_capped;
use crate::mat::Mat;
use crate::operator::Operator;
use crate::plan::round_to_marginals;
use crate::problem::Problem;
use crate::real::Real;
use crate::rows::{NEVER, Rows, held};

/// Y in the precision it was computed in.
#[derive(Debug, Clone, PartialEq)]
pub enum Exponent {
    /// Of a solve in mixed precision.
    Single(Mat<f32>),
    /// Of a solve in float64.
    Double(Mat<f64>),
}

impl Exponent {
    fn shape(&self) -> (usize, usize) {
        match self {
            Self::Single(y) => (y.rows, y.cols),
            Self::Double(y) => (y.rows, y.cols),
        }
    }

    fn first_not_finite(&self) -> Option<(usize, f64)> {
        match self {
            Self::Single(y) => y.data.iter().map(|x| f64::from(*x)).enumerate().find(|(_, x)| !x.is_finite()),
            Self::Double(y) => y.data.iter().copied().enumerate().find(|(_, x)| !x.is_finite()),
        }
    }
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
    /// GW(T) of the rounded plan, in float64: an upper bound of the optimum. Infinite where there is no plan.
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
    /// Of literal steps: Frobenius norms of the change of the plan, at the first step and every tenth from there.
    pub changes: Vec<f64>,
    /// Level by level: epsilon, outer steps, relative change at the end.
    pub path: Vec<(f64, usize, f64)>,
    /// In a search: the start whose basin it entered, whose end this is. Steps and path are its own.
    pub merged_into: Option<usize>,
    /// In a search: the start with the lowest objective when this one was stopped.
    pub stopped_by: Option<usize>,
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

    /// With the numbers of other starts taken from those of a list.
    pub(crate) fn renumbered(self, numbers: &[usize]) -> Self {
        let of = |other: Option<usize>| other.map(|i| numbers[i]);
        Self { merged_into: of(self.merged_into), stopped_by: of(self.stopped_by), ..self }
    }

    /// Y, with the potentials all that a plan of this problem is derived from: r + 1 rows for a factored side, else an n x m matrix.
    #[must_use]
    pub fn exponent(&self) -> &Exponent {
        &self.exponent
    }

    /// A solution again from its exponent and potentials (f of the source, g of the target), its loss evaluated anew. Nothing is known
    /// of its steps: they are 0, and the status is that it converged.
    ///
    /// # Errors
    /// An exponent or potentials of another problem's size, or with a NaN or infinity; minus infinity is the potential of a weight of 0.
    pub fn restored(
        problem: &Problem,
        exponent: Exponent,
        f: Vec<f64>,
        g: Vec<f64>,
        epsilon: f64,
    ) -> Result<Self, InvalidInput> {
        let (n, m) = problem.shape();
        for (name, x, len) in [("f", &f, n), ("g", &g, m)] {
            if x.len() != len {
                return Err(InvalidInput::Shape { name, actual: (x.len(), 1), expected: (len, 1) });
            }
            if let Some(row) = x.iter().position(|x| x.is_nan() || *x == f64::INFINITY) {
                return Err(InvalidInput::NotFinite { name, row, col: 0, value: x[row] });
            }
        }
        let rows = problem.exact.factor().map_or(problem.p.len(), |left| left.cols);
        let (actual, expected) = (exponent.shape(), (rows, problem.q.len()));
        if actual != expected {
            return Err(InvalidInput::Shape { name: "exponent", actual, expected });
        }
        if let Some((at, value)) = exponent.first_not_finite() {
            let (row, col) = (at / actual.1, at % actual.1);
            return Err(InvalidInput::NotFinite { name: "exponent", row, col, value });
        }
        if !(epsilon > 0.0 && epsilon.is_finite()) {
            return Err(InvalidInput::NotPositive { name: "epsilon", value: epsilon });
        }
        let (f, g) = if problem.swapped { (g, f) } else { (f, g) };
        let mut solution = Self {
            gw_loss: f64::INFINITY,
            objective: f64::INFINITY,
            epsilon,
            status: Status::Converged,
            n_outer: 0,
            n_sinkhorn: 0,
            marginal_error: 0.0,
            change: 0.0,
            changes: Vec::new(),
            path: Vec::new(),
            merged_into: None,
            stopped_by: None,
            seconds: 0.0,
            phases: Phases::default(),
            exponent,
            f,
            g,
        };
        solution.evaluate(problem, true);
        Ok(solution)
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

    /// In the orientation the problem is solved in.
    fn inner_plan(&self, problem: &Problem) -> Mat<f64> {
        let fill = |i: usize, out: &mut [f64]| self.rows(problem, i, out);
        let mut plan = Rows { fill: &fill, p: &problem.p, q: &problem.q, parallel: true, cancel: &NEVER }.formed();
        round_to_marginals(&mut plan, &problem.p, &problem.q);
        plan
    }

    /// Rows of `exp(M + f + g)` in the inner orientation.
    fn rows(&self, problem: &Problem, start: usize, out: &mut [f64]) {
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
        for (row, &fi) in out.chunks_exact_mut(self.g.len()).zip(&self.f[start..]) {
            // An overflow can only come from a solve that ended in a numerical error; the rounding bounds it.
            exp_capped(row, fi, &self.g);
        }
    }

    /// The `k` most probable targets of each source item (n x k, best first; ties to the lower index), without forming the plan.
    #[must_use]
    pub fn top(&self, problem: &Problem, k: usize) -> Mat<u32> {
        let g: Vec<f64> = self.potentials(problem).1.to_vec();
        match &self.exponent {
            Exponent::Single(y) => top(problem.single(), y, problem.swapped, &g, k),
            Exponent::Double(y) => top(&problem.exact, y, problem.swapped, &g, k),
        }
    }

    /// With its loss, where a search that was cancelled has left it out. Over the current rayon pool.
    #[must_use]
    pub fn evaluated(&self, problem: &Problem) -> Self {
        let mut own = self.clone();
        if self.gw_loss == f64::INFINITY {
            own.evaluate(problem, true);
        }
        own
    }

    /// Evaluate loss and objective in float64 on the rounded plan.
    pub(crate) fn evaluate(&mut self, problem: &Problem, parallel: bool) {
        if self.f.is_empty() {
            return;
        }
        let (loss, mass, entropy) = self.loss_mass_entropy(problem, parallel);
        if loss.is_finite() && entropy.is_finite() && (mass - 1.0).abs() < 1e-6 && self.status != Status::NumericalError
        {
            self.gw_loss = loss;
            self.objective = (loss + self.epsilon * entropy).max(f64::MIN);
        } else {
            self.status = Status::NumericalError;
            self.gw_loss = f64::INFINITY;
            self.objective = f64::INFINITY;
        }
    }

    /// GW(T), `sum T` and `sum T log T` of the rounded plan. For a factored source in two passes over its rows.
    fn loss_mass_entropy(&self, problem: &Problem, parallel: bool) -> (f64, f64, f64) {
        let fill = |i: usize, out: &mut [f64]| self.rows(problem, i, out);
        let rows = Rows { fill: &fill, p: &problem.p, q: &problem.q, parallel, cancel: &NEVER };
        let factor = problem.exact.factor();
        let (rounding, x) = rows.rounding(factor.unwrap_or(&Mat::zeros(problem.p.len(), 0)).view());
        let fill = rows.rounded(&rounding);
        let plan = Rows { fill: &fill, ..rows };
        let (loss, (mass, entropy)) = if factor.is_some() {
            (problem.loss_of(&x, parallel), plan.mass_and_entropy())
        } else {
            // Without a factor the loss takes products with the whole plan.
            let formed = plan.formed();
            (problem.loss_of(&formed, parallel), Rows { fill: &held(&formed), ..rows }.mass_and_entropy())
        };
        (loss, mass, entropy)
    }
}

/// Positions of the `k` largest `M_ij + g_j` of each source item i.
fn top<R: Real>(operator: &Operator<R>, y: &Mat<R>, swapped: bool, g: &[f64], k: usize) -> Mat<u32> {
    const BLOCK: usize = 64;
    let (rows, cols) = operator.shape();
    let (n, m) = if swapped { (cols, rows) } else { (rows, cols) };
    let k = k.min(m);
    let mut out = Mat { data: vec![0; n * k], rows: n, cols: k };
    out.data.par_chunks_mut(BLOCK * k.max(1)).enumerate().for_each(|(c, out)| {
        let start = c * BLOCK;
        let mut exponents = vec![R::ZERO; out.len() / k * m];
        if swapped {
            operator.exponent_cols(y, start, &mut exponents);
        } else {
            operator.exponent_rows(y, start, &mut exponents);
        }
        let mut logits = vec![0.0; m];
        for (row, out) in exponents.chunks_exact(m).zip(out.chunks_exact_mut(k)) {
            for ((logit, x), g) in logits.iter_mut().zip(row).zip(g) {
                *logit = x.to_f64() + g;
            }
            largest(&logits, out);
        }
    });
    out
}

/// Positions of the largest numbers, as many as `out` holds, in descending order; ties to the lower position.
fn largest(x: &[f64], out: &mut [u32]) {
    let mut found = 0;
    for (j, &new) in x.iter().enumerate() {
        if found == out.len() && out.last().is_none_or(|&i| new <= x[i as usize]) {
            continue;
        }
        let at = out[..found].partition_point(|&i| x[i as usize] >= new);
        found = (found + 1).min(out.len());
        out[at..found].rotate_right(1);
        out[at] = j as u32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_in_order_are_those_of_a_stable_sort() {
        let x: Vec<f64> = (0..50).map(|i| f64::from(i * 7 % 23)).chain([f64::NEG_INFINITY; 3]).collect();
        let mut order: Vec<u32> = (0..x.len() as u32).collect();
        order.sort_by(|&a, &b| x[b as usize].total_cmp(&x[a as usize]));
        for k in [0, 1, 2, 10, x.len()] {
            let mut out = vec![0; k];
            largest(&x, &mut out);
            assert_eq!(out, order[..k]);
        }
    }
}
