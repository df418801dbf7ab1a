//! A start from profiles: objects are alike whose dissimilarities to all others are distributed alike. The third lower bound of Memoli
//! (2011), <https://doi.org/10.1007/s10208-011-9093-5>.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::cost::Centred;
use crate::kernels::{dot, exp_shift, max_shifted};
use crate::mat::{Mat, gemm_into};
use crate::power::times_two_to;
use crate::problem::Problem;

/// Quantiles of a profile.
const QUANTILES: usize = 64;

impl Problem {
    /// Rows of `exp(-10 |s_i - t_j|^2 / mean)`, s and t the quantiles of either side, each row up to a factor.
    pub(crate) fn profile<'a>(&'a self, cancel: &AtomicBool) -> impl Fn(usize, &mut [f64]) + Sync + use<'a> {
        let (mut s, mut t) = (profiles(&self.source, &self.p, cancel), profiles(&self.target, &self.q, cancel));
        // In one unit: this start compares the sizes of dissimilarities, not only their order.
        let unit = self.source.power.max(self.target.power);
        let (of_s, of_t) = (self.source.power - unit, self.target.power - unit);
        let shift = times_two_to(self.source.mean, of_s) - times_two_to(self.target.mean, of_t);
        s.data.iter_mut().for_each(|x| *x = times_two_to(*x, of_s) + shift);
        t.data.iter_mut().for_each(|x| *x = times_two_to(*x, of_t));
        let square = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
        let of_t: Vec<f64> = (0..t.rows).map(|j| square(t.row(j))).collect();
        // sum_ij p_i q_j |s_i - t_j|^2.
        let average = |x: &Mat<f64>, w: &[f64]| -> Vec<f64> {
            (0..x.cols).map(|k| (0..x.rows).map(|i| w[i] * x.row(i)[k]).sum()).collect()
        };
        let product: f64 = average(&s, &self.p).iter().zip(average(&t, &self.q)).map(|(a, b)| a * b).sum();
        let of_s: f64 = (0..s.rows).map(|i| self.p[i] * square(s.row(i))).sum();
        let mean = of_s + dot(&of_t, &self.q) - 2.0 * product;
        let sharpness = if mean > 0.0 { 10.0 / mean } else { 0.0 };
        let columns: Vec<f64> = of_t.iter().map(|x| -sharpness * x).collect();
        move |start, out| {
            let m = columns.len();
            gemm_into(out, s.view().rows(start, out.len() / m), t.view().t(), 2.0 * sharpness, false);
            for row in out.chunks_exact_mut(m) {
                let best = max_shifted(row, &columns);
                exp_shift(row, -best, &columns);
                // The uniform share keeps every entry positive, so the scaling always exists.
                for x in row {
                    *x += 1e-6;
                }
            }
        }
    }
}

/// Quantiles of the dissimilarities of each object to all others (n x 64), up to the mean of all.
fn profiles(c: &Centred, p: &[f64], cancel: &AtomicBool) -> Mat<f64> {
    const BLOCK: usize = 16;
    let n = c.len();
    let mut out = Mat::zeros(n, QUANTILES);
    out.data.par_chunks_mut(BLOCK * QUANTILES).enumerate().for_each(|(b, out)| {
        if cancel.load(Ordering::Relaxed) {
            return;
        }
        let mut rows = vec![0.0; out.len() / QUANTILES * n];
        c.core_rows(b * BLOCK, &mut rows);
        let mut sorted = Vec::with_capacity(n);
        for (k, (row, quantiles)) in rows.chunks_exact(n).zip(out.chunks_exact_mut(QUANTILES)).enumerate() {
            let own = c.a[b * BLOCK + k];
            sorted.clear();
            sorted.extend(row.iter().zip(&c.a).zip(p).map(|((x, a), &w)| (x + own + a, w)));
            sorted.sort_unstable_by(|x, y| x.0.total_cmp(&y.0));
            let (mut at, mut mass) = (0, sorted[0].1);
            for (t, quantile) in quantiles.iter_mut().enumerate() {
                while mass < (t as f64 + 0.5) / QUANTILES as f64 && at + 1 < n {
                    at += 1;
                    mass += sorted[at].1;
                }
                *quantile = sorted[at].0;
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::Dissimilarity;

    #[test]
    fn quantiles_of_a_row() {
        // 0 .. 63 on a line, seen from its end: the quantiles are the distances themselves.
        let line = Dissimilarity::Dense(Mat::from_fn(64, 64, |i, j| (i as f64 - j as f64).abs()));
        let w = vec![1.0 / 64.0; 64];
        let problem = Problem::new(&line, &line, &w, &w).expect("a valid problem");
        let found = profiles(&problem.source, &w, &AtomicBool::new(false));
        for (k, x) in found.row(0).iter().enumerate() {
            let distance = times_two_to(x + problem.source.mean, problem.source.power);
            assert!((distance - k as f64).abs() < 1e-12);
        }
    }
}
