//! Seeded initial plans. The stream of start i is a function of (seed, i) alone.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::error::InvalidInput;
use crate::mat::{Mat, product};
use crate::plan::round_to_marginals;
use crate::problem::Problem;

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
    /// bits of the start's number (0: as oriented; 8 patterns).
    Spectral,
    /// Objects with like profiles of dissimilarities to all others, compared quantile by quantile: the third lower bound of
    /// Memoli (2011), <https://doi.org/10.1007/s10208-011-9093-5>.
    Profile,
}

impl InitKind {
    /// All names, for messages.
    pub const NAMES: &'static str = "'uniform', 'random', 'permutation', 'spectral', 'profile'";

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
            _ => Err(InvalidInput::UnknownInit { value: name.to_owned(), expected: Self::NAMES }),
        }
    }
}

impl Problem {
    /// The initial plan (n x m, as given).
    ///
    /// # Errors
    /// A given plan that does not fit the problem.
    pub fn initial_plan(&self, init: &Init) -> Result<Mat<f64>, InvalidInput> {
        let plan = self.inner_plan(init)?;
        Ok(if self.swapped { plan.transposed() } else { plan })
    }

    pub(crate) fn inner_plan(&self, init: &Init) -> Result<Mat<f64>, InvalidInput> {
        let (kind, seed, index) = match init {
            Init::Plan(plan) => {
                // Float32 plans are welcome: their rounding is rounded away.
                let mut plan = self.checked_plan("init", plan, 1e-4)?;
                round_to_marginals(&mut plan, &self.p, &self.q);
                return Ok(plan);
            }
            Init::Named(kind, seed, index) => (*kind, *seed, *index),
        };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(index);
        let (n, m) = (self.p.len(), self.q.len());
        let mut plan = match kind {
            InitKind::Uniform => Mat::from_fn(n, m, |i, j| self.p[i] * self.q[j]),
            InitKind::Random => {
                let (n, m) = self.shape();
                // Drawn in the given orientation, so that how the problem is solved does not change the start.
                let drawn = Mat::from_vec((0..n * m).map(|_| unit(&mut rng)).collect(), n, m);
                project(if self.swapped { drawn.transposed() } else { drawn }, &self.p, &self.q, 1e-13)
            }
            InitKind::Permutation => north_west(&self.p, &self.q, &shuffled(n, &mut rng), &shuffled(m, &mut rng)),
            InitKind::Spectral => self.spectral(index),
            InitKind::Profile => self.profile(),
        };
        round_to_marginals(&mut plan, &self.p, &self.q);
        Ok(plan)
    }

    fn spectral(&self, pattern: u64) -> Mat<f64> {
        const AXES: usize = 3;
        let oriented = |axes: Mat<f64>, p: &[f64]| -> Mat<f64> {
            let skewness = |k: usize| -> f64 { (0..axes.rows).map(|i| p[i] * axes.row(i)[k].powi(3)).sum() };
            let turn: Vec<f64> = (0..axes.cols).map(|k| if skewness(k) < 0.0 { -1.0 } else { 1.0 }).collect();
            Mat::from_fn(axes.rows, axes.cols, |i, k| axes.row(i)[k] * turn[k])
        };
        let (_, v1) = self.source.axes(&self.p, AXES);
        let (_, v2) = self.target.axes(&self.q, AXES);
        let (v1, v2) = (oriented(v1, &self.p), oriented(v2, &self.q));
        let axes = v1.cols.min(v2.cols);
        let flip = |k: usize| if pattern >> k & 1 == 1 { -1.0 } else { 1.0 };
        let kernel = Mat::from_fn(self.p.len(), self.q.len(), |i, j| {
            let likeness: f64 = (0..axes).map(|k| flip(k) * v1.row(i)[k] * v2.row(j)[k]).sum();
            self.p[i] * self.q[j] * (0.5 * likeness).clamp(-30.0, 30.0).exp()
        });
        project(kernel, &self.p, &self.q, ROUGHLY)
    }

