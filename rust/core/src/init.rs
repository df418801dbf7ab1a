//! Initial plans by name, and what an outer step needs of them.

use std::sync::atomic::AtomicBool;

use crate::draw::{north_west, shuffled, stream};
use crate::error::InvalidInput;
use crate::kernels::{add_scaled, exp_shift};
use crate::mat::{Mat, gemm_into};
use crate::operator::Operator;
use crate::plan::round_to_marginals;
use crate::problem::Problem;
use crate::real::Real;
use crate::rows::{NEVER, Rows, held};

/// Where a solve starts.
#[derive(Debug, Clone)]
pub enum Init {
    /// A plan, n x m.
    Plan(Mat<f64>),
    /// By name, seed and number of the start.
    Named(InitKind, u64, u64),
}

/// The named starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitKind {
    /// `p q'`.
    Uniform,
    /// A uniform random matrix projected on the marginals: the literature's.
    Random,
    /// A random order of each side, coupled by the north-west corner rule; a random permutation for uniform weights and n = m.
    Permutation,
    /// Objects in like positions on the three leading axes of classical scaling, each axis oriented by its skewness and flipped by the
    /// bits of the start's number (0: as oriented; 8 patterns): `p q' exp(h / 2)`, h the sum over the axes of the products of positions. To
    /// first order the uniform plan with half of h added, and positive.
    Spectral,
    /// Objects with like profiles of dissimilarities to all others, compared quantile by quantile: the third lower bound of
    /// Memoli (2011), <https://doi.org/10.1007/s10208-011-9093-5>.
    Profile,
    /// Groups of objects (k-means) coupled by the problem of their mean dissimilarities: see `cocluster`.
    Cocluster,
}

impl InitKind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Uniform, Self::Random, Self::Permutation, Self::Spectral, Self::Profile, Self::Cocluster];

    /// All names, for messages.
    pub const NAMES: &'static str = "'uniform', 'random', 'permutation', 'spectral', 'profile', 'cocluster'";

    /// From its name.
    ///
    /// # Errors
    /// No start goes by this name.
    pub fn from_name(name: &str) -> Result<Self, InvalidInput> {
        match name {
            "uniform" => Ok(Self::Uniform),
            "random" => Ok(Self::Random),
            "permutation" => Ok(Self::Permutation),
            "spectral" => Ok(Self::Spectral),
            "profile" => Ok(Self::Profile),
            "cocluster" => Ok(Self::Cocluster),
            _ => Err(InvalidInput::UnknownInit { value: name.to_owned(), expected: Self::NAMES }),
        }
    }
}

/// A first plan, in the form in which it is cheapest.
enum First<'a> {
    /// All entries.
    Plan(Mat<f64>),
    /// `p q'`.
    Uniform,
    /// Row, column and mass of the few entries that are not 0.
    Sparse(Vec<(usize, usize, f64)>),
    /// A positive matrix by its rows, to be scaled onto the marginals up to this error, then rounded.
    Rows(Box<Fill<'a>>, f64),
}

/// Writes rows of a matrix from a given one on.
type Fill<'a> = dyn Fn(usize, &mut [f64]) + Sync + 'a;

impl Problem {
    /// The initial plan (n x m, as given).
    ///
    /// # Errors
    /// A given plan that does not fit the problem.
    pub fn initial_plan(&self, init: &Init) -> Result<Mat<f64>, InvalidInput> {
        let plan = self.formed(self.first(init, &NEVER)?, true, &NEVER);
        Ok(if self.swapped { plan.transposed() } else { plan })
    }

