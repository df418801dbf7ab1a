//! Many starts of one problem.
//!
//! Starts that come down a schedule of epsilon go level by level, together. After a level, one that has come to the plan of another,
//! at the same epsilon and with the same levels before it, would only repeat it, and is merged into it. Those that are left solve the
//! last epsilon loosely; one that is then out of reach of the best is stopped, the others are solved to the tolerance.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rayon::prelude::*;

use crate::awake::awake;
use crate::descent::{Descent, Level, State, Workspace, squared_distance};
use crate::error::InvalidInput;
use crate::gw::{Precision, Settings, Start, Status, descend};
use crate::init::{Init, InitKind};
use crate::mat::Mat;
use crate::problem::Problem;
use crate::real::Real;
use crate::solution::{Exponent, Solution};

/// Called when a level of a start has ended, with the start's number and, after its last, its end; from any thread, in any order.
pub type Done<'a> = &'a (dyn Fn(usize, Option<&Solution>) + Sync);

/// Distance of two plans' summaries, relative to that from the uniform plan, below which they are in one basin.
const SAME_BASIN: f64 = 0.05;
/// Distance from the uniform plan, relative to the plan's summary or to its scale, below which nothing is decided yet.
const UNDECIDED: f64 = 1e-2;
/// Loss, relative to that of the best, above which a start is stopped once its last epsilon is solved loosely. The best is the one of
/// lowest objective, which may have a loss above another's, and is never stopped. The tolerance changes a loss
/// by far less, and near-ties, within 1 %, are to be kept.
const OUT_OF_REACH: f64 = 1.03;
/// Rounding of a loss in single precision, as a share of the loss of independent plans.
const LOSS_NOISE: f64 = 1e-6;
/// Bytes of a kernel above which a thread does not get one of its own.
const LARGE: usize = 1 << 28;

/// Solve from every start, in the current rayon pool: over the starts when there are enough of them, otherwise inside each.
/// Solutions in the order of the starts; the same for any number of threads. Once `cancel` is set, those on their way are interrupted, and
/// what has not been evaluated is left so, with an infinite loss (see [`Solution::evaluated`]); None for one that had not begun.
///
/// # Errors
/// The first invalid start, or a weight that mixed precision cannot hold.
pub fn search(
    problem: &Problem,
    starts: &[Start],
    settings: &Settings,
    cancel: &AtomicBool,
    done: Done,
) -> Result<Vec<Option<Solution>>, InvalidInput> {
    starts.iter().try_for_each(|s| s.check(settings))?;
    if settings.precision == Precision::Mixed {
        problem.check_single()?;
    }
    let precisions: Vec<Precision> = starts.iter().map(|s| problem.precision(settings.precision, s)).collect();
    let mut ends = vec![None; starts.len()];
    for precision in [Precision::Mixed, Precision::Float64] {
        let numbers: Vec<usize> = (0..starts.len()).filter(|&i| precisions[i] == precision).collect();
        if numbers.is_empty() {
            continue;
        }
        if numbers.len() == starts.len() {
            return in_precision(problem, starts, settings, precision, cancel, done);
        }
        // Starts of the two precisions go down to other values of epsilon: they have nothing to do with each other.
        let some: Vec<Start> = numbers.iter().map(|&i| starts[i].clone()).collect();
        let done = |i: usize, end: Option<&Solution>| {
            done(numbers[i], end.map(|end| end.clone().renumbered(&numbers)).as_ref());
        };
        for (&i, end) in numbers.iter().zip(in_precision(problem, &some, settings, precision, cancel, &done)?) {
            ends[i] = end.map(|end| end.renumbered(&numbers));
        }
    }
    Ok(ends)
}

fn in_precision(
    problem: &Problem,
    starts: &[Start],
    settings: &Settings,
    precision: Precision,
    cancel: &AtomicBool,
    done: Done,
) -> Result<Vec<Option<Solution>>, InvalidInput> {
    match precision {
        Precision::Mixed => {
            let descent = Descent { problem, operator: problem.single(), settings, cancel };
            Rounds { descent, spaces: Mutex::new(Vec::new()), done }.all(starts, Exponent::Single)
        }
        Precision::Float64 => {
            let descent = Descent { problem, operator: &problem.exact, settings, cancel };
            Rounds { descent, spaces: Mutex::new(Vec::new()), done }.all(starts, Exponent::Double)
        }
    }
}

struct Rounds<'a, R> {
    descent: Descent<'a, R>,
    /// Idle workspaces, at most one a thread.
    spaces: Mutex<Vec<Workspace<R>>>,
    done: Done<'a>,
}

/// A start in a search.
struct Runner<R> {
    number: usize,
    state: State<R>,
    levels: Vec<Level>,
    /// Levels behind it.
    at: usize,
    before: f64,
    merged_into: Option<usize>,
    stopped_by: Option<usize>,
}

