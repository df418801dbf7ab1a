//! Where the potentials of the next outer step will be.
//!
//! They are a smooth function of the plan's summary. How the two moved together in the last steps tells, to first order, how the
//! potentials move when the summary moves on; sweeps that begin there have less left to mend.

use crate::kernels::dot;
use crate::linalg::closest_combination;
use crate::mat::Mat;
use crate::real::Real;

/// Moves that are combined.
const DEPTH: usize = 2;
/// Entries of the summary that are looked at, about.
const SAMPLE: usize = 1 << 16;
/// Relative weight at which a move that repeats the others is left out.
const RIDGE: f64 = 1e-4;

/// The last outer steps at one epsilon.
pub struct Forecast<R> {
    /// Summary and potentials of the last step; empty before it.
    x: Vec<R>,
    potentials: Vec<f64>,
    /// How both moved in the steps up to it, the oldest first.
    moves: Vec<(Vec<R>, Vec<f64>)>,
    /// From the last summary to the next.
    ahead: Vec<R>,
}

impl<R: Real> Forecast<R> {
    pub fn new() -> Self {
        Self { x: Vec::new(), potentials: Vec::new(), moves: Vec::new(), ahead: Vec::new() }
    }

    /// Before another epsilon.
    pub fn clear(&mut self) {
        self.x.clear();
        self.potentials.clear();
        self.moves.clear();
    }

    /// With the summary `x` the potentials were found to be `(f, g)`.
    pub fn learn(&mut self, x: &Mat<R>, (f, g): (Vec<f64>, Vec<f64>)) {
        // An item without weight has no potential.
        let potentials: Vec<f64> = f.into_iter().chain(g).map(|x| if x.is_finite() { x } else { 0.0 }).collect();
        if !self.x.is_empty() {
            let (mut by, mut moved) = if self.moves.len() < DEPTH { <_>::default() } else { self.moves.remove(0) };
            sampled_minus(&mut by, x, &self.x);
            moved.clear();
            moved.extend(potentials.iter().zip(&self.potentials).map(|(new, old)| new - old));
            self.moves.push((by, moved));
        }
        self.potentials = potentials;
        self.x.clear();
        x.sample(SAMPLE).for_each(|row| self.x.extend_from_slice(row));
    }

    /// How far the potentials, of rows and then of columns, will move from the last step to the summary `x`: as the combination of moves
    /// that comes closest to it. None while nothing is known.
    pub fn shift(&mut self, x: &Mat<R>) -> Option<Vec<f64>> {
        let k = self.moves.len();
        if k == 0 {
            return None;
        }
        sampled_minus(&mut self.ahead, x, &self.x);
        let inner = |a: &[R], b: &[R]| dot(a, b).to_f64();
        let gram = Mat::from_fn(k, k, |i, j| inner(&self.moves[i].0, &self.moves[j].0));
        let with: Vec<f64> = self.moves.iter().map(|(by, _)| inner(by, &self.ahead)).collect();
        let mut shift = vec![0.0; self.potentials.len()];
        for (weight, (_, moved)) in closest_combination(&gram, &with, RIDGE)?.iter().zip(&self.moves) {
            shift.iter_mut().zip(moved).for_each(|(s, m)| *s += weight * m);
        }
        shift.iter().all(|s| s.is_finite()).then_some(shift)
    }
}

/// `to <- x - last`, of the entries that are looked at.
fn sampled_minus<R: Real>(to: &mut Vec<R>, x: &Mat<R>, last: &[R]) {
    to.clear();
    for (row, last) in x.sample(SAMPLE).zip(last.chunks_exact(x.cols.max(1))) {
        to.extend(row.iter().zip(last).map(|(&x, &last)| x - last));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn potentials_that_follow_linearly_are_foretold() {
        let map = |x: &Mat<f64>| {
            let (a, b) = (x.data[0], x.data[3]);
            (vec![3.0 * a - b, f64::NEG_INFINITY], vec![a + 2.0 * b, b, 1.0])
        };
        let at = |a: f64, b: f64| Mat::from_vec(vec![a, 0.0, 0.0, b], 2, 2);
        let mut forecast = Forecast::new();
        for (a, b) in [(9.0, 9.0), (0.0, 0.0), (1.0, 0.2), (1.5, 1.0)] {
            forecast.learn(&at(a, b), map(&at(a, b)));
        }
        let shift = forecast.shift(&at(2.5, 2.0)).expect("two moves are known");
        for (s, want) in shift.iter().zip([2.0, 0.0, 3.0, 1.0, 0.0]) {
            assert!((s - want).abs() < 1e-2, "{shift:?}");
        }
        forecast.clear();
        assert!(forecast.shift(&at(1.0, 1.0)).is_none());
        forecast.learn(&at(0.0, 0.0), map(&at(0.0, 0.0)));
        assert!(forecast.shift(&at(1.0, 1.0)).is_none());
        // A move of length zero tells nothing and breaks nothing.
        forecast.learn(&at(0.0, 0.0), map(&at(0.0, 0.0)));
        assert_eq!(forecast.shift(&at(1.0, 1.0)), Some(vec![0.0; 5]));
    }
}