    /// Summary of the initial plan. For a factored source no n x m array is held, unless it is small or given. Of no meaning once
    /// `cancel` is set.
    pub(crate) fn initial_summary<R: Real>(
        &self,
        init: &Init,
        operator: &Operator<R>,
        parallel: bool,
        cancel: &AtomicBool,
    ) -> Result<Mat<R>, InvalidInput> {
        let first = self.first(init, cancel)?;
        let Some(left) = operator.factor() else { return Ok(self.formed(first, parallel, cancel).cast()) };
        let r = left.cols - 1;
        Ok(match first {
            First::Plan(plan) => operator.summary(&plan.cast(), parallel),
            // The factor is centred: p' A1 = 0.
            First::Uniform => Mat::zeros(r, self.q.len()),
            First::Sparse(entries) => {
                let mut x = Mat::zeros(self.q.len(), r);
                for (i, j, mass) in entries {
                    add_scaled(x.row_mut(j), &left.row(i)[..r], R::from_f64(mass));
                }
                x.transposed()
            }
            First::Rows(fill, tol) => {
                self.scaled(&*fill, tol, parallel, cancel, |rows| rows.rounding(left.left_cols(r)).1)
            }
        })
    }

    fn formed(&self, first: First, parallel: bool, cancel: &AtomicBool) -> Mat<f64> {
        let (n, m) = (self.p.len(), self.q.len());
        match first {
            First::Plan(plan) => plan,
            First::Uniform => Mat::from_fn(n, m, |i, j| self.p[i] * self.q[j]),
            First::Sparse(entries) => {
                let mut plan = Mat::zeros(n, m);
                for (i, j, mass) in entries {
                    plan.row_mut(i)[j] += mass;
                }
                round_to_marginals(&mut plan, &self.p, &self.q);
                plan
            }
            First::Rows(fill, tol) => self.scaled(&*fill, tol, parallel, cancel, |rows| {
                let (rounding, _) = rows.rounding(Mat::<f64>::zeros(n, 0).view());
                Rows { fill: &rows.rounded(&rounding), ..rows }.formed()
            }),
        }
    }

    /// `f` of a positive matrix once it is scaled onto the marginals.
    fn scaled<T>(&self, fill: &Fill, tol: f64, parallel: bool, cancel: &AtomicBool, f: impl Fn(Rows) -> T) -> T {
        let (m, p, q) = (self.q.len(), &self.p[..], &self.q[..]);
        let computed = Rows { fill: &|i, out| fill(i, out), p, q, parallel, cancel };
        // A small matrix is computed once, a large one again in every pass.
        let formed = (p.len() * m <= HELD).then(|| computed.formed());
        let rows = |start: usize, out: &mut [f64]| match &formed {
            Some(matrix) => held(matrix)(start, out),
            None => fill(start, out),
        };
        let (u, v) = Rows { fill: &rows, ..computed }.scaled(tol);
        let scaled = |start: usize, out: &mut [f64]| {
            rows(start, out);
            for (row, u) in out.chunks_exact_mut(m).zip(&u[start..]) {
                row.iter_mut().zip(&v).for_each(|(x, v)| *x *= u * v);
            }
        };
        f(Rows { fill: &scaled, ..computed })
    }

