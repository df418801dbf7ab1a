//! Anderson acceleration of the outer loop near its end (Walker & Ni 2011, <https://doi.org/10.1137/10078356X>).

use crate::awake::each;
use crate::kernels::dot;
use crate::linalg::closest_combination;
use crate::mat::Mat;
use crate::real::Real;

/// Relative change below which steps are extrapolated. Farther out it would choose another basin.
const BEGIN: f64 = 1e-2;
/// Each time the history had to be dropped, extrapolation begins this much closer: close to a saddle it would draw the iteration back to
/// the saddle, again and again.
const CLOSER: f64 = 0.3;
/// Growth of the change over the least seen at which the history is dropped.
const TOLERATED: f64 = 2.0;

/// Entries of a vector that are worked on at a time: they stay in cache.
const PART: usize = 1 << 13;

/// The last steps of a fixed-point iteration x <- g(x), and the combination of them with the least residual.
pub struct Anderson<R> {
    depth: usize,
    /// Differences of residuals g(x) - x, and of images g(x), of successive steps; the oldest is overwritten by the next.
    moves: Vec<(Vec<R>, Vec<R>)>,
    gram: Mat<f64>,
    /// Residual and image of the last step; empty before it.
    residual: Vec<R>,
    image: Vec<R>,
    steps: usize,
    least: f64,
    begin: f64,
}

impl<R: Real> Anderson<R> {
    /// Combines up to `depth` steps.
    pub fn new(depth: usize) -> Self {
        Self {
            depth,
            moves: Vec::new(),
            gram: Mat::zeros(depth, depth),
            residual: Vec::new(),
            image: Vec::new(),
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
        self.residual.clear();
        self.image.clear();
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
    pub fn advance(&mut self, x: &mut Mat<R>, g: &mut Mat<R>, parallel: bool) {
        if self.residual.is_empty() {
            self.residual.extend(g.data.iter().zip(&x.data).map(|(&g, &x)| g - x));
            self.image.extend_from_slice(&g.data);
            std::mem::swap(x, g);
            return;
        }
        let at = self.steps % self.depth;
        if self.moves.len() <= at {
            self.moves.push((vec![R::ZERO; x.data.len()], vec![R::ZERO; x.data.len()]));
        }
        let (by, moved) = &mut self.moves[at];
        let parts = by.chunks_mut(PART).zip(moved.chunks_mut(PART));
        let parts = parts.zip(self.residual.chunks_mut(PART).zip(self.image.chunks_mut(PART)));
        each(parts.zip(x.data.chunks(PART).zip(g.data.chunks(PART))), parallel, |((new, last), (x, g))| {
            let ((by, moved), (residual, image)) = (new, last);
            for k in 0..x.len() {
                let now = g[k] - x[k];
                (by[k], moved[k]) = (now - residual[k], g[k] - image[k]);
                (residual[k], image[k]) = (now, g[k]);
            }
        });
        self.steps += 1;
        let mut inner = vec![(0.0, 0.0); self.steps.min(self.depth)];
        let (newest, residual) = (&self.moves[at].0, &self.residual);
        each(inner.iter_mut().zip(&self.moves), parallel, |(inner, (by, _))| {
            *inner = (dot(newest, by).to_f64(), dot(by, residual).to_f64());
        });
        for (k, &(product, _)) in inner.iter().enumerate() {
            self.gram.row_mut(at)[k] = product;
            self.gram.row_mut(k)[at] = product;
        }
        let with: Vec<f64> = inner.into_iter().map(|(_, product)| product).collect();
        let weights = closest_combination(&self.gram, &with, 10.0 * R::MIN_TOL).unwrap_or_default();
        let weights: Vec<R> = weights.into_iter().map(R::from_f64).collect();
        std::mem::swap(x, g);
        let moves = &self.moves;
        each(x.data.chunks_mut(PART).enumerate(), parallel, |(part, x)| {
            for ((_, moved), &w) in moves.iter().zip(&weights) {
                x.iter_mut().zip(&moved[part * PART..]).for_each(|(x, &m)| *x = *x - w * m);
            }
        });
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
            anderson.advance(&mut x, &mut g, false);
        }
        for (x, r) in x.data.iter().zip(rates) {
            assert!((x - 1.0 / (1.0 - r)).abs() < 1e-6, "{x} at rate {r}");
        }
    }
}
