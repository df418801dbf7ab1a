//! Seeded initial plans. The stream of start i is a function of (seed, i) alone.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::cost::Centred;
use crate::error::InvalidInput;
use crate::kernels::{add_scaled, dot, exp_shift, max_shifted};
use crate::mat::{Mat, gemm_into};
use crate::operator::Operator;
use crate::plan::round_to_marginals;
use crate::problem::Problem;
use crate::real::Real;
use crate::rows::{Rows, held};

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
        let plan = self.formed(self.first(init)?, true);
        Ok(if self.swapped { plan.transposed() } else { plan })
    }

    /// Summary of the initial plan. For a factored source no n x m array is held, unless it is small or given.
    pub(crate) fn initial_summary<R: Real>(
        &self,
        init: &Init,
        operator: &Operator<R>,
        parallel: bool,
    ) -> Result<Mat<R>, InvalidInput> {
        let first = self.first(init)?;
        let Some(left) = operator.factor() else { return Ok(self.formed(first, parallel).cast()) };
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
            First::Rows(fill, tol) => self.scaled(&*fill, tol, parallel, |rows| rows.rounding(left.left_cols(r)).1),
        })
    }

    fn formed(&self, first: First, parallel: bool) -> Mat<f64> {
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
            First::Rows(fill, tol) => self.scaled(&*fill, tol, parallel, |rows| {
                let (rounding, _) = rows.rounding(Mat::<f64>::zeros(n, 0).view());
                Rows { fill: &rows.rounded(&rounding), ..rows }.formed()
            }),
        }
    }

    /// `f` of a positive matrix once it is scaled onto the marginals.
    fn scaled<T>(&self, fill: &Fill, tol: f64, parallel: bool, f: impl Fn(Rows) -> T) -> T {
        let (m, p, q) = (self.q.len(), &self.p[..], &self.q[..]);
        let computed = Rows { fill: &|i, out| fill(i, out), p, q, parallel };
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

    fn first(&self, init: &Init) -> Result<First<'_>, InvalidInput> {
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
            InitKind::Spectral => First::Rows(Box::new(self.spectral(index)), ROUGHLY),
            InitKind::Profile => First::Rows(Box::new(self.profile()), ROUGHLY),
            InitKind::Cocluster => First::Rows(Box::new(self.coclusters(rng)), ROUGHLY),
        })
    }

    /// Uniform numbers in (0, 1), drawn in the given orientation, so that how the problem is solved does not change the start. The
    /// generator is one of counters: any part of its stream can be drawn on its own.
    fn random(&self, seed: u64, index: u64) -> impl Fn(usize, &mut [f64]) + Sync {
        let ((n, m), swapped) = (self.shape(), self.swapped);
        move |start, out| {
            let mut rng = stream(seed, index);
            let mut draw = |from: usize, out: &mut [f64]| {
                // Two 32-bit words a number.
                rng.set_word_pos(2 * from as u128);
                out.fill_with(|| unit(&mut rng));
            };
            if swapped {
                let mut part = vec![0.0; out.len() / n];
                for i in 0..n {
                    draw(i * m + start, &mut part);
                    part.iter().enumerate().for_each(|(k, x)| out[k * n + i] = *x);
                }
            } else {
                draw(start * m, out);
            }
        }
    }

    fn spectral(&self, pattern: u64) -> impl Fn(usize, &mut [f64]) + Sync {
        let (v1, v2) = self.leading_axes();
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

    fn profile(&self) -> impl Fn(usize, &mut [f64]) + Sync {
        let (mut s, t) = (profiles(&self.source, &self.p), profiles(&self.target, &self.q));
        let shift = self.source.mean - self.target.mean;
        s.data.iter_mut().for_each(|x| *x += shift);
        let square = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
        let of_t: Vec<f64> = (0..t.rows).map(|j| square(t.row(j))).collect();
        // sum_ij p_i q_j |s_i - t_j|^2.
        let average = |x: &Mat<f64>, w: &[f64]| -> Vec<f64> {
            (0..x.cols).map(|k| (0..x.rows).map(|i| w[i] * x.row(i)[k]).sum()).collect()
        };
        let product: f64 = average(&s, &self.p).iter().zip(average(&t, &self.q)).map(|(a, b)| a * b).sum();
        let of_s: f64 = (0..s.rows).map(|i| self.p[i] * square(s.row(i))).sum();
        let mean = of_s + dot(&of_t, &self.q) - 2.0 * product;
        let sharpness = if mean > 0.0 { 10.0 / mean } else { 0.0 };
        let columns: Vec<f64> = of_t.iter().map(|x| -sharpness * x).collect();
        move |start, out| {
            let m = columns.len();
            gemm_into(out, s.view().rows(start, out.len() / m), t.view().t(), 2.0 * sharpness, false);
            for row in out.chunks_exact_mut(m) {
                let best = max_shifted(row, &columns);
                exp_shift(row, -best, &columns);
                // The uniform share keeps every entry positive, so the scaling always exists.
                for x in row {
                    *x += 1e-6;
                }
            }
        }
    }
}

