//! Projection on the marginals: potentials, scalings, absorption, marginal error.
//!
//! The plan is `T = diag(u) K diag(v)`, `K = exp(M + f + g)`. The scalings `u`, `v` live in the kernel's precision; the
//! potentials `f`, `g` in float64 hold what has been absorbed. A sweep costs one pass over `K` (Cuturi 2013, with the
//! stabilisation of Schmitzer 2019, <https://doi.org/10.1137/16M1106018>).

mod light;
mod newton;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::awake::each;
use crate::kernels::{exp_shift, max_into, max_shifted, scale_columns};
use crate::mat::chunk_rows;
use crate::padded::Padded;
use crate::real::Real;
use crate::relaxation::Relaxation;
use crate::sweep::sweep_rows;
use light::Light;

/// How an inner loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The marginal error fell below the tolerance.
    Converged,
    /// The iterations ran out.
    MaxIterations,
    /// Row or column sums left the range of the floating-point numbers, also after stabilisation.
    NumericalError,
    /// The caller cancelled.
    Interrupted,
}

/// Outcome of [`Scaling::project`].
#[derive(Debug, Clone, Copy)]
pub struct Projection {
    /// How it ended.
    pub ended: Ended,
    /// Sweeps done.
    pub sweeps: usize,
    /// L1 distance of the column marginal from `q` before the last column scaling.
    pub marginal_error: f64,
}

/// Kernel, scalings and potentials of one problem; allocated once and reused by every projection.
pub struct Scaling<R> {
    /// `exp(M + f + g)`, n x m. What fills up its lines are columns without weight, here and in all that has a number a column.
    pub kernel: Padded<R>,
    /// Row scalings.
    pub u: Vec<R>,
    /// Column scalings.
    pub v: Vec<R>,
    /// Absorbed row potentials, in units of epsilon; negative infinity where there is no weight, so that nothing there can overflow.
    pub f: Vec<f64>,
    /// Absorbed column potentials, in units of epsilon.
    pub g: Vec<f64>,
    p: Vec<R>,
    q: Vec<f64>,
    /// Rows and columns whose scalings are of the size of their little weight.
    light: [Light<R>; 2],
    /// Column sums of blocks of rows, and of all.
    partial: Padded<R>,
    sums: Vec<f64>,
    row_errors: Vec<R>,
    relaxation: Relaxation,
    chunk: usize,
    fresh: bool,
    /// Seconds spent in forming the kernel, its first sweep included, and in the other sweeps.
    pub seconds: (f64, f64),
}

/// The outcome of one sweep.
enum Sweep {
    Good(f64),
    /// Of this error, but scalings near the end of their range.
    Stretched(f64),
    Broken,
}

/// How many times on end a projection may start over from a row- and column-centred kernel.
const MAX_STABILISATIONS: usize = 20;

/// Sweeps of a projection after which Newton's method is tried, and again after as many when it gained nothing.
const PATIENCE: usize = 200;

/// Marginal error below which it is: farther off, whole rows may be without their mass, and the dual is not at all quadratic.
const CLOSE: f64 = 1e-3;

/// Over-relaxation above which sweeps are slow.
const SLOW: f64 = 1.9;

impl<R: Real> Scaling<R> {
    /// Zero potentials for the weights `p` (n) and `q` (m).
    #[must_use]
    pub fn new(p: &[f64], q: &[f64]) -> Self {
        let (n, m, chunk) = (p.len(), q.len(), chunk_rows(p.len()));
        let kernel = Padded::zeros(n, m);
        let width = kernel.pitch();
        let (mut q, mut g) = (q.to_vec(), vec![0.0; m]);
        q.resize(width, 0.0);
        g.resize(width, f64::NEG_INFINITY);
        Self {
            kernel,
            u: vec![R::ONE; n],
            v: vec![R::ONE; width],
            f: vec![0.0; n],
            g,
            p: p.iter().map(|&x| R::from_f64(x)).collect(),
            light: [Light::new(p), Light::new(&q)],
            q,
            sums: vec![0.0; width],
            partial: Padded::zeros(n.div_ceil(chunk), width),
            row_errors: vec![R::ZERO; n.div_ceil(chunk)],
            relaxation: Relaxation::default(),
            chunk,
            fresh: true,
            seconds: (0.0, 0.0),
        }
    }

    /// Potentials with the scalings absorbed: `T = exp(M + f + g)`; negative infinity where a weight is 0.
    #[must_use]
    pub fn potentials(&self) -> (Vec<f64>, Vec<f64>) {
        let absorbed = |pot: &[f64], s: &[R]| pot.iter().zip(s).map(|(f, s)| f + s.to_f64().ln()).collect();
        (absorbed(&self.f, &self.u), absorbed(&self.g[..self.kernel.cols], &self.v))
    }

