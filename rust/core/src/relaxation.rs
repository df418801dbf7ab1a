//! How far a Sinkhorn sweep overshoots.
//!
//! Near its fixed point Sinkhorn's iteration is a Gauss-Seidel iteration on two blocks of unknowns (log u and log v), which Young's theory
//! of successive over-relaxation covers exactly: from the rate lambda of sweeps at omega follows the largest coupling
//! `mu^2 = (lambda + omega - 1)^2 / (lambda omega^2)`, and from it the best `omega = 2 / (1 + sqrt(1 - mu^2))`. A rate of 1 - d becomes one of
//! about 1 - 2 sqrt(d). Thibault, Chizat, Dossal & Papadakis (2021), <https://doi.org/10.3390/a14050143>; Hageman & Young (1981), ch. 9.

/// Sweeps over which a rate is measured at omega = 1.
const WINDOW: usize = 6;
/// Plain sweeps that converge at least this fast are left alone.
const FAST: f64 = 0.7;
/// Highest omega: beyond it float32 noise is what is amplified.
const HIGHEST: f64 = 1.985;

/// Adapts omega to the rates it sees; sweeps fall back to plain ones, which always converge, when it overshoots.
#[derive(Debug, Clone)]
pub struct Relaxation {
    omega: f64,
    /// Error at the first sweep of the window, and sweeps since.
    window: Option<(f64, usize)>,
}

impl Default for Relaxation {
    fn default() -> Self {
        Self { omega: 1.0, window: None }
    }
}

impl Relaxation {
    /// Of the next sweeps, by the rates seen so far.
    pub fn omega(&self) -> f64 {
        self.omega
    }

    /// At the start of a projection; what was learnt in the last one stays.
    pub fn begin(&mut self) {
        self.window = None;
    }

    /// Omega of the next sweep, from the marginal error before it. Below the tolerance a plain sweep has to confirm it.
    pub fn next(&mut self, error: f64, tol: f64) -> f64 {
        if error <= tol {
            self.window = None;
            return 1.0;
        }
        let Some((first, sweeps)) = &mut self.window else {
            // The first sweep at this omega; its error is not comparable with that of a plain one.
            self.window = Some((f64::NAN, 0));
            return self.omega;
        };
        if *sweeps == 0 {
            *first = error;
        }
        *sweeps += 1;
        if error > 100.0 * *first {
            *self = Self { omega: 1.0, window: Some((f64::NAN, 0)) };
            return 1.0;
        }
        let length = if self.omega > 1.0 { (4.0 / (2.0 - self.omega)).ceil() as usize } else { WINDOW };
        if *sweeps > length {
            let rate = (error / *first).powf(1.0 / (*sweeps - 1) as f64);
            self.omega = adapted(self.omega, rate);
            self.window = Some((f64::NAN, 0));
        }
        self.omega
    }
}

/// Omega after sweeps at `omega` that converged at `rate`.
fn adapted(omega: f64, rate: f64) -> f64 {
    let asymptotic = omega - 1.0;
    if rate >= 1.0 {
        return 1.0 + 0.5 * asymptotic;
    }
    if omega == 1.0 && rate < FAST || rate < asymptotic + 0.1 * (2.0 - omega) {
        return omega;
    }
    let coupling = ((rate + asymptotic).powi(2) / (rate * omega * omega)).min(1.0);
    let best = 2.0 / (1.0 + (1.0 - coupling).sqrt());
    // A rate seen too early looks slower than it is: at most halve the distance to 2 at once.
    let bound = if omega == 1.0 { HIGHEST } else { 2.0 - 0.5 * (2.0 - omega) };
    best.clamp(omega, bound.min(HIGHEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn omega_follows_from_the_rate_of_plain_sweeps() {
        // Gauss-Seidel at rate 0.99: omega = 2 / (1 + sqrt(0.01)).
        assert!((adapted(1.0, 0.99) - 2.0 / 1.1).abs() < 1e-12);
        assert!((adapted(1.0, 0.5) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn at_the_best_omega_it_stays_and_beyond_it_shrinks() {
        let best = 2.0 / 1.1;
        assert!((adapted(best, best - 1.0) - best).abs() < 1e-12);
        assert!(adapted(best, 1.2) < best);
    }
}
