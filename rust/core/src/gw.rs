//! The outer loop: entropic Gromov-Wasserstein by projected mirror steps, along a schedule of epsilon.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::error::InvalidInput;
use crate::init::Init;
use crate::mat::Mat;
use crate::operator::Operator;
use crate::problem::Problem;
use crate::real::Real;
use crate::sinkhorn::{Ended, Scaling};
use crate::solution::{Exponent, Solution};

/// How a solve ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Outer change and marginal error are below the tolerance.
    Converged,
    /// The outer steps ran out.
    MaxOuter,
    /// The outer loop stood still, but the inner loop did not reach the marginals within its sweeps.
    MaxSinkhorn,
    /// The numbers left the floating-point range; the loss is infinite.
    NumericalError,
    /// Cancelled; what is returned is the last plan.
    Interrupted,
}

/// Precision of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Kernel and products in float32; potentials, column sums and the loss in float64.
    Mixed,
    /// Everything in float64.
    Float64,
}

/// Tolerances and limits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Relative change of the plan's summary, and L1 marginal error, at which a solve has converged.
    pub tol: f64,
    /// Outer steps at the last level.
    pub max_outer: usize,
    /// Sinkhorn sweeps an outer step.
    pub max_sinkhorn: usize,
    /// Relative change at which an earlier level of the schedule is left.
    pub level_tol: f64,
    /// Outer steps an earlier level.
    pub level_max_outer: usize,
    /// Precision of the kernel.
    pub precision: Precision,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tol: 1e-5,
            max_outer: 1000,
            max_sinkhorn: 1000,
            level_tol: 1e-2,
            level_max_outer: 25,
            precision: Precision::Mixed,
        }
    }
}

/// Where to start, and through which values of epsilon to go; the last one is solved to the tolerance.
#[derive(Debug, Clone)]
pub struct Start {
    /// Initial plan.
    pub init: Init,
    /// Schedule; at least one value.
    pub epsilons: Vec<f64>,
}

/// Loosest marginal error of an inner loop, and its share of the last outer change. Looser, and a start close to the unstable
/// uniform plan leaves it along another branch than the exact step takes: another basin.
const LOOSEST_INNER: f64 = 1e-3;
/// Share of the summary's scale below which its own norm no longer counts: near the uniform plan it vanishes.
const SCALE_FLOOR: f64 = 1e-2;

/// Solve from one start. `parallel` spreads the solve over the current rayon pool; the result does not depend on it.
///
/// # Errors
/// An epsilon or tolerance that is not positive, or a given initial plan that does not fit.
pub fn solve(
    problem: &Problem,
    start: &Start,
    settings: &Settings,
    parallel: bool,
    cancel: &AtomicBool,
) -> Result<Solution, InvalidInput> {
    let positive = |name, value: f64| {
        if value > 0.0 && value.is_finite() { Ok(()) } else { Err(InvalidInput::NotPositive { name, value }) }
    };
    positive("epsilon", start.epsilons.last().copied().unwrap_or(f64::NAN))?;
    start.epsilons.iter().try_for_each(|&e| positive("epsilon", e))?;
    positive("tol", settings.tol)?;
    let clock = Instant::now();
    let plan = problem.inner_plan(&start.init)?;
    let mut solution = match settings.precision {
        Precision::Mixed => {
            descend(problem, problem.single(), &plan.cast(), start, settings, parallel, cancel, Exponent::Single)
        }
        Precision::Float64 => {
            descend(problem, &problem.exact, &plan, start, settings, parallel, cancel, Exponent::Double)
        }
    };
    drop(plan);
    solution.evaluate(problem);
    solution.seconds = clock.elapsed().as_secs_f64();
    Ok(solution)
}