    /// Whether a small marginal error says little about how far the potentials are: sweeps converge slowly.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.relaxation.omega() > SLOW
    }

    /// By how much a sweep shrinks what is left, relative to it: a marginal error says that the potentials are this much farther off.
    #[must_use]
    pub fn contraction(&self) -> f64 {
        2.0 - self.relaxation.omega()
    }

    /// Move the potentials, of rows and then of columns, before the next projection.
    pub fn shift(&mut self, by: &[f64]) {
        let (rows, columns) = by.split_at(self.f.len());
        self.f.iter_mut().zip(rows).for_each(|(f, by)| *f += by);
        self.g.iter_mut().zip(columns).for_each(|(g, by)| *g += by);
    }

    /// Begin anew, from potentials of another epsilon times `factor`, or from none.
    pub fn load(&mut self, potentials: Option<(&[f64], &[f64])>, factor: f64) {
        self.fresh = potentials.is_none();
        self.relaxation = Relaxation::default();
        let taken = |x: f64, weighs: bool| match x * factor {
            x if x.is_finite() && weighs => R::from_f64(x).to_f64(),
            _ if weighs => 0.0,
            _ => f64::NEG_INFINITY,
        };
        match potentials {
            Some((f, g)) => {
                let rows = self.f.iter_mut().zip(f).zip(&self.p);
                rows.for_each(|((to, &x), &p)| *to = taken(x, p > R::ZERO));
                let columns = self.g.iter_mut().zip(g).zip(&self.q);
                columns.for_each(|((to, &x), &q)| *to = taken(x, q > 0.0));
            }
            None => self.g[..self.kernel.cols].fill(0.0),
        }
        self.u.fill(R::ONE);
        self.v.fill(R::ONE);
    }

    /// Scale rows and columns until the column marginal is within `tol` of `q` in L1. `fill(i, rows, pitch)` writes the rows of
    /// `M` from the `i`-th on, which are `pitch` apart. Warm: starts from the potentials of the last projection.
    pub fn project(
        &mut self,
        fill: &(impl Fn(usize, &mut [R], usize) + Sync),
        tol: f64,
        max_sweeps: usize,
        parallel: bool,
        cancel: &AtomicBool,
    ) -> Projection {
        let mut stabilisations = 0;
        let mut sweeps = 1;
        let mut error = f64::INFINITY;
        let mut omega = 1.0;
        let mut patience = PATIENCE;
        self.relaxation.begin();
        let clock = Instant::now();
        let mut sweep = if std::mem::take(&mut self.fresh) {
            self.rebuild_centred(fill, parallel)
        } else {
            self.absorb();
            self.rebuild(fill, parallel)
        };
        self.seconds.0 += clock.elapsed().as_secs_f64();
        loop {
            match sweep {
                Sweep::Good(e) => {
                    error = e;
                    stabilisations = 0;
                    if error <= tol && omega == 1.0 {
                        return Projection { ended: Ended::Converged, sweeps, marginal_error: error };
                    }
                }
                Sweep::Stretched(e) => error = e,
                Sweep::Broken => stabilisations += 1,
            }
            let ended = if cancel.load(Ordering::Relaxed) {
                Some(Ended::Interrupted)
            } else if stabilisations > MAX_STABILISATIONS {
                Some(Ended::NumericalError)
            } else if sweeps >= max_sweeps && matches!(sweep, Sweep::Good(_)) && omega == 1.0 {
                Some(Ended::MaxIterations)
            } else if sweeps > max_sweeps + MAX_STABILISATIONS {
                // Scalings that are stretched again and again are still numbers.
                Some(if matches!(sweep, Sweep::Broken) { Ended::NumericalError } else { Ended::MaxIterations })
            } else {
                None
            };
            if let Some(ended) = ended {
                return Projection { ended, sweeps, marginal_error: error };
            }
            sweeps += 1;
            let clock = Instant::now();
            sweep = match sweep {
                Sweep::Good(error) if omega == 1.0 && error < CLOSE && sweeps > patience && sweeps < max_sweeps => {
                    let (passes, stepped) = self.newton(error, max_sweeps - sweeps, parallel, cancel);
                    sweeps += passes - 1;
                    patience = if stepped.is_some() { sweeps } else { sweeps + PATIENCE };
                    self.seconds.1 += clock.elapsed().as_secs_f64();
                    stepped.unwrap_or(Sweep::Good(error))
                }
                Sweep::Good(error) => {
                    // The last sweep is a plain one, after which the row sums are exact.
                    omega = if sweeps >= max_sweeps { 1.0 } else { self.relaxation.next(error, tol) };
                    let sweep = self.sweep(omega, parallel);
                    self.seconds.1 += clock.elapsed().as_secs_f64();
                    sweep
                }
                Sweep::Stretched(_) | Sweep::Broken => {
                    omega = 1.0;
                    let sweep = if matches!(sweep, Sweep::Broken) {
                        self.relaxation = Relaxation::default();
                        self.rebuild_centred(fill, parallel)
                    } else {
                        self.relaxation.begin();
                        self.absorb();
                        self.rebuild(fill, parallel)
                    };
                    self.seconds.0 += clock.elapsed().as_secs_f64();
                    sweep
                }
            };
        }
    }

    /// Move the scalings into the potentials, which are kept representable in `R` so that the kernel sees them exactly.
    fn absorb(&mut self) {
        self.light[0].absorb(&mut self.f, &mut self.u);
        self.light[1].absorb(&mut self.g, &mut self.v);
    }

    fn g_real(&self) -> Vec<R> {
        self.g.iter().map(|&x| R::from_f64(x)).collect()
    }

    /// Unit column scalings; zero where there is no weight, so that no row spends mass there.
    fn reset_columns(&mut self) {
        for (v, &q) in self.v.iter_mut().zip(&self.q) {
            *v = if q > 0.0 { R::ONE } else { R::ZERO };
        }
        self.light[1].rest(&mut self.v);
    }

    /// Form the kernel with the present potentials; the first sweep runs while each block of rows is in cache.
    fn rebuild(&mut self, fill: &(impl Fn(usize, &mut [R], usize) + Sync), parallel: bool) -> Sweep {
        let g = self.g_real();
        let m = g.len();
        self.reset_columns();
        let (v, f) = (&self.v, &self.f);
        let body = |t: Task<R>| {
            fill(t.start, t.kernel, m);
            for (row, &fi) in t.kernel.chunks_exact_mut(m).zip(&f[t.start..]) {
                exp_shift(row, R::from_f64(fi), &g);
            }
            *t.error = sweep_rows(t.kernel, v, t.p, t.u, t.acc, R::ONE);
        };
        each(
            tasks(&mut self.kernel, &self.p, &mut self.u, &mut self.partial, &mut self.row_errors, self.chunk),
            parallel,
            body,
        );
        self.finish_sweep(1.0)
    }

    /// Form the kernel so that the largest entry of each row, and then of each column, is exactly 1: no row or column can underflow as a
    /// whole, whatever the range of `M`. A sweep in which the largest entry stands for the sum: what is known of the columns is kept.
    fn rebuild_centred(&mut self, fill: &(impl Fn(usize, &mut [R], usize) + Sync), parallel: bool) -> Sweep {
        let m = self.q.len();
        let lowest = R::from_f64(f64::NEG_INFINITY);
        let known = self.g.iter().zip(&self.v).map(|(g, v)| g + v.to_f64().ln());
        let known: Vec<R> = known.zip(&self.g).map(|(x, &g)| R::from_f64(if x.is_finite() { x } else { g })).collect();
        self.reset_columns();
        // A column without weight has no say: a row whose largest entry it held could be 0 wherever mass may go.
        let open: Vec<R> = known.iter().zip(&self.q).map(|(&g, &q)| if q > 0.0 { g } else { lowest }).collect();
        each(
            tasks(&mut self.kernel, &self.p, &mut self.u, &mut self.partial, &mut self.row_errors, self.chunk),
            parallel,
            |t: Task<R>| {
                fill(t.start, t.kernel, m);
                t.acc.fill(lowest);
                for ((row, u), &pi) in t.kernel.chunks_exact(m).zip(&mut *t.u).zip(t.p) {
                    // The scaling's place holds the shift until the sweep overwrites it.
                    *u = R::ZERO - max_shifted(row, &open);
                    if pi > R::ZERO {
                        max_into(t.acc, row, *u);
                    }
                }
            },
        );
        let mut whole = true;
        let mut centre = |potential: &mut f64, weighs: bool, shift: f64| {
            *potential = if weighs { shift } else { f64::NEG_INFINITY };
            whole &= !weighs || shift.is_finite();
        };
        for ((f, u), &p) in self.f.iter_mut().zip(&self.u).zip(&self.p) {
            centre(f, p > R::ZERO, u.to_f64());
        }
        for ((j, g), &q) in self.g.iter_mut().enumerate().zip(&self.q) {
            let top = (0..self.partial.rows).fold(lowest, |s, c| self.partial.row(c)[j].maximum(s));
            centre(g, q > 0.0, -top.to_f64());
        }
        if !whole {
            return Sweep::Broken;
        }
        let g = self.g_real();
        let (v, f) = (&self.v, &self.f);
        each(
            tasks(&mut self.kernel, &self.p, &mut self.u, &mut self.partial, &mut self.row_errors, self.chunk),
            parallel,
            |t: Task<R>| {
                for (row, &fi) in t.kernel.chunks_exact_mut(m).zip(&f[t.start..]) {
                    exp_shift(row, R::from_f64(fi), &g);
                }
                *t.error = sweep_rows(t.kernel, v, t.p, t.u, t.acc, R::ONE);
            },
        );
        self.finish_sweep(1.0)
    }

    fn sweep(&mut self, omega: f64, parallel: bool) -> Sweep {
        self.sweep_rows(omega, parallel);
        self.finish_sweep(omega)
    }

    /// Scale the rows; the columns' sums of blocks of rows are left in `partial`.
    fn sweep_rows(&mut self, omega: f64, parallel: bool) {
        let (v, relax) = (&self.v, R::from_f64(omega));
        each(
            tasks(&mut self.kernel, &self.p, &mut self.u, &mut self.partial, &mut self.row_errors, self.chunk),
            parallel,
            |t: Task<R>| *t.error = sweep_rows(t.kernel, v, t.p, t.u, t.acc, relax),
        );
    }

    /// Column sums from the partial ones (in float64), marginal error, new column scalings, range check.
    fn finish_sweep(&mut self, omega: f64) -> Sweep {
        self.add_up();
        let rows: f64 = self.row_errors.iter().map(|e| e.to_f64()).sum();
        let error = rows + scale_columns(&mut self.v, &self.q, &self.sums, omega);
        self.in_range(error)
    }

    /// A sweep that left this error, by whether the scalings are still in the safe range.
    fn in_range(&self, error: f64) -> Sweep {
        let (u_low, u_high) = self.light[0].range(&self.u);
        let (v_low, v_high) = self.light[1].range(&self.v);
        let whole = |low: f64, high: f64| low > 0.0 && high.is_finite();
        if !error.is_finite() || !whole(u_low, u_high) || !whole(v_low, v_high) {
            return Sweep::Broken;
        }
        let limit = R::ABSORB_AT;
        if u_high > limit * u_low || v_high > limit * v_low || u_high > limit * limit || v_high > limit * limit {
            return Sweep::Stretched(error);
        }
        Sweep::Good(error)
    }
}

