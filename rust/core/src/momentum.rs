//! Momentum of the outer loop on its way, far from its end.
//!
//! Between basins the plan creeps along one direction for tens of steps. While each step goes where the last one went, the next begins
//! farther along the way, by a share of the move from the last image to this one that grows with their number (Nesterov's
//! acceleration); after a turn it begins anew (O'Donoghue & Candès 2015, <https://doi.org/10.1007/s10208-013-9150-3>). A mode that plain
//! steps multiply by `z` then follows the roots of `r^2 - z (1 + share) r + z share`, which lie in the unit circle for every z from 0 to
//! below 1: nothing is amplified that a plain step contracts. What grows grows faster, so that a saddle is left sooner: the way is that of
//! plain steps, unlike with extrapolation to a fixed point.

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
    pub fn advance(&mut self, x: &mut Mat<R>, g: &mut Mat<R>, change: f64) {
        self.step.clear();
        for (g, x) in g.sample(SAMPLE).zip(x.sample(SAMPLE)) {
            self.step.extend(g.iter().zip(x).map(|(&g, &x)| g - x));
        }
        self.straight = if change < FORMING && self.goes_on() { self.straight + 1 } else { 0 };
        if self.straight == 0 {
            self.image.clone_from(&g.data);
            std::mem::swap(x, g);
        } else {
            let share = R::from_f64(f64::from(self.straight) / f64::from(self.straight + 3));
            for ((x, &g), image) in x.data.iter_mut().zip(&g.data).zip(&mut self.image) {
                *x = g + share * (g - *image);
                *image = g;
            }
        }
        std::mem::swap(&mut self.last, &mut self.step);
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

    /// Advances until the change is below 1e-3; the number of steps and whether they stayed bounded.
    fn steps(rates: &[f64], begin: &[f64], accelerated: bool) -> usize {
        let mut momentum = Momentum::new();
        let mut x = Mat::from_vec(begin.to_vec(), begin.len(), 1);
        for step in 1..1000 {
            let mut g = Mat::from_fn(begin.len(), 1, |i, _| rates[i] * x.data[i]);
            if x.data.iter().zip(&g.data).all(|(x, g)| (g - x).abs() < 1e-3) {
                return step;
            }
            if accelerated {
                momentum.advance(&mut x, &mut g, 0.1);
            } else {
                std::mem::swap(&mut x, &mut g);
            }
        }
        1000
    }

    #[test]
    fn a_slow_mode_takes_fewer_steps_and_no_fast_one_grows() {
        let (rates, begin) = ([0.98, 0.9, 0.5, 0.1, 0.0], [1.0, 0.2, 0.2, 0.2, 0.2]);
        let (plain, accelerated) = (steps(&rates, &begin, false), steps(&rates, &begin, true));
        assert!(plain > 100 && 2 * accelerated < plain, "{accelerated} steps for {plain}");
    }

    #[test]
    fn a_growing_mode_grows_and_keeps_its_side() {
        for side in [-1e-3, 1e-3] {
            let mut momentum = Momentum::new();
            let mut x = Mat::from_vec(vec![1.0, side], 2, 1);
            for _ in 0..40 {
                let mut g = Mat::from_vec(vec![0.9 * x.data[0], 1.1 * x.data[1]], 2, 1);
                momentum.advance(&mut x, &mut g, 0.1);
            }
            assert!(x.data[1] / side > 1.1f64.powi(40), "{:?}", x.data);
        }
    }

    #[test]
    fn a_turn_takes_the_momentum_away() {
        let mut momentum = Momentum::new();
        let mut x = Mat::from_vec(vec![0.0, 0.0], 2, 1);
        for step in 1..=3 {
            let mut g = Mat::from_vec(vec![x.data[0] + 1.0, 0.0], 2, 1);
            momentum.advance(&mut x, &mut g, 0.1);
            assert!(if step == 1 { x.data[0] == 1.0 } else { x.data[0] > f64::from(step) });
        }
        let at = x.data[0];
        let mut g = Mat::from_vec(vec![at, 1.0], 2, 1);
        momentum.advance(&mut x, &mut g, 0.1);
        assert_eq!(x.data, [at, 1.0]);
    }
}