    fn first(&self, init: &Init, cancel: &AtomicBool) -> Result<First<'_>, InvalidInput> {
        let (kind, seed, index) = match init {
            Init::Plan(plan) => {
                // Float32 plans are welcome: their rounding is rounded away.
                let mut plan = self.checked_plan("init", plan, 1e-4)?;
                round_to_marginals(&mut plan, &self.p, &self.q);
                return Ok(First::Plan(plan));
            }
            Init::Named(kind, seed, index) => (*kind, *seed, *index),
        };
        let mut rng = stream(seed, index);
        let (n, m) = (self.p.len(), self.q.len());
        Ok(match kind {
            InitKind::Uniform => First::Uniform,
            InitKind::Random => First::Rows(Box::new(self.random(seed, index)), 1e-13),
            InitKind::Permutation => {
                First::Sparse(north_west(&self.p, &self.q, &shuffled(n, &mut rng), &shuffled(m, &mut rng)))
            }
            InitKind::Spectral => First::Rows(Box::new(self.spectral(index, cancel)), ROUGHLY),
            InitKind::Profile => First::Rows(Box::new(self.profile(cancel)), ROUGHLY),
            InitKind::Cocluster => First::Rows(Box::new(self.coclusters(rng, cancel)), ROUGHLY),
        })
    }

    fn spectral<'a>(&'a self, pattern: u64, cancel: &AtomicBool) -> impl Fn(usize, &mut [f64]) + Sync + use<'a> {
        // Nothing is asked of a start that is cancelled but its size.
        let none = || (Mat::zeros(self.p.len(), 0), Mat::zeros(self.q.len(), 0));
        let (v1, v2) = self.leading_axes(cancel).map_or_else(none, |(v1, v2)| (v1.clone(), v2.clone()));
        let axes = v1.cols.min(v2.cols);
        let flip = |k: usize| if pattern >> k & 1 == 1 { -0.5 } else { 0.5 };
        let flipped = Mat::from_fn(v1.rows, axes, |i, k| flip(k) * v1.row(i)[k]);
        let none = vec![0.0; v2.rows];
        move |start, out| {
            let m = none.len();
            gemm_into(out, flipped.view().rows(start, out.len() / m), v2.left_cols(axes).t(), 1.0, false);
            for row in out.chunks_exact_mut(m) {
                for x in &mut *row {
                    *x = x.clamp(-30.0, 30.0);
                }
                exp_shift(row, 0.0, &none);
            }
        }
    }
}

/// Entries up to which a positive matrix is held while it is scaled (256 MiB).
const HELD: usize = 1 << 25;
/// Marginal error of a start that is a guess anyway.
const ROUGHLY: f64 = 1e-2;
#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::cost::Dissimilarity;

    fn points(n: usize, dims: usize) -> Mat<f64> {
        Mat::from_fn(n, dims, |i, k| ((i as f64 + 1.0) * (0.618_033_98 + 0.1 * k as f64)).fract().powi(2))
    }

    fn factored(n: usize, dims: usize) -> Dissimilarity {
        let values = points(n, dims);
        let offset = (0..n).map(|i| values.row(i).iter().map(|v| v * v).sum()).collect();
        Dissimilarity::Factored { values, weights: vec![-2.0; dims], offset }
    }

    fn weights(n: usize, zeros: usize) -> Vec<f64> {
        let raw: Vec<f64> = (0..n).map(|i| if i < zeros { 0.0 } else { 1.0 + (i % 3) as f64 }).collect();
        let sum: f64 = raw.iter().sum();
        raw.iter().map(|w| w / sum).collect()
    }

    /// One as given, one swapped inside.
    pub(crate) fn problems() -> [Problem; 2] {
        let problem = |n, d, m, e| {
            Problem::new(&factored(n, d), &factored(m, e), &weights(n, 2), &weights(m, 1)).expect("a valid problem")
        };
        let both = [problem(90, 2, 70, 3), problem(70, 4, 150, 2)];
        assert_eq!((both[0].swapped, both[1].swapped), (false, true));
        both
    }

    #[test]
    fn the_summary_is_that_of_the_plan() {
        for problem in problems() {
            for name in ["uniform", "random", "permutation", "spectral", "profile"] {
                let init = Init::Named(InitKind::from_name(name).expect("a name"), 3, 1);
                let plan = problem.formed(problem.first(&init, &NEVER).expect("a valid start"), false, &NEVER);
                let (p, q) = (&problem.p, &problem.q);
                assert!(crate::plan::marginal_error(&plan, p, q) < 1e-12, "{name}");
                let want = problem.exact.summary(&plan, false);
                let got = problem.initial_summary(&init, &problem.exact, true, &NEVER).expect("a valid start");
                assert!(got.data.iter().zip(&want.data).all(|(a, b)| (a - b).abs() < 1e-13), "{name}");
                let single = problem.initial_summary(&init, problem.single(), false, &NEVER).expect("a valid start");
                assert!(single.data.iter().zip(&want.data).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-7), "{name}");
            }
        }
    }
}
