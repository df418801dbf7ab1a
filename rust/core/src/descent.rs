//! One start on its way: its state, and the outer loop at one value of epsilon.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::anderson::Anderson;
use crate::error::InvalidInput;
use crate::forecast::Forecast;
use crate::gw::{Literal, Settings, Status};
use crate::init::Init;
use crate::kernels::distance_and_norm;
use crate::mat::Mat;
use crate::momentum::Momentum;
use crate::operator::{Operator, Scratch};
use crate::plan::LOG_OF_ZERO;
use crate::problem::Problem;
use crate::real::Real;
use crate::sinkhorn::{Ended, Scaling};
use crate::solution::{Exponent, Phases, Solution};

/// Loosest marginal error of an inner loop, and its share of the last outer change. Looser, and a start close to the unstable
/// uniform plan leaves it along another branch than the exact step takes: another basin.
const LOOSEST_INNER: f64 = 1e-3;
/// Marginal error that rounding leaves, in units of the smallest tolerance.
const INNER_NOISE: f64 = 0.2;
/// Relative change above which the plan is still being formed: nothing can be foretold.
const FORMED: f64 = 0.3;
/// Share of the summary's scale below which its own norm no longer counts: near the uniform plan it vanishes.
const SCALE_FLOOR: f64 = 1e-2;
/// Steps that stand still without their marginals, the error not halved, after which a level ends: the inner loop gets no farther.
const STALLED: usize = 20;
/// Steps that the acceleration combines, and the bytes its history may take.
const DEPTH: usize = 8;
const MAX_HISTORY: usize = 1 << 29;

/// What the outer loop of a problem needs besides its state.
pub struct Descent<'a, R> {
    pub problem: &'a Problem,
    pub operator: &'a Operator<R>,
    pub settings: &'a Settings,
    pub cancel: &'a AtomicBool,
}

/// One epsilon of a schedule, and when to leave it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    pub epsilon: f64,
    pub tol: f64,
    pub max_outer: usize,
    /// Whether steps have momentum, and are extrapolated near the end; while annealing that changes the basin.
    pub last: bool,
}

/// Where a start is.
#[derive(Clone)]
pub struct State<R> {
    /// Summary of the plan.
    pub x: Mat<R>,
    /// Exponent of the last outer step.
    y: Mat<R>,
    f: Vec<f64>,
    g: Vec<f64>,
    /// Of the potentials; None before the first step.
    epsilon: Option<f64>,
    pub status: Status,
    n_outer: usize,
    n_sinkhorn: usize,
    change: f64,
    error: f64,
    changes: Vec<f64>,
    path: Vec<(f64, usize, f64)>,
    phases: Phases,
    seconds: f64,
}

/// The large buffers, which starts share one after the other.
pub struct Workspace<R> {
    scaling: Scaling<R>,
    next: Mat<R>,
    /// Where an exponent is formed before it takes the place of the last; empty where `next` has the room.
    exponent: Mat<R>,
    scratch: Scratch<R>,
    momentum: Momentum<R>,
    anderson: Anderson<R>,
    forecast: Forecast<R>,
}

impl<R: Real> Workspace<R> {
    pub fn new(problem: &Problem, operator: &Operator<R>) -> Self {
        let (rows, cols) = operator.summary_shape();
        let of_exponent = operator.exponent_shape();
        let of_exponent = if of_exponent == (rows, cols) { (0, 0) } else { of_exponent };
        let step = 2 * rows * cols * size_of::<R>();
        Self {
            scaling: Scaling::new(&problem.p, &problem.q),
            next: Mat::zeros(rows, cols),
            exponent: Mat::zeros(of_exponent.0, of_exponent.1),
            scratch: operator.scratch(),
            momentum: Momentum::new(),
            anderson: Anderson::new(DEPTH.min(MAX_HISTORY / step.max(1))),
            forecast: Forecast::new(),
        }
    }
}

impl<R: Real> State<R> {
    /// At the summary of an initial plan.
    pub fn new(operator: &Operator<R>, x: Mat<R>) -> Self {
        let (rows, cols) = operator.exponent_shape();
        Self {
            x,
            y: Mat::zeros(rows, cols),
            f: Vec::new(),
            g: Vec::new(),
            epsilon: None,
            status: Status::MaxOuter,
            n_outer: 0,
            n_sinkhorn: 0,
            change: f64::INFINITY,
            error: f64::INFINITY,
            changes: Vec::new(),
            path: Vec::new(),
            phases: Phases::default(),
            seconds: 0.0,
        }
    }

