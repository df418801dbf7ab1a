//! Threads that stay awake between the short parallel regions of one solve.
//!
//! A solve over several threads has a dozen regions of less than a millisecond an outer step. A worker of rayon that finds nothing to do
//! goes to sleep, and waking it takes a tenth of a millisecond: as long as a third of a Sinkhorn sweep.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Looks for work between two offers of the core to other processes.
const LOOKS: usize = 64;

/// Run `work` on a worker of the current rayon pool while the others look for its tasks without going to sleep.
pub fn awake<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    // More threads than cores: those that look would keep those that work from theirs.
    if rayon::current_num_threads() > std::thread::available_parallelism().map_or(1, Into::into) {
        return work();
    }
    let ended = AtomicBool::new(false);
    rayon::in_place_scope(|scope| {
        let this = rayon::current_thread_index();
        let ended = &ended;
        // Each worker gets its own copy, which nobody else can steal; this thread's is there for when it has ended.
        scope.spawn_broadcast(move |_, worker| {
            if this == Some(worker.index()) {
                return;
            }
            let mut looks = 0;
            while !ended.load(Ordering::Relaxed) {
                if rayon::yield_now() == Some(rayon::Yield::Executed) {
                    looks = 0;
                } else if looks < LOOKS {
                    looks += 1;
                    std::hint::spin_loop();
                } else {
                    looks = 0;
                    std::thread::yield_now();
                }
            }
        });
        // Also when it panics.
        let _end = End(ended);
        work()
    })
}

/// Entries of a vector that are worked on at a time: they stay in cache.
pub const PART: usize = 1 << 13;

/// `f` of every item: with [`for_each`] when `parallel`, otherwise one after the other.
pub fn each<T: Send>(items: impl IntoIterator<Item = T>, parallel: bool, f: impl Fn(T) + Sync) {
    if parallel {
        for_each(items, f);
    } else {
        items.into_iter().for_each(f);
    }
}

/// `f` of every item, on all workers of the current rayon pool. Items are taken one at a time, and the thread that waits for the last one
/// stays awake too.
pub fn for_each<T: Send>(items: impl IntoIterator<Item = T>, f: impl Fn(T) + Sync) {
    let left = AtomicUsize::new(0);
    let (f, open) = (&f, &left);
    let items: Vec<T> = items.into_iter().collect();
    left.store(items.len(), Ordering::Relaxed);
    rayon::scope(|scope| {
        for item in items {
            scope.spawn(move |_| {
                // Also when it panics.
                let _one = One(open);
                f(item);
            });
        }
        while open.load(Ordering::Acquire) > 0 {
            if rayon::yield_now() != Some(rayon::Yield::Executed) {
                std::hint::spin_loop();
            }
        }
    });
}

struct One<'a>(&'a AtomicUsize);

impl Drop for One<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    #[test]
    fn work_is_done_and_its_panic_passed_on() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
        let sum = || pool.install(|| awake(|| (0..1000u64).into_par_iter().sum::<u64>()));
        assert_eq!(sum(), 499_500);
        let caught =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pool.install(|| awake(|| panic!("as intended")))));
        assert!(caught.is_err());
        assert_eq!(sum(), 499_500);
    }
}
