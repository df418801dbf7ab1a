//! The outer loop: entropic Gromov-Wasserstein by projected mirror steps, along a schedule of epsilon.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::descent::{Descent, Level, State, Workspace};
use crate::error::InvalidInput;
use crate::init::Init;
use crate::problem::Problem;
use crate::real::Real;
use crate::solution::{Exponent, Solution};

/// How a solve ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Outer change and marginal error are below the tolerance.
    Converged,
    /// The outer steps ran out.
    MaxOuter,
    /// The inner loop did not reach the marginals within its sweeps, in the last outer step; the outer loop stood still, or its steps ran out.
    MaxSinkhorn,
    /// The numbers left the floating-point range; the loss is infinite.
    NumericalError,
    /// Cancelled; what is returned is the last plan, if there was one.
    Interrupted,
    /// In a search: left at the last epsilon, loosely solved, because its loss was out of reach of another start's.
    Stopped,
}

/// Precision of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// Kernel and products in float32; potentials, column sums and the loss in float64. A start whose epsilon is so small that float32 would
    /// not resolve the exponent ([`Problem::resolves`]) is solved in float64.
    Mixed,
    /// Everything in float64.
    Float64,
}

/// Every step as it is written, for results that are to be those of an implementation without shortcuts, POT's: none is made longer or
/// extrapolated, and each inner loop is solved to the same tolerance. The problem's exponents must be held whole ([`crate::Terms`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Literal {
    /// `T <- Sinkhorn(T exp(-cost / epsilon))` in place of `Sinkhorn(exp(-cost / epsilon))`: the proximal step, in which epsilon is no
    /// regularisation but the inverse of a step length (Xu, Luo, Zha & Carin 2019, <https://arxiv.org/abs/1901.06003>).
    pub proximal: bool,
    /// L1 marginal error of an inner loop.
    pub inner_tol: f64,
}

impl Literal {
    /// The change of the plan is looked at every so many steps, from the first on.
    pub const EVERY: usize = 10;
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
    /// Steps as they are written; `tol` is then the Frobenius norm of the change of the plan.
    pub literal: Option<Literal>,
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
            literal: None,
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

/// Tolerance at which a start that has come down a schedule is first compared with the others.
const NEARLY: f64 = 5e-4;

impl Start {
    pub(crate) fn check(&self, settings: &Settings) -> Result<(), InvalidInput> {
        let positive = |name, value: f64| {
            if value > 0.0 && value.is_finite() { Ok(()) } else { Err(InvalidInput::NotPositive { name, value }) }
        };
        positive("epsilon", self.epsilons.last().copied().unwrap_or(f64::NAN))?;
        self.epsilons.iter().try_for_each(|&e| positive("epsilon", e))?;
        positive("tol", settings.tol)
    }

    /// The levels it goes through; when it is to be compared with other starts, the last epsilon is solved loosely first.
    pub(crate) fn levels(&self, settings: &Settings, compared: bool) -> Vec<Level> {
        let Some((&end, before)) = self.epsilons.split_last() else { return Vec::new() };
        let loosely = |epsilon| Level {
            epsilon,
            tol: settings.level_tol.max(settings.tol),
            max_outer: settings.level_max_outer,
            last: false,
        };
        let mut levels: Vec<Level> = before.iter().map(|&e| loosely(e)).collect();
        if compared {
            levels.push(Level {
                epsilon: end,
                tol: NEARLY.max(settings.tol),
                max_outer: settings.max_outer,
                last: true,
            });
        }
        levels.push(Level { epsilon: end, tol: settings.tol, max_outer: settings.max_outer, last: true });
        levels
    }
}

/// Solve from one start. `parallel` spreads the solve over the current rayon pool; the result does not depend on it.
///
/// # Errors
/// An epsilon or tolerance that is not positive, a given initial plan that does not fit, or a weight that mixed precision cannot hold.
pub fn solve(
    problem: &Problem,
    start: &Start,
    settings: &Settings,
    parallel: bool,
    cancel: &AtomicBool,
) -> Result<Solution, InvalidInput> {
    start.check(settings)?;
    if settings.precision == Precision::Mixed {
        problem.check_single()?;
    }
    match problem.precision(settings.precision, start) {
        Precision::Mixed => {
            let descent = Descent { problem, operator: problem.single(), settings, cancel };
            let (state, before) = descend(&descent, start, &mut descent.space(), parallel)?;
            Ok(state.finish(problem, Exponent::Single, before, parallel))
        }
        Precision::Float64 => {
            let descent = Descent { problem, operator: &problem.exact, settings, cancel };
            let (state, before) = descend(&descent, start, &mut descent.space(), parallel)?;
            Ok(state.finish(problem, Exponent::Double, before, parallel))
        }
    }
}

/// One start through all its levels, in large buffers that others may have used before; and the seconds before its first step.
pub(crate) fn descend<R: Real>(
    descent: &Descent<R>,
    start: &Start,
    space: &mut Workspace<R>,
    parallel: bool,
) -> Result<(State<R>, f64), InvalidInput> {
    let clock = Instant::now();
    let mut state = descent.start(&start.init, parallel)?;
    let before = clock.elapsed().as_secs_f64();
    for level in start.levels(descent.settings, false) {
        descent.level(space, &mut state, &level, parallel);
        if matches!(state.status, Status::NumericalError | Status::Interrupted) {
            break;
        }
    }
    Ok((state, before))
}