    /// Move on to the plan after a literal step, the `steps`-th; whether it stands still.
    fn take(&mut self, next: &mut Mat<R>, steps: usize, ended: Ended, tol: f64) -> bool {
        let mut still = false;
        if steps % Literal::EVERY == 1 {
            let change = squared_distance(next, &self.x).0.sqrt();
            self.changes.push(change);
            still = change <= tol;
        }
        std::mem::swap(&mut self.x, next);
        self.status = match ended {
            Ended::MaxIterations => Status::MaxSinkhorn,
            _ if still => Status::Converged,
            _ => Status::MaxOuter,
        };
        still
    }

    /// What is kept of it; `seconds` were spent before its first step.
    pub fn finish(
        self,
        problem: &Problem,
        keep: impl Fn(Mat<R>) -> Exponent,
        seconds: f64,
        parallel: bool,
    ) -> Solution {
        let mut solution = self.unevaluated(keep, seconds);
        let clock = Instant::now();
        solution.evaluate(problem, parallel);
        solution.phases.evaluation = clock.elapsed().as_secs_f64();
        solution.seconds += solution.phases.evaluation;
        solution
    }

    /// The same, its loss not yet known and infinite.
    pub fn unevaluated(self, keep: impl Fn(Mat<R>) -> Exponent, seconds: f64) -> Solution {
        Solution {
            gw_loss: f64::INFINITY,
            objective: f64::INFINITY,
            epsilon: self.epsilon.unwrap_or(f64::NAN),
            status: self.status,
            n_outer: self.n_outer,
            n_sinkhorn: self.n_sinkhorn,
            marginal_error: self.error,
            change: self.change,
            changes: self.changes,
            path: self.path,
            merged_into: None,
            stopped_by: None,
            seconds: self.seconds + seconds,
            phases: Phases { start: seconds, ..self.phases },
            exponent: keep(self.y),
            f: self.f,
            g: self.g,
        }
    }

    /// Whether there is a plan: a first step was made.
    pub fn has_begun(&self) -> bool {
        self.epsilon.is_some()
    }
}

