//! Seeded random numbers, and the plans made of them. The stream of start i is a function of (seed, i) alone.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::problem::Problem;

impl Problem {
    /// Uniform numbers in (0, 1), drawn in the given orientation, so that how the problem is solved does not change the start. The
    /// generator is one of counters: any part of its stream can be drawn on its own.
    pub(crate) fn random(&self, seed: u64, index: u64) -> impl Fn(usize, &mut [f64]) + Sync {
        let ((n, m), swapped) = (self.shape(), self.swapped);
        move |start, out| {
            let mut rng = stream(seed, index);
            let mut draw = |from: usize, out: &mut [f64]| {
                // Two 32-bit words a number.
                rng.set_word_pos(2 * from as u128);
                out.fill_with(|| unit(&mut rng));
            };
            if swapped {
                let mut part = vec![0.0; out.len() / n];
                for i in 0..n {
                    draw(i * m + start, &mut part);
                    part.iter().enumerate().for_each(|(k, x)| out[k * n + i] = *x);
                }
            } else {
                draw(start * m, out);
            }
        }
    }
}

/// The random numbers of start `index`.
pub(crate) fn stream(seed: u64, index: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    rng
}

/// Uniform in (0, 1).
pub(crate) fn unit(rng: &mut ChaCha8Rng) -> f64 {
    ((rng.next_u64() >> 11) as f64 + 0.5) / 2f64.powi(53)
}

/// The numbers below n in a random order.
pub(crate) fn shuffled(n: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, (unit(rng) * (i + 1) as f64) as usize);
    }
    order
}

/// The plan of the north-west corner rule in these orders: row, column and mass of at most n + m - 1 entries.
pub(crate) fn north_west(p: &[f64], q: &[f64], rows: &[usize], cols: &[usize]) -> Vec<(usize, usize, f64)> {
    let mut plan = Vec::with_capacity(p.len() + q.len());
    let (mut i, mut j) = (0, 0);
    let (mut left, mut free) = (p[rows[0]], q[cols[0]]);
    loop {
        let moved = left.min(free);
        plan.push((rows[i], cols[j], moved));
        left -= moved;
        free -= moved;
        if left <= free {
            i += 1;
            if i == rows.len() {
                return plan;
            }
            left = p[rows[i]];
            // Equal weights that differ in the last bits must move together, or a permutation smears.
            if free < 1e-15 && j + 1 < cols.len() {
                j += 1;
                free = q[cols[j]];
            }
        } else {
            j += 1;
            if j == cols.len() {
                return plan;
            }
            free = q[cols[j]];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::tests::problems;
    use crate::mat::Mat;

    #[test]
    fn a_random_start_is_one_stream_row_by_row_as_given() {
        for problem in problems() {
            let (n, m) = problem.shape();
            let mut rng = stream(5, 7);
            let drawn = Mat::from_vec((0..n * m).map(|_| unit(&mut rng)).collect(), n, m);
            let want = if problem.swapped { drawn.transposed() } else { drawn };
            let fill = problem.random(5, 7);
            for (start, rows) in [(0, want.rows), (3, 2), (want.rows - 1, 1)] {
                let mut got = vec![0.0; rows * want.cols];
                fill(start, &mut got);
                assert_eq!(got, want.data[start * want.cols..][..got.len()]);
            }
        }
    }
}
