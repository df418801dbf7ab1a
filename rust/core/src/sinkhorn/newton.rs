//! Newton's method for the column potentials, where sweeps hardly move any more.
//!
//! With exact rows the gradient of the dual in the log scalings of the columns is `q - c`, c the column sums, and minus its Hessian is
//! `S = diag(c) - T' diag(1 / p) T` (Peyre & Cuturi 2019, section 4.3). Plans close to a permutation have eigenvalues of S, relative to
//! those of diag(c), that are as small as the mass between their parts: the rate of sweeps, and of over-relaxed ones its square root. But
//! they are few different ones, and conjugate gradients take a product with S, which is one pass over the kernel, for each of them.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Scaling, Sweep, tasks};
use crate::awake::each;
use crate::kernels::{add_into, add_scaled, dot};
use crate::real::Real;

/// Residual of the linear system, relative to the right-hand side, at which a step is good enough.
const RESIDUAL: f64 = 1e-2;
/// Largest change of a log scaling in a step: beyond it the quadratic model says nothing.
const FARTHEST: f64 = 3.0;
/// Halvings of a step that does not lower the error.
const HALVINGS: usize = 4;

impl<R: Real> Scaling<R> {
    /// One step of at most `most` passes over the kernel: the passes made, and how it ended; None when the error, `before`, did not go
    /// down, and the scalings are what they were but for a plain half sweep over the rows.
    pub(super) fn newton(
        &mut self,
        before: f64,
        most: usize,
        parallel: bool,
        cancel: &AtomicBool,
    ) -> (usize, Option<Sweep>) {
        let mut passes = 1;
        let old = self.v.clone();
        // The error of the last sweep is that before its column step.
        let start = self.rows_only(parallel).min(before);
        let held: Vec<f64> = self.v.iter().zip(&self.sums).map(|(v, s)| v.to_f64() * s).collect();
        let direction = self.direction(&held, most.saturating_sub(2), &mut passes, parallel, cancel);
        let farthest = direction.iter().fold(0.0, |m: f64, d| m.max(d.abs()));
        let mut length = (FARTHEST / farthest).min(1.0);
        for _ in 0..=HALVINGS {
            if !(farthest > 0.0 && length > 0.0) || passes >= most {
                break;
            }
            for ((v, old), d) in self.v.iter_mut().zip(&old).zip(&direction) {
                *v = R::from_f64(old.to_f64() * (length * d).exp());
            }
            passes += 1;
            let error = self.rows_only(parallel);
            if error < (1.0 - 0.1 * length) * start {
                return (passes, Some(self.in_range(error)));
            }
            length *= 0.5;
        }
        self.v = old;
        passes += 1;
        self.rows_only(parallel);
        (passes, None)
    }

    /// Rows made exact, column sums taken, columns left as they are; the L1 error of the columns.
    fn rows_only(&mut self, parallel: bool) -> f64 {
        self.sweep_rows(1.0, parallel);
        self.add_up();
        let held = self.v.iter().zip(&self.sums).map(|(v, s)| v.to_f64() * s);
        held.zip(&self.q).map(|(held, q)| (held - q).abs()).sum()
    }

    /// Solves `S d = q - c` by conjugate gradients, scaled by diag(c).
    fn direction(
        &mut self,
        held: &[f64],
        most: usize,
        passes: &mut usize,
        parallel: bool,
        cancel: &AtomicBool,
    ) -> Vec<f64> {
        let inner = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        let scaled =
            |r: &[f64]| -> Vec<f64> { r.iter().zip(held).map(|(r, c)| if *c > 0.0 { r / c } else { 0.0 }).collect() };
        let mut residual: Vec<f64> = self.q.iter().zip(held).map(|(q, c)| q - c).collect();
        let mut solution = vec![0.0; residual.len()];
        let mut z = scaled(&residual);
        let mut step = z.clone();
        let mut norm = inner(&residual, &z);
        let enough = RESIDUAL * RESIDUAL * norm;
        for _ in 0..residual.len() {
            if *passes >= most || norm <= enough || norm.is_nan() || cancel.load(Ordering::Relaxed) {
                break;
            }
            *passes += 1;
            let moved = self.product(&step, held, parallel);
            let curvature = inner(&step, &moved);
            if curvature <= 0.0 || curvature.is_nan() {
                break;
            }
            let along = norm / curvature;
            solution.iter_mut().zip(&step).for_each(|(x, s)| *x += along * s);
            residual.iter_mut().zip(&moved).for_each(|(r, m)| *r -= along * m);
            z = scaled(&residual);
            let next = inner(&residual, &z);
            let turn = next / norm;
            step.iter_mut().zip(&z).for_each(|(s, z)| *s = z + turn * *s);
            norm = next;
        }
        solution
    }

