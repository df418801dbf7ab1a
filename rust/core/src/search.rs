//! Many starts of one problem.
//!
//! Starts that come down a schedule of epsilon go level by level, together. After a level, one that has come to the plan of another,
//! at the same epsilon and with the same levels before it, would only repeat it, and is merged into it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rayon::prelude::*;

use crate::awake::awake;
use crate::descent::{Descent, Level, State, Workspace, squared_distance};
use crate::error::InvalidInput;
use crate::gw::{Precision, Settings, Start, Status, solve};
use crate::init::{Init, InitKind};
use crate::mat::Mat;
use crate::problem::Problem;
use crate::real::Real;
use crate::solution::{Exponent, Solution};

/// Called when a level of a start has ended, with the start's number and, after its last, its end; from any thread, in any order.
pub type Done<'a> = &'a (dyn Fn(usize, Option<&Solution>) + Sync);

/// Distance of two plans' summaries, relative to that from the uniform plan, below which they are in one basin.
const SAME_BASIN: f64 = 0.05;

/// Solve from every start, in the current rayon pool: over the starts when there are enough of them, otherwise inside each.
/// Solutions in the order of the starts; None for one that was cancelled before it began. The same for any number of threads.
///
/// # Errors
/// The first invalid start.
pub fn search(
    problem: &Problem,
    starts: &[Start],
    settings: &Settings,
    cancel: &AtomicBool,
    done: Done,
) -> Result<Vec<Option<Solution>>, InvalidInput> {
    starts.iter().try_for_each(|s| s.check(settings))?;
    if starts.iter().all(|s| s.epsilons.len() == 1) {
        return independent(problem, starts, settings, cancel, done);
    }
    match settings.precision {
        Precision::Mixed => {
            let descent = Descent { problem, operator: problem.single(), settings, cancel };
            Rounds { descent, spaces: Mutex::new(Vec::new()), done }.run(starts, Exponent::Single)
        }
        Precision::Float64 => {
            let descent = Descent { problem, operator: &problem.exact, settings, cancel };
            Rounds { descent, spaces: Mutex::new(Vec::new()), done }.run(starts, Exponent::Double)
        }
    }
}

/// Starts at a fixed epsilon: nothing of one is kept while another runs.
fn independent(
    problem: &Problem,
    starts: &[Start],
    settings: &Settings,
    cancel: &AtomicBool,
    done: Done,
) -> Result<Vec<Option<Solution>>, InvalidInput> {
    over(starts.iter().enumerate().collect(), |(i, start), parallel| {
        if cancel.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let solution = solve(problem, start, settings, parallel, cancel)?;
        done(i, Some(&solution));
        Ok(Some(solution))
    })
    .into_iter()
    .collect()
}

/// Side by side, one a task (they differ in length by a factor of ten), or one after the other when threads would be idle.
fn over<T: Send, U: Send>(items: Vec<T>, f: impl Fn(T, bool) -> U + Sync + Send) -> Vec<U> {
    if items.len() < rayon::current_num_threads() {
        awake(|| items.into_iter().map(|x| f(x, true)).collect())
    } else {
        items.into_par_iter().with_max_len(1).map(|x| f(x, false)).collect()
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
}

impl<R> Runner<R> {
    fn ahead(&self) -> &[Level] {
        &self.levels[self.at..]
    }

    fn runs(&self) -> bool {
        self.merged_into.is_none() && !self.ahead().is_empty()
    }
}

impl<R: Real> Rounds<'_, R> {
    fn run(
        &self,
        starts: &[Start],
        keep: impl Fn(Mat<R>) -> Exponent + Sync,
    ) -> Result<Vec<Option<Solution>>, InvalidInput> {
        let mut runners = over(starts.iter().enumerate().collect(), |(number, start), parallel| {
            let clock = Instant::now();
            let state = self.descent.start(&start.init, parallel)?;
            let levels = start.levels(self.descent.settings);
            Ok(Runner { number, state, levels, at: 0, before: clock.elapsed().as_secs_f64(), merged_into: None })
        })
        .into_iter()
        .collect::<Result<Vec<_>, InvalidInput>>()?;
        let uniform = self.descent.start(&Init::Named(InitKind::Uniform, 0, 0), true)?.x;
        while let Some(longest) = runners.iter().filter(|r| r.runs()).map(|r| r.ahead().len()).max() {
            let round: Vec<&mut Runner<R>> =
                runners.iter_mut().filter(|r| r.runs() && r.ahead().len() == longest).collect();
            over(round, |runner, parallel| self.level(runner, parallel));
            merge(&mut runners, &uniform);
        }
        drop(std::mem::take(&mut *self.spaces.lock().expect("no thread panics holding it")));
        let ends: Vec<(usize, Option<usize>, Solution)> = over(runners, |r, parallel| {
            (r.number, r.merged_into, r.state.finish(self.descent.problem, &keep, r.before, parallel))
        });
        Ok(ends
            .iter()
            .map(|(number, merged_into, own)| {
                let solution = match merged_into {
                    None => own.clone(),
                    Some(into) => own.merged(&ends[*into].2, *into),
                };
                (self.done)(*number, Some(&solution));
                Some(solution)
            })
            .collect())
    }

    fn level(&self, runner: &mut Runner<R>, parallel: bool) {
        let idle = self.spaces.lock().expect("no thread panics holding it").pop();
        let mut space = idle.unwrap_or_else(|| Workspace::new(self.descent.problem, self.descent.operator));
        self.descent.level(&mut space, &mut runner.state, &runner.levels[runner.at], parallel);
        self.spaces.lock().expect("no thread panics holding it").push(space);
        runner.at += 1;
        if matches!(runner.state.status, Status::NumericalError | Status::Interrupted) {
            runner.at = runner.levels.len();
        }
        (self.done)(runner.number, None);
    }
}

/// Merge those that wait at the same place into the first of each basin. All of them have converged there, so a later one would follow
/// the same path.
fn merge<R: Real>(runners: &mut [Runner<R>], uniform: &Mat<R>) {
    for b in 1..runners.len() {
        for a in 0..b {
            let (left, right) = runners.split_at_mut(b);
            let (a, b) = (&left[a], &mut right[0]);
            let waits = |r: &Runner<R>| r.runs() && r.at > 0 && r.state.status == Status::Converged;
            if !waits(a) || !waits(b) || a.ahead() != b.ahead() {
                continue;
            }
            let (apart, _) = squared_distance(&a.state.x, &b.state.x);
            let (from_uniform, norm) = squared_distance(&a.state.x, uniform);
            // Close to the uniform plan nothing is decided yet.
            if from_uniform > 1e-4 * norm && apart < SAME_BASIN * SAME_BASIN * from_uniform {
                b.merged_into = Some(a.number);
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