    fn profile(&self) -> Mat<f64> {
        const QUANTILES: usize = 64;
        let profiles = |c: &crate::cost::Centred, p: &[f64]| -> Mat<f64> {
            let core = c.dense_core();
            let mut out = Mat::zeros(core.rows, QUANTILES);
            out.data.par_chunks_mut(QUANTILES).enumerate().for_each(|(i, quantiles)| {
                let row = core.row(i);
                let mut sorted: Vec<(f64, f64)> =
                    row.iter().zip(&c.a).zip(p).map(|((x, a), &w)| (x + c.a[i] + a, w)).collect();
                sorted.sort_by(|x, y| x.0.total_cmp(&y.0));
                let (mut at, mut mass) = (0, sorted[0].1);
                for (t, quantile) in quantiles.iter_mut().enumerate() {
                    while mass < (t as f64 + 0.5) / QUANTILES as f64 && at + 1 < sorted.len() {
                        at += 1;
                        mass += sorted[at].1;
                    }
                    *quantile = sorted[at].0;
                }
            });
            out
        };
        let (s, t) = (profiles(&self.source, &self.p), profiles(&self.target, &self.q));
        let shift = self.source.mean - self.target.mean;
        let square = |x: &Mat<f64>, by: f64| -> Vec<f64> {
            (0..x.rows).map(|i| x.row(i).iter().map(|x| (x + by).powi(2)).sum()).collect()
        };
        let (shifted, of_s, of_t) =
            (Mat::from_fn(s.rows, s.cols, |i, k| s.row(i)[k] + shift), square(&s, shift), square(&t, 0.0));
        let mut cost = Mat::from_fn(s.rows, t.rows, |i, j| of_s[i] + of_t[j]);
        product(&mut cost, shifted.view(), t.view().t(), -2.0, true, true);
        let mean = (0..s.rows)
            .map(|i| self.p[i] * cost.row(i).iter().zip(&self.q).map(|(c, q)| c * q).sum::<f64>())
            .sum::<f64>();
        let sharpness = if mean > 0.0 { 10.0 / mean } else { 0.0 };
        for i in 0..cost.rows {
            let best = cost.row(i).iter().copied().fold(f64::INFINITY, f64::min);
            let pi = self.p[i];
            for (c, q) in cost.row_mut(i).iter_mut().zip(&self.q) {
                // The uniform share keeps every entry positive, so the projection always exists.
                *c = pi * q * ((-sharpness * (*c - best)).exp() + 1e-6);
            }
        }
        project(cost, &self.p, &self.q, ROUGHLY)
    }
}

/// Uniform in (0, 1).
fn unit(rng: &mut ChaCha8Rng) -> f64 {
    ((rng.next_u64() >> 11) as f64 + 0.5) / 2f64.powi(53)
}

fn shuffled(n: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        order.swap(i, (unit(rng) * (i + 1) as f64) as usize);
    }
    order
}

/// Marginal error of a start that is a guess anyway.
const ROUGHLY: f64 = 1e-2;

/// Sinkhorn scaling of a positive matrix until the columns are within `tol` of `q`; the caller rounds off what is left after 100 sweeps.
fn project(mut plan: Mat<f64>, p: &[f64], q: &[f64], tol: f64) -> Mat<f64> {
    for _ in 0..100 {
        let mut cols = vec![0.0; plan.cols];
        for i in 0..plan.rows {
            let sum: f64 = plan.row(i).iter().sum();
            let scale = if sum > 0.0 { p[i] / sum } else { 0.0 };
            for (x, c) in plan.row_mut(i).iter_mut().zip(&mut cols) {
                *x *= scale;
                *c += *x;
            }
        }
        let error: f64 = cols.iter().zip(q).map(|(c, q)| (c - q).abs()).sum();
        let scale: Vec<f64> = cols.iter().zip(q).map(|(&c, &q)| if c > 0.0 { q / c } else { 0.0 }).collect();
        for i in 0..plan.rows {
            for (x, s) in plan.row_mut(i).iter_mut().zip(&scale) {
                *x *= s;
            }
        }
        if error < tol {
            break;
        }
    }
    plan
}

fn north_west(p: &[f64], q: &[f64], rows: &[usize], cols: &[usize]) -> Mat<f64> {
    let mut plan = Mat::zeros(p.len(), q.len());
    let (mut i, mut j) = (0, 0);
    let (mut left, mut free) = (p[rows[0]], q[cols[0]]);
    loop {
        let moved = left.min(free);
        plan.row_mut(rows[i])[cols[j]] += moved;
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
