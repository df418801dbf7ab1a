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
///
/// Only errors of plain sweeps are compared with each other: one of an over-relaxed sweep is amplified, and grows at first.
#[derive(Debug, Clone)]
pub struct Relaxation {
    omega: f64,
    /// Error at the last plain sweep that a rate is measured from, and sweeps since; None before the first.
    since: Option<(f64, usize)>,
    /// Whether the sweep asked for last is a plain one.
    plain: bool,
}

impl Default for Relaxation {
    fn default() -> Self {
        Self { omega: 1.0, since: None, plain: true }
    }
}

impl Relaxation {
    /// Of the next sweeps, by the rates seen so far.
    pub fn omega(&self) -> f64 {
        self.omega
    }

    /// At the start of a projection, whose first sweep is a plain one; what was learnt in the last one stays.
    pub fn begin(&mut self) {
        self.since = None;
        self.plain = true;
    }

    /// Omega of the next sweep, from the marginal error before it. Below the tolerance a plain sweep has to confirm it.
    pub fn next(&mut self, error: f64, tol: f64) -> f64 {
        let (first, sweeps) = self.since.map_or((error, 0), |(first, sweeps)| (first, sweeps + 1));
        if error > 100.0 * first {
            *self = Self::default();
            return 1.0;
        }
        let window = if self.omega > 1.0 { (4.0 / (2.0 - self.omega)).ceil() as usize } else { WINDOW };
        let measured = self.plain && sweeps >= window;
        if measured {
            self.omega = adapted(self.omega, (error / first).powf(1.0 / sweeps as f64));
        }
        self.since = Some(if measured { (error, 0) } else { (first, sweeps) });
        let due = sweeps + 1 >= window || error <= tol;
        self.plain = self.omega == 1.0 || !self.plain && due;
        if self.plain { 1.0 } else { self.omega }
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

    /// Sweeps until the error, times `rate` a plain sweep, twice as fast in the exponent a relaxed one, is below 1e-6.
    fn sweeps(rate: f64) -> usize {
        let (mut relaxation, mut level, mut omega) = (Relaxation::default(), 1.0, 1.0);
        for sweeps in 1..5000 {
            // An over-relaxed sweep shows an error larger than what is left.
            let shown = level * if omega > 1.0 { 30.0 } else { 1.0 };
            if omega == 1.0 && shown <= 1e-6 {
                return sweeps;
            }
            omega = relaxation.next(shown, 1e-6);
            level *= if omega > 1.0 { (omega - 1.0f64).max(rate.powi(4)) } else { rate };
        }
        5000
    }

    #[test]
    fn errors_that_relaxed_sweeps_amplify_neither_stop_it_nor_are_believed() {
        let plain = (1e-6f64.ln() / 0.99f64.ln()) as usize;
        let relaxed = sweeps(0.99);
        assert!(2 * relaxed < plain, "{relaxed} sweeps for {plain}");
    }

    #[test]
    fn at_the_best_omega_it_stays_and_beyond_it_shrinks() {
        let best = 2.0 / 1.1;
        assert!((adapted(best, best - 1.0) - best).abs() < 1e-12);
        assert!(adapted(best, 1.2) < best);
    }
}
