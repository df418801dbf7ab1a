//! Anderson acceleration of Sinkhorn's sweeps (Walker & Ni 2011, <https://doi.org/10.1137/10078356X>).
//!
//! In `y = log v` a sweep is a map `y -> G(y)` with residual `r = G(y) - y = log(q / held)`, `held` the column marginal. Where sweeps are slow,
//! G is close to linear near its fixed point, and of all combinations of the last iterates the one with the least residual is taken:
//! `y <- G(y) - dG w`, `w = argmin |r - dR w|` in the norm weighted by q, in which the linear map is symmetric.

use crate::linalg::solve_positive;
use crate::mat::Mat;
use crate::real::Real;

/// Differences that are combined.
const DEPTH: usize = 8;
/// Growth of the error over the least seen at which the history is dropped: the next sweep is a plain one, which always converges.
const TOLERATED: f64 = 2.0;
/// Farthest that a scaling is moved beyond its sweep, in factors of e.
const FARTHEST: f64 = 4.0;

/// The last differences of residuals and images, newest last, and what they continue from.
#[derive(Debug, Clone)]
pub struct Acceleration {
    residuals: Vec<Vec<f64>>,
    images: Vec<Vec<f64>>,
    last: Option<(Vec<f64>, Vec<f64>)>,
    least: f64,
}

impl Default for Acceleration {
    fn default() -> Self {
        Self { residuals: Vec::new(), images: Vec::new(), last: None, least: f64::INFINITY }
    }
}

impl Acceleration {
    /// At the start of a projection, or of a kernel with other potentials absorbed.
    pub fn begin(&mut self) {
        *self = Self::default();
    }

    /// After a sweep that took the column scalings from `before` to `v`, and held the weights `q` up to `error`: extrapolates `v`.
    pub fn advance<R: Real>(&mut self, before: &[R], v: &mut [R], q: &[f64], error: f64) {
        let log = |x: &R| if *x > R::ZERO { x.to_f64().ln() } else { 0.0 };
        let image: Vec<f64> = v.iter().map(log).collect();
        let residual: Vec<f64> = image.iter().zip(before).map(|(g, y)| g - log(y)).collect();
        if error > TOLERATED * self.least {
            *self = Self::default();
        }
        self.least = self.least.min(error);
        if let Some((last_residual, last_image)) = self.last.take() {
            let minus = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
            if self.residuals.len() == DEPTH {
                self.residuals.remove(0);
                self.images.remove(0);
            }
            self.residuals.push(minus(&residual, &last_residual));
            self.images.push(minus(&image, &last_image));
        }
        let weights = self.weights::<R>(&residual, q);
        let mut step = vec![0.0; q.len()];
        for (difference, w) in self.images.iter().zip(weights) {
            step.iter_mut().zip(difference).for_each(|(s, d)| *s -= w * d);
        }
        let far = step.iter().fold(0.0f64, |far, s| far.max(s.abs()));
        if far > 0.0 {
            let share = (FARTHEST / far).min(1.0);
            for (v, s) in v.iter_mut().zip(step) {
                *v = R::from_f64(v.to_f64() * (share * s).exp());
            }
        }
        self.last = Some((residual, image));
    }

    /// Least squares of the residual by its differences, from normal equations with columns scaled to length 1.
    fn weights<R: Real>(&self, residual: &[f64], q: &[f64]) -> Vec<f64> {
        let k = self.residuals.len();
        let inner = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).zip(q).map(|((a, b), q)| a * b * q).sum() };
        let length: Vec<f64> = self.residuals.iter().map(|d| inner(d, d).sqrt().max(f64::MIN_POSITIVE)).collect();
        let normal = Mat::from_fn(k, k, |i, j| {
            inner(&self.residuals[i], &self.residuals[j]) / (length[i] * length[j])
                + if i == j { 10.0 * R::MIN_TOL } else { 0.0 }
        });
        let right: Vec<f64> = (0..k).map(|i| inner(&self.residuals[i], residual) / length[i]).collect();
        match solve_positive(&normal, &right) {
            Some(w) if w.iter().all(|x| x.is_finite()) => w.iter().zip(&length).map(|(w, l)| w / l).collect(),
            _ => vec![0.0; k],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sweeps whose logarithms follow a linear map with these rates; the L1 error at the end.
    fn after(sweeps: usize, acceleration: &mut Acceleration, start: f64) -> f64 {
        let rates = [0.999, 0.99, 0.9, 0.5];
        let (q, mut v) = ([0.1, 0.2, 0.3, 0.4], [start.exp(), 1.0, (-start).exp(), 1.5]);
        let mut error = 0.0;
        for _ in 0..sweeps {
            let before = v;
            for (v, rate) in v.iter_mut().zip(rates) {
                *v = v.powf(rate);
            }
            error = (0..4).map(|j| q[j] * (v[j] / before[j]).ln().abs()).sum();
            acceleration.advance(&before, &mut v, &q, error);
        }
        v.iter().map(|v| v.ln().abs()).sum::<f64>() + error
    }

    #[test]
    fn a_linear_map_is_solved_in_as_many_sweeps_as_it_has_rates() {
        let left = after(8, &mut Acceleration::default(), 1.0);
        assert!(left < 1e-5, "{left}");
    }

    #[test]
    fn without_weight_a_scaling_stays_zero() {
        let mut acceleration = Acceleration::default();
        let q = [0.0, 0.5, 0.5];
        for k in 1..5 {
            let step = 1.0 / f64::from(k * k);
            let mut v = [0.0, 1.0 + step, 1.0 - 0.5 * step];
            acceleration.advance(&[0.0, 1.0, 1.0], &mut v, &q, step);
            assert!(v[0] == 0.0 && v.iter().all(|v| v.is_finite()), "{v:?}");
        }
    }
}