impl<R> Runner<R> {
    fn ahead(&self) -> &[Level] {
        &self.levels[self.at..]
    }

    fn runs(&self) -> bool {
        self.merged_into.is_none() && self.stopped_by.is_none() && !self.ahead().is_empty()
    }

    /// Stands still at the end of a level, with others to come.
    fn waits(&self) -> bool {
        self.runs() && self.at > 0 && self.state.status == Status::Converged
    }
}

impl<R: Real> Rounds<'_, R> {
    fn cancelled(&self) -> bool {
        self.descent.cancel.load(Ordering::Relaxed)
    }

    /// What is kept of a start; None for one that had not begun when the search was cancelled.
    fn end(
        &self,
        state: State<R>,
        keep: &(impl Fn(Mat<R>) -> Exponent + Sync),
        before: f64,
        parallel: bool,
    ) -> Option<Solution> {
        if !self.cancelled() {
            return Some(state.finish(self.descent.problem, keep, before, parallel));
        }
        state.has_begun().then(|| state.unevaluated(keep, before))
    }

    fn all(
        &self,
        starts: &[Start],
        keep: impl Fn(Mat<R>) -> Exponent + Sync,
    ) -> Result<Vec<Option<Solution>>, InvalidInput> {
        if starts.iter().all(|s| s.epsilons.len() == 1) {
            self.independent(starts, keep)
        } else {
            self.together(starts, keep)
        }
    }

    /// Side by side, one a task (they differ in length by a factor of ten), or one after the other when threads would be idle or their
    /// kernels would fill the memory.
    fn over<T: Send, U: Send>(&self, items: Vec<T>, f: impl Fn(T, bool) -> U + Sync + Send) -> Vec<U> {
        let (n, m) = self.descent.operator.shape();
        if items.len() < rayon::current_num_threads() || n * m * size_of::<R>() > LARGE {
            awake(|| items.into_iter().map(|x| f(x, true)).collect())
        } else {
            items.into_par_iter().with_max_len(1).map(|x| f(x, false)).collect()
        }
    }

    /// `f` with large buffers that nobody else uses.
    fn in_space<T>(&self, f: impl FnOnce(&mut Workspace<R>) -> T) -> T {
        let idle = self.spaces.lock().expect("no thread panics holding it").pop();
        let mut space = idle.unwrap_or_else(|| self.descent.space());
        let result = f(&mut space);
        self.spaces.lock().expect("no thread panics holding it").push(space);
        result
    }

    /// Starts at a fixed epsilon: nothing of one is kept while another runs.
    fn independent(
        &self,
        starts: &[Start],
        keep: impl Fn(Mat<R>) -> Exponent + Sync,
    ) -> Result<Vec<Option<Solution>>, InvalidInput> {
        let one = |(i, start): (usize, &Start), parallel| {
            if self.cancelled() {
                return Ok(None);
            }
            let (state, before) = self.in_space(|space| descend(&self.descent, start, space, parallel))?;
            let solution = self.end(state, &keep, before, parallel);
            if let Some(solution) = &solution {
                (self.done)(i, Some(solution));
            }
            Ok(solution)
        };
        self.over(starts.iter().enumerate().collect(), one).into_iter().collect()
    }

    /// Starts that come down a schedule, level by level.
    fn together(
        &self,
        starts: &[Start],
        keep: impl Fn(Mat<R>) -> Exponent + Sync,
    ) -> Result<Vec<Option<Solution>>, InvalidInput> {
        let mut runners = self
            .over(starts.iter().enumerate().collect(), |(number, start), parallel| {
                let clock = Instant::now();
                let state = self.descent.start(&start.init, parallel)?;
                let levels = start.levels(self.descent.settings, true);
                let before = clock.elapsed().as_secs_f64();
                Ok(Runner { number, state, levels, at: 0, before, merged_into: None, stopped_by: None })
            })
            .into_iter()
            .collect::<Result<Vec<_>, InvalidInput>>()?;
        let uniform = self.descent.start(&Init::Named(InitKind::Uniform, 0, 0), true)?.x;
        let scale = self.descent.operator.summary_scale(&self.descent.problem.p);
        while let Some(longest) = runners.iter().filter(|r| r.runs()).map(|r| r.ahead().len()).max() {
            if self.cancelled() {
                runners.iter_mut().filter(|r| r.runs()).for_each(|r| r.state.status = Status::Interrupted);
                break;
            }
            let round: Vec<&mut Runner<R>> =
                runners.iter_mut().filter(|r| r.runs() && r.ahead().len() == longest).collect();
            self.over(round, |runner, parallel| self.level(runner, parallel));
            merge(&mut runners, &uniform, scale);
            if longest == 2 && !self.cancelled() {
                self.stop(&mut runners, &keep);
            }
        }
        drop(std::mem::take(&mut *self.spaces.lock().expect("no thread panics holding it")));
        let ends: Vec<(usize, Option<usize>, Option<Solution>)> = self.over(runners, |r, parallel| {
            let own = self.end(r.state, &keep, r.before, parallel);
            (r.number, r.merged_into, own.map(|own| Solution { stopped_by: r.stopped_by, ..own }))
        });
        Ok(ends
            .iter()
            .map(|(number, merged_into, own)| {
                let solution = match merged_into {
                    None => own.clone()?,
                    Some(into) => own.as_ref()?.merged(ends[*into].2.as_ref()?, *into),
                };
                (self.done)(*number, Some(&solution));
                Some(solution)
            })
            .collect())
    }

    fn level(&self, runner: &mut Runner<R>, parallel: bool) {
        self.in_space(|space| self.descent.level(space, &mut runner.state, &runner.levels[runner.at], parallel));
        runner.at += 1;
        if matches!(runner.state.status, Status::NumericalError | Status::Interrupted) {
            runner.at = runner.levels.len();
        }
        (self.done)(runner.number, None);
    }

    /// Stop those that stand still at the last epsilon, loosely solved, with a loss out of reach of the best there.
    fn stop(&self, runners: &mut [Runner<R>], keep: &(impl Fn(Mat<R>) -> Exponent + Sync)) {
        let waiting: Vec<&Runner<R>> = runners.iter().filter(|r| r.waits()).collect();
        if waiting.len() < 2 {
            return;
        }
        let ends: Vec<(usize, Solution)> = self
            .over(waiting, |r, parallel| (r.number, r.state.clone().finish(self.descent.problem, keep, 0.0, parallel)));
        for (number, end) in &ends {
            // What they minimise, and what can be compared at one epsilon only, decides which is the best.
            let rivals = ends.iter().filter(|(_, other)| other.epsilon == end.epsilon);
            let Some((best, lowest)) = rivals.min_by(|a, b| a.1.objective.total_cmp(&b.1.objective)) else { continue };
            // Below that, losses of plans that are as good differ by rounding.
            if end.gw_loss > OUT_OF_REACH * lowest.gw_loss + LOSS_NOISE * self.descent.problem.constant() {
                runners[*number].stopped_by = Some(*best);
                runners[*number].state.status = Status::Stopped;
            }
        }
    }
}

