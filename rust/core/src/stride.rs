//! Longer steps of the outer loop on its way, far from its end.
//!
//! Between basins the plan creeps along one direction for tens of steps. There a plain step is followed by a longer one, which takes
//! the iteration `1 + LONGER` times as far. With a plain step on either side nothing is amplified that a plain step contracts: the two
//! together multiply a mode of rate `z` by `z ((1 + LONGER) z - LONGER)`, between -1 and 1 for every z from 0 to 1 while `LONGER < 4.8`
//! (two-step Richardson iteration, cf. Chebyshev; Hageman & Young 1981, ch. 4). What grows grows faster, so that a saddle is left sooner:
//! the way is the same as that of plain steps, unlike with extrapolation to a fixed point.

use crate::kernels::dot;
use crate::mat::Mat;
use crate::real::Real;

/// How much farther a long step goes.
const LONGER: f64 = 4.0;
/// Cosine of successive steps above which the way is straight enough.
const STRAIGHT: f64 = 0.8;
/// Relative change above which the plan is still being formed.
const FORMING: f64 = 0.3;

/// Entries of a step that are looked at, about.
const SAMPLE: usize = 1 << 16;

/// Remembers the last step.
pub struct Stride<R> {
    last: Vec<R>,
    step: Vec<R>,
    /// Whether the last step was a plain one.
    plain: bool,
}

impl<R: Real> Stride<R> {
    pub fn new() -> Self {
        Self { last: Vec::new(), step: Vec::new(), plain: true }
    }

    /// Before another way.
    pub fn clear(&mut self) {
        self.last.clear();
        self.plain = true;
    }

    /// From `x` and its image `g`, whose relative distance is `change`, the next iterate, written to `x`.
    pub fn advance(&mut self, x: &mut Mat<R>, g: &mut Mat<R>, change: f64) {
        self.step.clear();
        for (g, x) in g.sample(SAMPLE).zip(x.sample(SAMPLE)) {
            self.step.extend(g.iter().zip(x).map(|(&g, &x)| g - x));
        }
        self.plain = !(self.plain && change < FORMING && self.goes_on());
        std::mem::swap(x, g);
        if !self.plain {
            let longer = R::from_f64(LONGER);
            x.data.iter_mut().zip(&g.data).for_each(|(new, &old)| *new = *new + longer * (*new - old));
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
    fn steps(rates: &[f64], begin: &[f64], long: bool) -> usize {
        let mut stride = Stride::new();
        let mut x = Mat::from_vec(begin.to_vec(), begin.len(), 1);
        for step in 1..1000 {
            let mut g = Mat::from_fn(begin.len(), 1, |i, _| rates[i] * x.data[i]);
            if x.data.iter().zip(&g.data).all(|(x, g)| (g - x).abs() < 1e-3) {
                return step;
            }
            if long {
                stride.advance(&mut x, &mut g, 0.1);
            } else {
                std::mem::swap(&mut x, &mut g);
            }
        }
        1000
    }

    #[test]
    fn a_slow_mode_takes_fewer_steps_and_no_fast_one_grows() {
        let (rates, begin) = ([0.98, 0.9, 0.5, 0.1, 0.0], [1.0, 0.2, 0.2, 0.2, 0.2]);
        let (plain, long) = (steps(&rates, &begin, false), steps(&rates, &begin, true));
        assert!(plain > 100 && 2 * long < plain, "{long} steps for {plain}");
    }

    #[test]
    fn a_growing_mode_grows_and_keeps_its_side() {
        for side in [-1e-3, 1e-3] {
            let mut stride = Stride::new();
            let mut x = Mat::from_vec(vec![1.0, side], 2, 1);
            for _ in 0..40 {
                let mut g = Mat::from_vec(vec![0.9 * x.data[0], 1.1 * x.data[1]], 2, 1);
                stride.advance(&mut x, &mut g, 0.1);
            }
            assert!(x.data[1] / side > 1.1f64.powi(40), "{:?}", x.data);
        }
    }
}
