//! Scalings of items of little weight.

use crate::kernels::{absorb, range};
use crate::power::{power_of, times_two_to};
use crate::real::Real;

/// What items of little weight need. A scaling is about as small as the weight: taken as it is, it would be seen as stretched, and absorbed
/// into a kernel whose row or column then underflows.
pub(super) struct Light<R> {
    /// Weights of the others, 0 in their place.
    others: Vec<R>,
    /// Position, and the power of two of the weight relative to the largest.
    items: Vec<(usize, R)>,
}

impl<R: Real> Light<R> {
    pub(super) fn new(weights: &[f64]) -> Self {
        let top = weights.iter().fold(0.0, |m: f64, w| m.max(*w));
        let least = top / R::ABSORB_AT.sqrt();
        let items: Vec<usize> = (0..weights.len()).filter(|&i| weights[i] > 0.0 && weights[i] < least).collect();
        let mut others: Vec<R> = weights.iter().map(|&w| R::from_f64(w)).collect();
        let items = items.into_iter().map(|i| {
            others[i] = R::ZERO;
            (i, R::from_f64(times_two_to(1.0, power_of([weights[i] / top]).unwrap_or(0))))
        });
        let items = items.collect();
        Self { others, items }
    }

    /// Put the scalings where they are when nothing is left to absorb.
    pub(super) fn rest(&self, scaling: &mut [R]) {
        for &(i, size) in &self.items {
            scaling[i] = size;
        }
    }

    /// Move the scalings into the potentials but for what the weight alone makes of them.
    pub(super) fn absorb(&self, potential: &mut [f64], scaling: &mut [R]) {
        for &(i, size) in &self.items {
            scaling[i] = scaling[i] / size;
        }
        absorb(potential, scaling);
        self.rest(scaling);
    }

    /// Smallest and largest scaling, the weight taken out where it is little; infinite where one is not finite.
    pub(super) fn range(&self, scaling: &[R]) -> (f64, f64) {
        let (low, high) = range(scaling, &self.others);
        self.items.iter().fold((low.to_f64(), high.to_f64()), |(low, high), &(i, size)| {
            let own = (scaling[i] / size).to_f64();
            let own = if own.is_finite() { own } else { f64::INFINITY };
            (low.min(own), high.max(own))
        })
    }
}
