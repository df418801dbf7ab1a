//! How fast this machine is at the two things a solve spends its time on, products and passes over the kernel: `gwrsa doctor`.

use std::hint::black_box;
use std::time::Instant;

use rayon::prelude::*;

use crate::kernels::dot;
use crate::mat::{Mat, product};

/// Seconds of the fastest of `repeats` products of single precision, (n x k) times (k x m), over the threads of the current rayon pool.
#[must_use]
pub fn time_product(n: usize, k: usize, m: usize, repeats: usize) -> f64 {
    let number = |i: usize, j: usize| ((i * 7919 + j * 31) % 1009) as f32 / 1009.0 - 0.5;
    let (a, b, mut c) = (Mat::from_fn(n, k, number), Mat::from_fn(k, m, number), Mat::zeros(n, m));
    fastest(repeats, || product(&mut c, a.view(), b.view(), 1.0, false, true))
}

/// Seconds of the fastest of `repeats` readings of `count` numbers of single precision, over the threads of the current rayon pool.
#[must_use]
pub fn time_read(count: usize, repeats: usize) -> f64 {
    // As much as a task of a sweep reads at a time.
    const PART: usize = 1 << 16;
    let x = vec![1.0f32; count];
    fastest(repeats, || {
        black_box(x.par_chunks(PART).map(|part| f64::from(dot(part, part))).sum::<f64>());
    })
}

fn fastest(repeats: usize, mut work: impl FnMut()) -> f64 {
    (0..repeats.max(1))
        .map(|_| {
            let began = Instant::now();
            work();
            began.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    // On a thread of its own, so that no time passes in waiting for another; the less work, the more often, as one undisturbed turn of it is enough.
    #[test]
    fn more_work_takes_longer() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let product = |n: usize, repeats: usize| pool.install(|| time_product(n, n, n, repeats));
        let read = |count: usize, repeats: usize| pool.install(|| time_read(count, repeats));
        let (small, large) = (product(16, 100), product(256, 2));
        assert!(large > 8.0 * small, "4,096 times the work: {large} s, after {small} s");
        let (small, large) = (read(1 << 10, 100), read(1 << 22, 2));
        assert!(large > 8.0 * small, "4,096 times the work: {large} s, after {small} s");
    }
}
