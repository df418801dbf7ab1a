//! Many starts of one problem.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::error::InvalidInput;
use crate::gw::{Settings, Start, solve};
use crate::problem::Problem;
use crate::solution::Solution;

/// Called when a start has ended, with its number; from any thread, in any order.
pub type Done<'a> = &'a (dyn Fn(usize, &Solution) + Sync);

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
    let one = |(i, start): (usize, &Start), parallel: bool| {
        if cancel.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let solution = solve(problem, start, settings, parallel, cancel)?;
        done(i, &solution);
        Ok(Some(solution))
    };
    if starts.len() < rayon::current_num_threads() {
        starts.iter().enumerate().map(|s| one(s, true)).collect()
    } else {
        // One start a task: they differ in length by a factor of ten.
        starts.par_iter().with_max_len(1).enumerate().map(|s| one(s, false)).collect()
    }
}

/// A pool of `threads` threads (0: as many as there are cores) to install a solve or a search in.
///
/// # Errors
/// The system cannot start that many threads.
pub fn pool(threads: usize) -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build()
}