/// Merge those that wait at the same place into the first of each basin. All of them have converged there, so a later one would follow
/// the same path. `scale` is that of the summary: a factored source's vanishes at the uniform plan, and so says nothing of how close that is.
fn merge<R: Real>(runners: &mut [Runner<R>], uniform: &Mat<R>, scale: f64) {
    for b in 1..runners.len() {
        for a in 0..b {
            let (left, right) = runners.split_at_mut(b);
            let (a, b) = (&left[a], &mut right[0]);
            // The level behind them counts too: it is where they are.
            if !a.waits() || !b.waits() || a.levels[a.at - 1..] != b.levels[b.at - 1..] {
                continue;
            }
            let (apart, _) = squared_distance(&a.state.x, &b.state.x);
            let (from_uniform, norm) = squared_distance(&a.state.x, uniform);
            if from_uniform > UNDECIDED.powi(2) * norm.max(scale.powi(2))
                && apart < SAME_BASIN * SAME_BASIN * from_uniform
            {
                let (into, from) = (a.number, b.number);
                // Those that were merged into it before come along.
                for r in runners.iter_mut().filter(|r| r.number == from || r.merged_into == Some(from)) {
                    r.merged_into = Some(into);
                }
            }
        }
    }
}

/// A pool of `threads` threads (0: as many as there are cores) to install a solve or a search in.
///
/// # Errors
/// The system cannot start that many threads.
pub fn pool(threads: usize) -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::Dissimilarity;
    use crate::rows::NEVER;
    use crate::solve;

    fn problem(n: usize) -> Problem {
        let c = Mat::from_fn(n, n, |i, j| (i as f64 - j as f64).abs().sqrt());
        let w = vec![1.0 / n as f64; n];
        Problem::new(&Dissimilarity::Dense(c.clone()), &Dissimilarity::Dense(c), &w, &w).expect("a valid problem")
    }

    #[test]
    fn a_merged_start_follows_the_one_it_was_merged_into() {
        let problem = problem(12);
        let settings = Settings::default();
        let summary =
            |init: &Init| problem.initial_summary(init, &problem.exact, false, &NEVER).expect("a valid start");
        let uniform = summary(&Init::Named(InitKind::Uniform, 0, 0));
        let permutation = Init::Named(InitKind::Permutation, 1, 0);
        let mut runners: Vec<Runner<f64>> = (0..3)
            .map(|number| {
                let start = Start { init: permutation.clone(), epsilons: vec![0.3, 0.2, 0.1] };
                let mut state = State::new(&problem.exact, summary(&permutation));
                state.status = Status::Converged;
                let levels = start.levels(&settings, true);
                Runner { number, state, levels, at: 1, before: 0.0, merged_into: None, stopped_by: None }
            })
            .collect();
        let merged = |runners: &[Runner<f64>]| runners.iter().map(|r| r.merged_into).collect::<Vec<_>>();
        // The first is elsewhere on its way, then at the same place from another epsilon, then the same.
        runners[0].at = 2;
        merge(&mut runners, &uniform, 0.0);
        assert_eq!(merged(&runners), [None, None, Some(1)]);
        runners[0].at = 1;
        runners[0].levels[0].epsilon = 0.4;
        merge(&mut runners, &uniform, 0.0);
        assert_eq!(merged(&runners), [None, None, Some(1)]);
        runners[0].levels[0].epsilon = 0.3;
        runners[0].state.status = Status::MaxOuter;
        merge(&mut runners, &uniform, 0.0);
        assert_eq!(merged(&runners), [None, None, Some(1)]);
        runners[0].state.status = Status::Converged;
        merge(&mut runners, &uniform, 0.0);
        assert_eq!(merged(&runners), [None, Some(0), Some(0)]);
    }

    #[test]
    fn near_the_uniform_plan_nothing_is_merged() {
        let n = 20;
        let values = Mat::from_fn(n, 2, |i, k| ((i + 1) as f64 * (0.618 + 0.1 * k as f64)).fract());
        let offset = values.data.chunks(2).map(|x| x[0] * x[0] + x[1] * x[1]).collect();
        let c = Dissimilarity::Factored { values, weights: vec![-2.0; 2], offset };
        let w = vec![1.0 / n as f64; n];
        let problem = Problem::new(&c, &c, &w, &w).expect("a valid problem");
        let diagonal = Init::Plan(Mat::from_fn(n, n, |i, j| if i == j { 1.0 / n as f64 } else { 0.0 }));
        let x = problem.initial_summary(&diagonal, &problem.exact, false, &NEVER).expect("a valid start");
        let scale = problem.exact.summary_scale(&problem.p);
        assert!((squared_distance(&x, &x).1.sqrt() / scale - 1.0).abs() < 1e-12);
        let start = Start { init: diagonal, epsilons: vec![0.3, 0.2] };
        for (share, merged) in [(0.9 * UNDECIDED, None), (1.1 * UNDECIDED, Some(0))] {
            let mut runners: Vec<Runner<f64>> = (0..2)
                .map(|number| {
                    let x = Mat::from_fn(x.rows, x.cols, |i, j| share * x.row(i)[j]);
                    let mut state = State::new(&problem.exact, x);
                    state.status = Status::Converged;
                    let levels = start.levels(&Settings::default(), true);
                    Runner { number, state, levels, at: 1, before: 0.0, merged_into: None, stopped_by: None }
                })
                .collect();
            merge(&mut runners, &Mat::zeros(x.rows, x.cols), scale);
            assert_eq!(runners[1].merged_into, merged, "{share}");
        }
    }

    #[test]
    fn a_start_out_of_reach_is_stopped_and_says_by_which() {
        let problem = problem(30);
        let settings = Settings { precision: Precision::Float64, ..Settings::default() };
        let start = |plan: Mat<f64>| Start { init: Init::Plan(plan), epsilons: vec![2e-3, 1e-3] };
        let diagonal = Mat::from_fn(30, 30, |i, j| if i == j { 1.0 / 30.0 } else { 0.0 });
        // Halves exchanged: a local optimum at this epsilon, with a loss well above that of the diagonal.
        let exchanged = Mat::from_fn(30, 30, |i, j| if (i + 15) % 30 == j { 1.0 / 30.0 } else { 0.0 });
        let starts = [start(exchanged.clone()), start(diagonal)];
        let ends = search(&problem, &starts, &settings, &AtomicBool::new(false), &|_, _| {}).expect("valid starts");
        let ends: Vec<Solution> = ends.into_iter().flatten().collect();
        assert_eq!((ends[0].status, ends[0].stopped_by), (Status::Stopped, Some(1)));
        assert_eq!((ends[1].status, ends[1].stopped_by), (Status::Converged, None));
        let alone = solve(&problem, &starts[0], &settings, false, &AtomicBool::new(false)).expect("a valid start");
        assert!((ends[0].gw_loss / alone.gw_loss - 1.0).abs() < 0.01, "{} {}", ends[0].gw_loss, alone.gw_loss);
        assert!(ends[0].gw_loss > OUT_OF_REACH * ends[1].gw_loss);
    }
}
