//! Whether single precision resolves a problem: an exponent of size x is rounded by `2^-24 x`, and an entry of the plan by as much in proportion.

use rayon::prelude::*;

use crate::cost::{Centred, Core, Skew, weighted_square};
use crate::gw::{Precision, Start};
use crate::mat::{Mat, product};
use crate::power::largest;
use crate::problem::Problem;

/// Rounding of an exponent up to which single precision will do. The plans of either precision are then within 1e-3 of each other in L1;
/// far beyond it a plan is another one, and a solve that stands still there has not converged.
const RESOLVED: f64 = 1e-4;

/// What bounds `|S1 T S2|` and `|a1 a2'|` on one side: the largest weighted norm of a row of S, and the largest entry of a.
struct Reach {
    core: f64,
    vector: f64,
}

impl Reach {
    fn of(centred: &Centred, p: &[f64]) -> Self {
        let core = match &centred.core {
            Core::Dense(s) => heaviest_row(s, p),
            Core::Factored(a, sign) => {
                // Norms of the rows of A D A' from those of A D (A' P A)^1/2.
                let signed = Mat::from_fn(a.rows, a.cols, |i, k| a.row(i)[k] * sign[k]);
                let weighted = Mat::from_fn(a.rows, a.cols, |i, k| a.row(i)[k] * p[i]);
                let (mut gram, mut moved) = (Mat::zeros(a.cols, a.cols), Mat::zeros(a.rows, a.cols));
                product(&mut gram, a.view().t(), weighted.view(), 1.0, false, true);
                product(&mut moved, signed.view(), gram.view(), 1.0, false, true);
                let square = |i: usize| moved.row(i).iter().zip(signed.row(i)).map(|(x, y)| x * y).sum::<f64>();
                heaviest(p, square)
            }
        };
        Self { core, vector: largest(&centred.a) }
    }

    fn of_skew(skew: &Skew, p: &[f64]) -> Self {
        Self { core: heaviest_row(&skew.core, p), vector: largest(&skew.k) }
    }

    /// Of the two terms, for any plan whose marginals are the weights (Cauchy-Schwarz).
    fn with(&self, other: &Self) -> f64 {
        self.core * other.core + self.vector * other.vector
    }
}

fn heaviest_row(s: &Mat<f64>, p: &[f64]) -> f64 {
    heaviest(p, |i| weighted_square(s.row(i), p))
}

/// The largest norm of a row, by its square, of those with weight.
fn heaviest(p: &[f64], square: impl Fn(usize) -> f64 + Sync + Send) -> f64 {
    (0..p.len()).into_par_iter().filter(|&i| p[i] > 0.0).map(square).reduce(|| 0.0, f64::max).sqrt()
}

impl Problem {
    /// Bound of `epsilon |M| / 4` over all plans, in the unit of the costs that are worked with. Close to what plans that match one to one
    /// reach.
    pub(crate) fn found_reach(&self) -> f64 {
        let quadratic = Reach::of(&self.source, &self.p).with(&Reach::of(&self.target, &self.q));
        let skew = self.source.skew.as_ref().zip(self.target.skew.as_ref());
        let skew = skew.map_or(0.0, |(k1, k2)| Reach::of_skew(k1, &self.p).with(&Reach::of_skew(k2, &self.q)));
        let (alpha, linear) = self.exact.linear_term();
        alpha * (quadratic + skew) + linear.map_or(0.0, |l| 0.25 * largest(&l.data))
    }

    /// Whether a solve at this epsilon is as good in mixed precision as in float64, to 1e-3 of the plan in L1.
    #[must_use]
    pub fn resolves(&self, epsilon: f64) -> bool {
        const ROUNDING: f64 = 0.5 * f32::EPSILON as f64;
        ROUNDING * self.step(epsilon) * self.reach() <= RESOLVED
    }