impl<R: Real> Descent<'_, R> {
    /// Large buffers for one start at a time.
    pub fn space(&self) -> Workspace<R> {
        Workspace::new(self.problem, self.operator)
    }

    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    /// The state at an initial plan, which is none once the solve is cancelled.
    pub fn start(&self, init: &Init, parallel: bool) -> Result<State<R>, InvalidInput> {
        if self.cancelled() {
            let (rows, cols) = self.operator.summary_shape();
            return Ok(State::new(self.operator, Mat::zeros(rows, cols)));
        }
        let x = self.problem.initial_summary(init, self.operator, parallel, self.cancel)?;
        let mut state = State::new(self.operator, x);
        if self.settings.literal.is_some_and(|literal| literal.proximal) {
            for (y, x) in state.y.data.iter_mut().zip(&state.x.data) {
                *y = R::from_f64(x.to_f64().ln().max(LOG_OF_ZERO));
            }
            // Rounding onto the weights puts a little mass everywhere, and what has none must never get any.
            if let Init::Plan(plan) = init {
                for (y, given) in state.y.data.iter_mut().zip(self.problem.oriented(plan).data) {
                    *y = if given > 0.0 { *y } else { R::from_f64(LOG_OF_ZERO) };
                }
            }
        }
        Ok(state)
    }

    /// Move the exponent on by a step, formed in `room`; false, and nothing has moved, once the solve is cancelled.
    fn exponent(
        &self,
        state: &mut State<R>,
        epsilon: f64,
        room: &mut Mat<R>,
        scratch: &mut Scratch<R>,
        parallel: bool,
    ) -> bool {
        let clock = Instant::now();
        self.operator.outer_step(&state.x, self.problem.step(epsilon), room, scratch, parallel, self.cancel);
        state.phases.products += clock.elapsed().as_secs_f64();
        if self.cancelled() {
            return false;
        }
        if self.settings.literal.is_some_and(|literal| literal.proximal) {
            state.y.data.iter_mut().zip(&room.data).for_each(|(y, &step)| *y += step);
        } else {
            std::mem::swap(&mut state.y, room);
        }
        self.operator.line_up(&state.y, scratch);
        true
    }

    /// Outer steps at one epsilon until the plan stands still.
    pub fn level(&self, space: &mut Workspace<R>, state: &mut State<R>, level: &Level, parallel: bool) {
        if self.cancelled() {
            state.status = Status::Interrupted;
            return;
        }
        let clock = Instant::now();
        let (operator, epsilon, tol) = (self.operator, level.epsilon, level.tol);
        let scale = SCALE_FLOOR * operator.summary_scale(&self.problem.p);
        let Workspace { scaling, next, exponent, scratch, momentum, anderson, forecast } = space;
        let previous = state.epsilon;
        match previous {
            Some(previous) => scaling.load(Some((&state.f, &state.g)), previous / epsilon),
            None => scaling.load(None, 1.0),
        }
        scaling.seconds = (0.0, 0.0);
        momentum.clear();
        anderson.clear();
        forecast.clear();
        state.epsilon = Some(epsilon);
        state.change = f64::INFINITY;
        state.status = Status::MaxOuter;
        let mut steps = 0;
        let mut stall = Stall { least: f64::INFINITY, steps: 0 };
        while steps < level.max_outer {
            let room = if exponent.data.is_empty() { &mut *next } else { &mut *exponent };
            if !self.exponent(state, epsilon, room, scratch, parallel) {
                state.status = Status::Interrupted;
                if steps == 0 {
                    // Exponent and potentials are those of the level before.
                    state.epsilon = previous;
                    return;
                }
                break;
            }
            let at = Instant::now();
            // With a dense source the products take the time, and sweeps are not worth an inexact start.
            if state.change < FORMED
                && operator.factor().is_some()
                && !scaling.is_slow()
                && let Some(by) = forecast.shift(&state.x)
            {
                scaling.shift(&by);
            }
            state.phases.summary += at.elapsed().as_secs_f64();
            let inner_tol = (0.1 * state.change).min(LOOSEST_INNER).max(0.3 * tol);
            // Where sweeps are slow, a small marginal error is left by potentials that are still far off.
            let inner_tol = (inner_tol * scaling.contraction()).max(inner_tol.min(INNER_NOISE * R::MIN_TOL));
            let inner_tol = self.settings.literal.map_or(inner_tol, |literal| literal.inner_tol);
            let y = &state.y;
            let fill = |i: usize, out: &mut [R], pitch: usize| operator.exponent_lines(y, scratch, i, out, pitch);
            let projection = scaling.project(&fill, inner_tol, self.settings.max_sinkhorn, parallel, self.cancel);
            state.n_sinkhorn += projection.sweeps;
            state.error = projection.marginal_error;
            steps += 1;
            match projection.ended {
                Ended::NumericalError => state.status = Status::NumericalError,
                Ended::Interrupted => state.status = Status::Interrupted,
                Ended::Converged | Ended::MaxIterations => {}
            }
            if matches!(state.status, Status::NumericalError | Status::Interrupted) {
                break;
            }
            let at = Instant::now();
            operator.summarise_scaled(&scaling.kernel, (&scaling.u, &scaling.v), next, scratch, parallel);
            state.phases.summary += at.elapsed().as_secs_f64();
            state.change = relative_change(next, &state.x, scale);
            if self.settings.literal.is_some() {
                if state.take(next, steps, projection.ended, tol) {
                    break;
                }
                continue;
            }
            if state.change <= tol {
                state.status = if state.error <= tol { Status::Converged } else { Status::MaxSinkhorn };
                if state.status == Status::Converged {
                    std::mem::swap(&mut state.x, next);
                    break;
                }
                if stall.at(state.error) {
                    break;
                }
            } else {
                // The loop that ran out last: without marginals the outer loop cannot end.
                let without = projection.ended == Ended::MaxIterations && state.error > tol;
                state.status = if without { Status::MaxSinkhorn } else { Status::MaxOuter };
            }
            let at = Instant::now();
            forecast.learn(&state.x, scaling.potentials());
            if !level.last {
                std::mem::swap(&mut state.x, next);
            } else if anderson.takes(state.change) {
                momentum.clear();
                anderson.advance(&mut state.x, next, parallel);
            } else {
                momentum.advance(&mut state.x, next, state.change, parallel);
            }
            state.phases.summary += at.elapsed().as_secs_f64();
        }
        (state.f, state.g) = scaling.potentials();
        state.n_outer += steps;
        state.path.push((epsilon, steps, state.change));
        state.phases.kernel += scaling.seconds.0;
        state.phases.sweeps += scaling.seconds.1;
        state.seconds += clock.elapsed().as_secs_f64();
    }
}

/// Steps that stand still without their marginals.
struct Stall {
    least: f64,
    steps: usize,
}

impl Stall {
    /// One more, of this marginal error; whether it is the last of [`STALLED`] that did not halve the error.
    fn at(&mut self, error: f64) -> bool {
        self.steps += 1;
        if error < 0.5 * self.least {
            *self = Self { least: error, steps: 0 };
        }
        self.steps == STALLED
    }
}

/// `|next - x| / max(|next|, scale)`, Frobenius, summed in float64.
fn relative_change<R: Real>(next: &Mat<R>, x: &Mat<R>, scale: f64) -> f64 {
    let (moved, norm) = squared_distance(next, x);
    let norm = norm.sqrt().max(scale);
    if norm > 0.0 { moved.sqrt() / norm } else { 0.0 }
}

/// `|a - b|^2` and `|a|^2`, Frobenius, summed in float64.
pub fn squared_distance<R: Real>(a: &Mat<R>, b: &Mat<R>) -> (f64, f64) {
    distance_and_norm(&a.data, &b.data)
}