/// Entries up to which a positive matrix is held while it is scaled (256 MiB).
const HELD: usize = 1 << 25;
/// Marginal error of a start that is a guess anyway.
const ROUGHLY: f64 = 1e-2;
/// Quantiles of a profile.
const QUANTILES: usize = 64;

/// Quantiles of the dissimilarities of each object to all others (n x 64), up to the mean of all.
fn profiles(c: &Centred, p: &[f64]) -> Mat<f64> {
    const BLOCK: usize = 16;
    let n = c.len();
    let mut out = Mat::zeros(n, QUANTILES);
    out.data.par_chunks_mut(BLOCK * QUANTILES).enumerate().for_each(|(b, out)| {
        let mut rows = vec![0.0; out.len() / QUANTILES * n];
        c.core_rows(b * BLOCK, &mut rows);
        let mut sorted = Vec::with_capacity(n);
        for (k, (row, quantiles)) in rows.chunks_exact(n).zip(out.chunks_exact_mut(QUANTILES)).enumerate() {
            let own = c.a[b * BLOCK + k];
            sorted.clear();
            sorted.extend(row.iter().zip(&c.a).zip(p).map(|((x, a), &w)| (x + own + a, w)));
            sorted.sort_unstable_by(|x, y| x.0.total_cmp(&y.0));
            let (mut at, mut mass) = (0, sorted[0].1);
            for (t, quantile) in quantiles.iter_mut().enumerate() {
                while mass < (t as f64 + 0.5) / QUANTILES as f64 && at + 1 < n {
                    at += 1;
                    mass += sorted[at].1;
                }
                *quantile = sorted[at].0;
            }
        }
    });
    out
}

/// The random numbers of start `index`.
fn stream(seed: u64, index: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(index);
    rng
}

/// Uniform in (0, 1).
pub(crate) fn unit(rng: &mut ChaCha8Rng) -> f64 {
    ((rng.next_u64() >> 11) as f64 + 0.5) / 2f64.powi(53)
}

fn shuffled(n: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, (unit(rng) * (i + 1) as f64) as usize);
    }
    order
}

/// Row, column and mass of at most n + m - 1 entries.
fn north_west(p: &[f64], q: &[f64], rows: &[usize], cols: &[usize]) -> Vec<(usize, usize, f64)> {
    let mut plan = Vec::with_capacity(p.len() + q.len());
    let (mut i, mut j) = (0, 0);
    let (mut left, mut free) = (p[rows[0]], q[cols[0]]);
    loop {
        let moved = left.min(free);
        plan.push((rows[i], cols[j], moved));
        left -= moved;
        free -= moved;
        if left <= free {
            i += 1;
            if i == rows.len() {
                return plan;
            }
            left = p[rows[i]];
            // Equal weights that differ in the last bits must move together, or a permutation smears.
            if free < 1e-15 && j + 1 < cols.len() {
                j += 1;
                free = q[cols[j]];
            }
        } else {
            j += 1;
            if j == cols.len() {
                return plan;
            }
            free = q[cols[j]];
        }
    }
}

#[cfg(test)]
mod tests {
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
    fn problems() -> [Problem; 2] {
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
                let plan = problem.formed(problem.first(&init).expect("a valid start"), false);
                let (p, q) = (&problem.p, &problem.q);
                assert!(crate::plan::marginal_error(&plan, p, q) < 1e-12, "{name}");
                let want = problem.exact.summary(&plan, false);
                let got = problem.initial_summary(&init, &problem.exact, true).expect("a valid start");
                assert!(got.data.iter().zip(&want.data).all(|(a, b)| (a - b).abs() < 1e-13), "{name}");
                let single = problem.initial_summary(&init, problem.single(), false).expect("a valid start");
                assert!(single.data.iter().zip(&want.data).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-7), "{name}");
            }
        }
    }

    #[test]
    fn a_random_start_is_one_stream_row_by_row_as_given() {
        for problem in problems() {
            let (n, m) = problem.shape();
            let mut rng = stream(5, 7);
            let drawn = Mat::from_vec((0..n * m).map(|_| unit(&mut rng)).collect(), n, m);
            let want = if problem.swapped { drawn.transposed() } else { drawn };
            let fill = problem.random(5, 7);
            for (start, rows) in [(0, want.rows), (3, 2), (want.rows - 1, 1)] {
                let mut got = vec![0.0; rows * want.cols];
                fill(start, &mut got);
                assert_eq!(got, want.data[start * want.cols..][..got.len()]);
            }
        }
    }

    #[test]
    fn quantiles_of_a_row() {
        // 0 .. 63 on a line, seen from its end: the quantiles are the distances themselves.
        let line = Dissimilarity::Dense(Mat::from_fn(64, 64, |i, j| (i as f64 - j as f64).abs()));
        let w = vec![1.0 / 64.0; 64];
        let problem = Problem::new(&line, &line, &w, &w).expect("a valid problem");
        let found = profiles(&problem.source, &w);
        for (k, x) in found.row(0).iter().enumerate() {
            assert!((x + problem.source.mean - k as f64).abs() < 1e-12);
        }
    }
}