    /// `S x`, in one pass over the kernel.
    fn product(&mut self, x: &[f64], held: &[f64], parallel: bool) -> Vec<f64> {
        let m = x.len();
        let scaled: Vec<R> = self.v.iter().zip(x).map(|(v, x)| R::from_f64(v.to_f64() * x)).collect();
        each(
            tasks(&mut self.kernel, &self.p, &mut self.u, &mut self.partial, &mut self.row_errors, self.chunk),
            parallel,
            |t| {
                t.acc.fill(R::ZERO);
                for ((row, &u), &p) in t.kernel.chunks_exact(m).zip(&*t.u).zip(t.p) {
                    if p > R::ZERO {
                        add_scaled(t.acc, row, u / p * u * dot(row, &scaled));
                    }
                }
            },
        );
        self.add_up();
        (0..m).map(|j| held[j] * x[j] - self.v[j].to_f64() * self.sums[j]).collect()
    }

    /// Column sums, in float64, from those of the blocks of rows.
    pub(super) fn add_up(&mut self) {
        self.sums.fill(0.0);
        for part in self.partial.lines().chunks_exact(self.q.len()) {
            add_into(&mut self.sums, part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Ended, Scaling};
    use crate::rows::NEVER;

    /// Blocks of two that exchange almost nothing with each other.
    fn fill(m: usize) -> impl Fn(usize, &mut [f64], usize) + Sync {
        move |start, out, pitch| {
            for (row, i) in out.chunks_exact_mut(pitch).zip(start..) {
                for (j, x) in row[..m].iter_mut().enumerate() {
                    let together = i / 2 == j / 2;
                    *x = if together { ((i * 7 + j * 3) % 5) as f64 * 0.3 } else { -19.0 - ((i * 5 + j) % 7) as f64 };
                }
            }
        }
    }

    #[test]
    fn where_sweeps_hardly_move_a_few_passes_end_it() {
        let n = 12;
        let weights: Vec<f64> = (0..n).map(|i| (1.0 + 1e-4 * (i % 5) as f64) / (n as f64)).collect();
        let sum: f64 = weights.iter().sum();
        let (p, q): (Vec<f64>, Vec<f64>) = (vec![1.0 / n as f64; n], weights.iter().map(|w| w / sum).collect());
        let mut scaling = Scaling::<f64>::new(&p, &q);
        let projection = scaling.project(&fill(n), 1e-12, 3000, false, &NEVER);
        assert_eq!(projection.ended, Ended::Converged, "{projection:?}");
        let plan = |i: usize, j: usize| scaling.u[i] * scaling.kernel.row(i)[j] * scaling.v[j];
        for i in 0..n {
            assert!(((0..n).map(|j| plan(i, j)).sum::<f64>() - p[i]).abs() < 1e-12);
            assert!(((0..n).map(|j| plan(j, i)).sum::<f64>() - q[i]).abs() < 1e-12);
        }
    }

    /// Uniform weights, after 30 sweeps.
    fn begun(n: usize) -> Scaling<f64> {
        let w = vec![1.0 / n as f64; n];
        let mut scaling = Scaling::<f64>::new(&w, &w);
        scaling.project(&fill(n), 1e-15, 30, false, &NEVER);
        scaling
    }

    #[test]
    fn a_step_is_newtons() {
        let n = 12;
        let mut scaling = begun(n);
        scaling.rows_only(false);
        let held: Vec<f64> = scaling.v.iter().zip(&scaling.sums).map(|(v, s)| v * s).collect();
        let x: Vec<f64> = (0..held.len()).map(|j| (j as f64).sin()).collect();
        let plan = |s: &Scaling<f64>, i: usize, j: usize| s.u[i] * s.kernel.row(i)[j] * s.v[j];
        let want: Vec<f64> = (0..n)
            .map(|j| {
                let through = |i: usize| {
                    plan(&scaling, i, j) * n as f64 * (0..n).map(|k| plan(&scaling, i, k) * x[k]).sum::<f64>()
                };
                held[j] * x[j] - (0..n).map(through).sum::<f64>()
            })
            .collect();
        let got = scaling.product(&x, &held, false);
        assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-15), "{got:?} {want:?}");
    }

    #[test]
    fn a_step_that_gains_nothing_leaves_the_scalings() {
        let mut scaling = begun(12);
        let before = scaling.v.clone();
        // No passes left for the step itself.
        let (passes, stepped) = scaling.newton(1.0, 1, false, &NEVER);
        assert!(stepped.is_none() && passes <= 2);
        assert_eq!(before, scaling.v);
    }
}