#[allow(clippy::too_many_arguments)]
fn descend<R: Real>(
    problem: &Problem,
    operator: &Operator<R>,
    plan: &Mat<R>,
    start: &Start,
    settings: &Settings,
    parallel: bool,
    cancel: &AtomicBool,
    keep: impl Fn(Mat<R>) -> Exponent,
) -> Solution {
    let (n, _) = operator.shape();
    let scale = SCALE_FLOOR * operator.summary_scale(&problem.p);
    let mut x = operator.summary(plan, parallel);
    let mut next = Mat::zeros(x.rows, x.cols);
    let mut scratch = Mat::zeros(n, operator.scratch_cols());
    let (rows, cols) = operator.exponent_shape();
    let mut y = Mat::zeros(rows, cols);
    let mut scaling = Scaling::<R>::new(&problem.p, &problem.q);
    let (mut n_outer, mut n_sinkhorn) = (0, 0);
    let (mut change, mut error) = (f64::INFINITY, f64::INFINITY);
    let mut path = Vec::with_capacity(start.epsilons.len());
    let mut status = Status::MaxOuter;
    let mut previous = None;
    'levels: for (level, &epsilon) in start.epsilons.iter().enumerate() {
        let last = level + 1 == start.epsilons.len();
        let (tol, limit) = if last {
            (settings.tol, settings.max_outer)
        } else {
            (settings.level_tol.max(settings.tol), settings.level_max_outer)
        };
        if let Some(previous) = previous.replace(epsilon) {
            scaling.rescale(previous / epsilon);
        }
        change = f64::INFINITY;
        status = Status::MaxOuter;
        let mut steps = 0;
        while steps < limit {
            operator.outer_step(&x, 4.0 / epsilon, &mut y, parallel);
            let inner_tol = (0.1 * change).min(LOOSEST_INNER).max(0.3 * tol);
            let fill = |i: usize, out: &mut [R]| operator.exponent_rows(&y, i, out);
            let projection = scaling.project(&fill, inner_tol, settings.max_sinkhorn, parallel, cancel);
            n_sinkhorn += projection.sweeps;
            error = projection.marginal_error;
            steps += 1;
            match projection.ended {
                Ended::NumericalError => status = Status::NumericalError,
                Ended::Interrupted => status = Status::Interrupted,
                Ended::Converged | Ended::MaxIterations => {}
            }
            if cancel.load(Ordering::Relaxed) {
                status = Status::Interrupted;
            }
            if matches!(status, Status::NumericalError | Status::Interrupted) {
                n_outer += steps;
                path.push((epsilon, steps, change));
                break 'levels;
            }
            operator.summarise_scaled(&scaling.kernel, (&scaling.u, &scaling.v), &mut next, &mut scratch, parallel);
            change = relative_change(&next, &x, scale);
            std::mem::swap(&mut x, &mut next);
            if change <= tol {
                status = if error <= tol { Status::Converged } else { Status::MaxSinkhorn };
                if status == Status::Converged {
                    break;
                }
            } else {
                status = Status::MaxOuter;
            }
        }
        n_outer += steps;
        path.push((epsilon, steps, change));
    }
    let (f, g) = scaling.potentials();
    Solution {
        gw_loss: f64::INFINITY,
        objective: f64::INFINITY,
        epsilon: previous.unwrap_or(f64::NAN),
        status,
        n_outer,
        n_sinkhorn,
        marginal_error: error,
        change,
        path,
        seconds: 0.0,
        exponent: keep(y),
        f,
        g,
    }
}

/// `|next - x| / max(|next|, scale)`, Frobenius, summed in float64.
fn relative_change<R: Real>(next: &Mat<R>, x: &Mat<R>, scale: f64) -> f64 {
    let (mut moved, mut norm) = (0.0, 0.0);
    for (a, b) in next.data.chunks(1024).zip(x.data.chunks(1024)) {
        let (mut d, mut s) = (0.0, 0.0);
        for (&a, &b) in a.iter().zip(b) {
            let (a, b) = (a.to_f64(), b.to_f64());
            d += (a - b) * (a - b);
            s += a * a;
        }
        moved += d;
        norm += s;
    }
    let norm = norm.sqrt().max(scale);
    if norm > 0.0 { moved.sqrt() / norm } else { 0.0 }
}