    /// The precision that a start is solved in when this one is asked for.
    pub(crate) fn precision(&self, asked: Precision, start: &Start) -> Precision {
        let resolved = || start.epsilons.iter().all(|&e| self.resolves(e));
        if asked == Precision::Mixed && resolved() { Precision::Mixed } else { Precision::Float64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::Dissimilarity;
    use crate::gw::Settings;
    use crate::init::{Init, InitKind};
    use crate::rows::NEVER;
    use crate::solution::{Exponent, Solution};

    fn points(n: usize, dims: usize) -> Mat<f64> {
        Mat::from_fn(n, dims, |i, k| ((i as f64 + 1.0) * (0.618_033_98 + 0.1 * k as f64)).fract().powi(2))
    }

    fn squared_distances(x: &Mat<f64>) -> Dissimilarity {
        Dissimilarity::Dense(Mat::from_fn(x.rows, x.rows, |i, j| {
            x.row(i).iter().zip(x.row(j)).map(|(a, b)| (a - b).powi(2)).sum()
        }))
    }

    #[test]
    fn the_bound_holds_for_the_diagonal_and_is_close_to_it() {
        let n = 40;
        let cost = squared_distances(&points(n, 3));
        let w = vec![1.0 / n as f64; n];
        let problem = Problem::new(&cost, &cost, &w, &w).expect("a valid problem");
        assert!(matches!(problem.source.core, Core::Factored(..)));
        let dense = problem.source.dense_core();
        let largest = (0..n * n)
            .map(|at| {
                let (i, j) = (at / n, at % n);
                let core: f64 = dense.row(i).iter().zip(dense.row(j)).map(|(x, y)| x * y / n as f64).sum();
                (core + problem.source.a[i] * problem.target.a[j]).abs()
            })
            .fold(0.0, f64::max);
        assert!(largest <= problem.reach() * (1.0 + 1e-12), "{largest} {}", problem.reach());
        assert!(problem.reach() < 1.5 * largest, "{largest} {}", problem.reach());
        assert!((heaviest_row(&dense, &w) / Reach::of(&problem.source, &w).core - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_single_precision_cannot_resolve_is_solved_in_float64() {
        let cost = squared_distances(&points(30, 2));
        let w = vec![1.0 / 30.0; 30];
        let problem = Problem::new(&cost, &cost, &w, &w).expect("a valid problem");
        assert!(problem.resolves(1e-2) && !problem.resolves(1e-6));
        let start = |epsilons: Vec<f64>| Start { init: Init::Named(InitKind::Uniform, 0, 0), epsilons };
        let precision = |epsilons| problem.precision(Precision::Mixed, &start(epsilons));
        assert_eq!(precision(vec![1e-2]), Precision::Mixed);
        assert_eq!(precision(vec![1e-2, 1e-6]), Precision::Float64);
    }

    #[test]
    fn starts_of_either_precision_keep_their_numbers() {
        let cost = squared_distances(&points(30, 2));
        let w = vec![1.0 / 30.0; 30];
        let problem = Problem::new(&cost, &cost, &w, &w).expect("a valid problem");
        let diagonal = Mat::from_fn(30, 30, |i, j| if i == j { 1.0 / 30.0 } else { 0.0 });
        let start = |epsilons: &[f64]| Start { init: Init::Plan(diagonal.clone()), epsilons: epsilons.to_vec() };
        let starts = [start(&[1e-2, 5e-3]), start(&[1e-2, 1e-6]), start(&[1e-2, 5e-3]), start(&[1e-2, 1e-6])];
        let last = std::sync::Mutex::new(vec![None; 4]);
        let done = |i: usize, end: Option<&Solution>| {
            last.lock().expect("not poisoned")[i] = end.and_then(|end| end.merged_into);
        };
        let ends = crate::search(&problem, &starts, &Settings::default(), &NEVER, &done).expect("valid starts");
        let ends: Vec<Solution> = ends.into_iter().flatten().collect();
        let merged = |ends: &[Solution]| ends.iter().map(|end| end.merged_into).collect::<Vec<_>>();
        assert_eq!(merged(&ends), [None, None, Some(0), Some(1)]);
        assert_eq!(*last.lock().expect("not poisoned"), merged(&ends));
        for (end, double) in ends.iter().zip([false, true, false, true]) {
            assert_eq!(matches!(end.exponent(), Exponent::Double(_)), double);
        }
    }
}
