//! Anderson acceleration of the outer loop near its end (Walker & Ni 2011, <https://doi.org/10.1137/10078356X>).

use crate::awake::{PART, each};
use crate::kernels::dot;
use crate::linalg::closest_combination;
use crate::mat::Mat;
use crate::real::Real;

/// Relative change below which steps are extrapolated. Farther out it would choose another basin.
const BEGIN: f64 = 1e-2;
/// Where extrapolation leads nowhere it begins again at this share of the least change it came to. Close to a saddle it would draw the
/// iteration back to the saddle, again and again.
const CLOSER: f64 = 0.3;
/// Growth of the change over the least seen at which it leads nowhere; so it does where the change is above that at which it begins.
const TOLERATED: f64 = 2.0;
/// Steps in which the change has to fall to the share [`FALLEN`]. It does not where the residual has a least norm that is not zero: in the
/// bottleneck (the ghost of a saddle and a minimum) that is left where two fixed points have annihilated each other. Least squares stay there.
const PATIENCE: usize = 10;
/// See [`PATIENCE`].
const FALLEN: f64 = 0.7;

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
    /// Least change since the history was dropped.
    least: f64,
    /// The change from which the next fall is counted, and the steps since it was seen.
    mark: f64,
    since: usize,
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
            mark: f64::INFINITY,
            since: 0,
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
        self.mark = f64::INFINITY;
        self.since = 0;
    }

    /// Whether an iterate whose image is at the relative distance `change` is near enough to the end. What is known is forgotten when
    /// not, also when the change has grown, or no longer falls.
    pub fn takes(&mut self, change: f64) -> bool {
        if change < FALLEN * self.mark {
            (self.mark, self.since) = (change, 0);
        } else {
            self.since += 1;
        }
        let begun = self.least.is_finite();
        let stuck = self.since >= PATIENCE;
        let away = change > self.begin.min(TOLERATED * self.least);
        if self.depth == 0 || stuck || away {
            if begun {
                self.begin = CLOSER * self.least;
            }
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

    #[test]
    fn extrapolation_that_leads_nowhere_begins_again_closer() {
        let mut anderson = Anderson::<f64>::new(5);
        // Too far out, near enough, grown.
        assert!(!anderson.takes(2e-2) && anderson.takes(9e-3) && anderson.takes(2e-3) && !anderson.takes(5e-3));
        assert!(!anderson.takes(CLOSER * 2e-3 * 1.01) && anderson.takes(CLOSER * 2e-3 * 0.99));
        // Farther out than where it begins, before another fixed point.
        anderson.clear();
        assert!(anderson.takes(8e-3) && !anderson.takes(1.1e-2) && !anderson.takes(7e-3) && anderson.takes(2e-3));
    }

    #[test]
    fn a_change_that_no_longer_falls_is_left_to_plain_steps() {
        let mut anderson = Anderson::<f64>::new(5);
        let steps = (0..100).take_while(|_| anderson.takes(2e-3)).count();
        assert_eq!(steps, PATIENCE);
        assert!(!anderson.takes(1.9e-3) && !anderson.takes(0.7e-3) && anderson.takes(0.5e-3));
        // One that falls slowly is none.
        anderson.clear();
        assert!((0..200).all(|k| anderson.takes(9e-3 * 0.96f64.powi(k))));
    }
}
