//! Momentum of the outer loop on its way, far from its end.
//!
//! Between basins the plan creeps along one direction for tens of steps. While each step goes where the last one went, the next begins
//! farther along the way, by a share of the move from the last image to this one that grows with their number (Nesterov 1983); after a
//! turn it begins anew (adaptive restart, after O'Donoghue & Candès 2015, <https://doi.org/10.1007/s10208-013-9150-3>, whose turn is one
//! of 90 degrees). A mode that plain steps multiply by `z` follows, at a fixed share, the roots of `r^2 - z (1 + share) r + z share`. They
//! lie in the unit circle for z between `-1 / (1 + 2 share)` and 1; where steps alternate more than that, the way is not straight. What
//! grows grows faster, so that a saddle is left sooner, and on its side: the way keeps close to that of plain steps, unlike with
//! extrapolation to a fixed point.

use crate::awake::{PART, each};
use crate::kernels::dot;
use crate::mat::Mat;
use crate::real::Real;

/// Cosine of successive steps above which the way is straight enough.
const STRAIGHT: f64 = 0.8;
/// Relative change above which the plan is still being formed.
const FORMING: f64 = 0.3;

/// Entries of a step that are looked at, about.
const SAMPLE: usize = 1 << 16;

/// Remembers the last step and its image.
pub struct Momentum<R> {
    last: Vec<R>,
    step: Vec<R>,
    image: Vec<R>,
    /// Steps that went where the one before them went, without a turn.
    straight: u32,
}

impl<R: Real> Momentum<R> {
    pub fn new() -> Self {
        Self { last: Vec::new(), step: Vec::new(), image: Vec::new(), straight: 0 }
    }

    /// Before another way.
    pub fn clear(&mut self) {
        self.last.clear();
        self.straight = 0;
    }

    /// From `x` and its image `g`, whose relative distance is `change`, the next iterate, written to `x`.
    pub fn advance(&mut self, x: &mut Mat<R>, g: &mut Mat<R>, change: f64, parallel: bool) {
        self.step.clear();
        for (g, x) in g.sample(SAMPLE).zip(x.sample(SAMPLE)) {
            self.step.extend(g.iter().zip(x).map(|(&g, &x)| g - x));
        }
        self.straight = if change < FORMING && self.goes_on() { self.straight + 1 } else { 0 };
        std::mem::swap(&mut self.last, &mut self.step);
        if self.straight == 0 {
            self.image.clone_from(&g.data);
            std::mem::swap(x, g);
            return;
        }
        let share = R::from_f64(f64::from(self.straight) / f64::from(self.straight + 3));
        let parts = x.data.chunks_mut(PART).zip(g.data.chunks(PART)).zip(self.image.chunks_mut(PART));
        each(parts, parallel, |((x, g), image)| {
            for ((x, &g), image) in x.iter_mut().zip(g).zip(image) {
                *x = g + share * (g - *image);
                *image = g;
            }
        });
    }

    /// Whether the step points where the last one did.
    fn goes_on(&self) -> bool {
        let inner = |a: &[R], b: &[R]| dot(a, b).to_f64();
        !self.last.is_empty()
            && inner(&self.step, &self.last)
                > STRAIGHT * (inner(&self.step, &self.step) * inner(&self.last, &self.last)).sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps until the change is below 1e-3, and the largest entry on the way.
    fn steps(rates: &[f64], begin: &[f64], accelerated: bool) -> (usize, f64) {
        let mut momentum = Momentum::new();
        let mut x = Mat::from_vec(begin.to_vec(), begin.len(), 1);
        let mut largest = 0.0f64;
        for step in 1..1000 {
            let mut g = Mat::from_fn(begin.len(), 1, |i, _| rates[i] * x.data[i]);
            if x.data.iter().zip(&g.data).all(|(x, g)| (g - x).abs() < 1e-3) {
                return (step, largest);
            }
            if accelerated {
                momentum.advance(&mut x, &mut g, 0.1, false);
            } else {
                std::mem::swap(&mut x, &mut g);
            }
            largest = x.data.iter().fold(largest, |most, x| most.max(x.abs()));
        }
        (1000, largest)
    }

    #[test]
    fn a_slow_mode_takes_fewer_steps_and_nothing_grows() {
        let (rates, begin) = ([0.98, 0.9, 0.5, 0.1, 0.0, -0.3], [1.0, 0.2, 0.2, 0.2, 0.2, 0.2]);
        let ((plain, _), (accelerated, largest)) = (steps(&rates, &begin, false), steps(&rates, &begin, true));
        assert!(plain > 100 && 2 * accelerated < plain, "{accelerated} steps for {plain}");
        assert!(largest <= 1.0, "{largest}");
    }

    #[test]
    fn a_growing_mode_grows_faster_and_keeps_its_side() {
        let mut momentum = Momentum::new();
        let mut x = Mat::from_vec(vec![1.0, -1e-3], 2, 1);
        for _ in 0..40 {
            let mut g = Mat::from_vec(vec![0.9 * x.data[0], 1.1 * x.data[1]], 2, 1);
            momentum.advance(&mut x, &mut g, 0.1, false);
        }
        assert!(x.data[1] < -10.0 * 1e-3 * 1.1f64.powi(40), "{:?}", x.data);
    }

    #[test]
    fn momentum_grows_on_a_straight_way_and_is_taken_away_by_a_turn() {
        let mut momentum = Momentum::new();
        let mut at = [0.0, 0.0];
        let mut go = |momentum: &mut Momentum<f64>, by: [f64; 2], change| {
            let mut x = Mat::from_vec(at.to_vec(), 2, 1);
            let image = [at[0] + by[0], at[1] + by[1]];
            momentum.advance(&mut x, &mut Mat::from_vec(image.to_vec(), 2, 1), change, false);
            at = [x.data[0], x.data[1]];
            [at[0] - image[0], at[1] - image[1]]
        };
        let (right, up) = ([1.0, 0.0], [0.0, 1.0]);
        // Images at 1, 2, 3 1/4: shares 0, 1/4, 2/5 of the moves between them.
        assert_eq!(go(&mut momentum, right, 0.1), [0.0, 0.0]);
        assert_eq!(go(&mut momentum, right, 0.1), [0.25, 0.0]);
        assert_eq!(go(&mut momentum, right, 0.1), [0.5, 0.0]);
        assert_eq!(go(&mut momentum, up, 0.1), [0.0, 0.0]);
        assert_eq!(go(&mut momentum, up, 0.1), [0.0, 0.25]);
        // Neither while the plan is formed, nor as the first step of another way.
        assert_eq!(go(&mut momentum, up, FORMING), [0.0, 0.0]);
        assert_ne!(go(&mut momentum, up, 0.1), [0.0, 0.0]);
        momentum.clear();
        assert_eq!(go(&mut momentum, up, 0.1), [0.0, 0.0]);
    }
}