/// A block of rows with what a sweep reads and writes there.
struct Task<'a, R> {
    start: usize,
    kernel: &'a mut [R],
    p: &'a [R],
    u: &'a mut [R],
    acc: &'a mut [R],
    error: &'a mut R,
}

fn tasks<'a, R: Real>(
    kernel: &'a mut Padded<R>,
    p: &'a [R],
    u: &'a mut [R],
    partial: &'a mut Padded<R>,
    errors: &'a mut [R],
    chunk: usize,
) -> impl Iterator<Item = Task<'a, R>> {
    let m = kernel.pitch();
    let blocks = kernel.lines_mut().chunks_mut(chunk * m).zip(p.chunks(chunk)).zip(u.chunks_mut(chunk));
    blocks
        .zip(partial.lines_mut().chunks_mut(m).zip(errors))
        .enumerate()
        .map(move |(c, (((kernel, p), u), (acc, error)))| Task { start: c * chunk, kernel, p, u, acc, error })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::NEVER;

    #[test]
    fn what_has_no_weight_has_no_kernel_that_could_overflow() {
        let (p, q) = ([0.5, 0.0, 0.5], [0.0, 0.25, 0.75]);
        let mut scaling = Scaling::<f32>::new(&p, &q);
        // Where there is no weight the exponents rise by hundreds from one projection to the next.
        for high in [-300.0, 300.0] {
            let fill = |start: usize, out: &mut [f32], pitch: usize| {
                for (row, i) in out.chunks_exact_mut(pitch).zip(start..) {
                    row[..3].copy_from_slice(&if i == 1 { [high; 3] } else { [high, -(i as f32), 3.0 - high / 100.0] });
                }
            };
            let projection = scaling.project(&fill, 1e-6, 100, false, &NEVER);
            assert_eq!(projection.ended, Ended::Converged, "{projection:?}");
            let held = |i: usize, j: usize| scaling.u[i] * scaling.kernel.row(i)[j] * scaling.v[j];
            let total: f32 = (0..9).map(|at| held(at / 3, at % 3)).sum();
            assert!((total - 1.0).abs() < 1e-5, "{total}");
            assert!((0..3).all(|k| scaling.kernel.row(1)[k] == 0.0 && scaling.kernel.row(k)[0] == 0.0));
            let (f, g) = scaling.potentials();
            assert!(f[1] == f64::NEG_INFINITY && g[0] == f64::NEG_INFINITY);
        }
    }
}
