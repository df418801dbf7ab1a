//! Anderson acceleration of the outer loop near its end (Walker & Ni 2011, <https://doi.org/10.1137/10078356X>).

use crate::kernels::dot;
use crate::linalg::solve_positive;
use crate::mat::Mat;
use crate::real::Real;

/// Relative change below which steps are extrapolated. Farther out it would choose another basin.
const BEGIN: f64 = 1e-2;
/// Each time the history had to be dropped, extrapolation begins this much closer: close to a saddle it would draw the iteration back to
/// the saddle, again and again.
const CLOSER: f64 = 0.3;
/// Growth of the change over the least seen at which the history is dropped.
const TOLERATED: f64 = 2.0;

/// The last steps of a fixed-point iteration x <- g(x), and the combination of them with the least residual.
pub struct Anderson<R> {
    depth: usize,
    /// Differences of residuals g(x) - x, and of images g(x), of successive steps.
    residuals: Vec<Vec<R>>,
    images: Vec<Vec<R>>,
    gram: Mat<f64>,
    last: Option<(Vec<R>, Vec<R>)>,
    steps: usize,
    least: f64,
    begin: f64,
}

impl<R: Real> Anderson<R> {
    /// Combines up to `depth` steps.
    pub fn new(depth: usize) -> Self {
        Self {
            depth,
            residuals: Vec::new(),
            images: Vec::new(),
            gram: Mat::zeros(depth, depth),
            last: None,
            steps: 0,
            least: f64::INFINITY,
            begin: BEGIN,
        }
    }

    /// Before another fixed point.
    pub fn clear(&mut self) {
        self.begin = BEGIN;
        self.forget();
    }

    fn forget(&mut self) {
        self.residuals.clear();
        self.images.clear();
        self.last = None;
        self.steps = 0;
        self.least = f64::INFINITY;
    }

    /// Whether an iterate whose image is at the relative distance `change` is near enough to the end. What is known is forgotten when
    /// not, or when the change has grown.
    pub fn takes(&mut self, change: f64) -> bool {
        let grown = change > TOLERATED * self.least;
        if grown {
            self.begin *= CLOSER;
        }
        if self.depth == 0 || grown || change > self.begin {
            self.forget();
            return false;
        }
        self.least = self.least.min(change);
        true
    }

    /// From `x` and its image `g` the next iterate, written to `x`.
    pub fn advance(&mut self, x: &mut Mat<R>, g: &mut Mat<R>) {
        let minus = |a: &[R], b: &[R]| -> Vec<R> { a.iter().zip(b).map(|(&a, &b)| a - b).collect() };
        let residual = minus(&g.data, &x.data);
        if let Some((last_residual, last_image)) = &self.last {
            let at = self.steps % self.depth;
            let (df, dg) = (minus(&residual, last_residual), minus(&g.data, last_image));
            if at < self.residuals.len() {
                self.residuals[at] = df;
                self.images[at] = dg;
            } else {
                self.residuals.push(df);
                self.images.push(dg);
            }
            for (k, other) in self.residuals.iter().enumerate() {
                let inner = dot(&self.residuals[at], other).to_f64();
                self.gram.data[at * self.depth + k] = inner;
                self.gram.data[k * self.depth + at] = inner;
            }
            self.steps += 1;
        }
        let weights = self.weights(&residual);
        self.last = Some((residual, g.data.clone()));
        std::mem::swap(x, g);
        for (image, &w) in self.images.iter().zip(&weights) {
            let w = R::from_f64(w);
            for (x, &d) in x.data.iter_mut().zip(image) {
                *x = *x - w * d;
            }
        }
    }

    /// Least squares of the residual by its differences, from normal equations with columns scaled to length 1.
    fn weights(&self, residual: &[R]) -> Vec<f64> {
        let k = self.residuals.len();
        let at = |i: usize, j: usize| self.gram.data[i * self.depth + j];
        let length: Vec<f64> = (0..k).map(|i| at(i, i).sqrt().max(f64::MIN_POSITIVE)).collect();
        let normal = Mat::from_fn(k, k, |i, j| {
            at(i, j) / (length[i] * length[j]) + if i == j { 10.0 * R::MIN_TOL } else { 0.0 }
        });
        let right: Vec<f64> = (0..k).map(|i| dot(&self.residuals[i], residual).to_f64() / length[i]).collect();
        match solve_positive(&normal, &right) {
            Some(w) if w.iter().all(|x| x.is_finite()) => w.iter().zip(&length).map(|(w, l)| w / l).collect(),
            _ => vec![0.0; k],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_map_is_solved_in_as_many_steps_as_it_has_rates() {
        let rates: [f64; 4] = [0.99, 0.9, 0.5, -0.3];
        let mut anderson = Anderson::new(5);
        let mut x = Mat::from_vec(vec![1.0, -2.0, 3.0, 4.0], 4, 1);
        for _ in 0..8 {
            let mut g = Mat::from_fn(4, 1, |i, _| rates[i] * x.data[i] + 1.0);
            assert!(anderson.takes(1e-4));
            anderson.advance(&mut x, &mut g);
        }
        for (x, r) in x.data.iter().zip(rates) {
            assert!((x - 1.0 / (1.0 - r)).abs() < 1e-6, "{x} at rate {r}");
        }
    }
}
