//! Plans by blocks of rows, which are computed as they are needed: whatever is asked of a plan takes one or two passes, and no
//! n x m array is held.

use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::kernels::{add_scaled, dot, entropy};
use crate::mat::{Mat, View, gemm_into};
use crate::real::Real;
use crate::sweep::sweep_rows;

/// Rows that are computed at once.
const BLOCK: usize = 64;
/// Partial sums of a pass, at most. Fixed, so that sums do not depend on the number of threads.
const PARTS: usize = 16;

/// A non-negative matrix (n x m) by its rows, and the weights it is to have as marginals.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    /// Writes the rows from a given one on, as many as the slice holds.
    pub fill: &'a (dyn Fn(usize, &mut [f64]) + Sync),
    /// Row weights, length n.
    pub p: &'a [f64],
    /// Column weights, length m.
    pub q: &'a [f64],
    /// Over the threads of the current rayon pool. The result does not depend on it.
    pub parallel: bool,
    /// Once it is set, what is left of a pass is left out: its outcome has the right size, and no meaning.
    pub cancel: &'a AtomicBool,
}

/// For passes that nobody cancels.
pub static NEVER: AtomicBool = AtomicBool::new(false);

/// The plan that a matrix K is rounded to: `diag(s) K diag(t) + d e'`, with d what the rows of the first term miss. Heavy rows and then
/// heavy columns are shrunk, what is missing is spread. Altschuler, Weed & Rigollet (2017), algorithm 2,
/// <https://arxiv.org/abs/1705.09634>.
pub struct Rounding {
    s: Vec<f64>,
    t: Vec<f64>,
    /// Shares of the columns in what is missing: they sum to 1, or are all 0.
    e: Vec<f64>,
}

/// What a part of the rows adds to a [`Rounding`].
struct Part<R> {
    s: Vec<f64>,
    cols: Vec<f64>,
    x: Mat<R>,
}

/// The rows of a matrix that is held.
pub fn held(matrix: &Mat<f64>) -> impl Fn(usize, &mut [f64]) + Sync {
    |start, out| out.copy_from_slice(&matrix.data[start * matrix.cols..][..out.len()])
}

impl Rows<'_> {
    fn cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    /// Blocks of rows in their order, `visit(part, first row, rows)`; the parts in their order.
    fn pass<T: Send>(
        &self,
        part: impl Fn() -> T + Sync + Send,
        visit: impl Fn(&mut T, usize, &mut [f64]) + Sync + Send,
    ) -> Vec<T> {
        let (n, m) = (self.p.len(), self.q.len());
        let size = n.div_ceil(PARTS).next_multiple_of(BLOCK);
        let run = |c: usize| {
            let mut out = part();
            let mut rows = vec![0.0; BLOCK.min(n) * m];
            let end = n.min((c + 1) * size);
            for start in (c * size..end).step_by(BLOCK) {
                if self.cancelled() {
                    break;
                }
                let rows = &mut rows[..BLOCK.min(end - start) * m];
                (self.fill)(start, rows);
                visit(&mut out, start, rows);
            }
            out
        };
        let parts = n.div_ceil(size);
        if self.parallel { (0..parts).into_par_iter().map(run).collect() } else { (0..parts).map(run).collect() }
    }

    /// The matrix itself, which then no longer has to be computed.
    pub fn formed(&self) -> Mat<f64> {
        let mut out = Mat::zeros(self.p.len(), self.q.len());
        let size = BLOCK * out.cols;
        let block = |(c, rows): (usize, &mut [f64])| {
            if !self.cancelled() {
                (self.fill)(c * BLOCK, rows);
            }
        };
        if self.parallel {
            out.data.par_chunks_mut(size).enumerate().for_each(block);
        } else {
            out.data.chunks_mut(size).enumerate().for_each(block);
        }
        out
    }

    /// Scalings (u, v) of a positive matrix with which `diag(u) K diag(v)` has the weights as its marginals: Sinkhorn's iteration until the
    /// columns were within `tol`, 100 sweeps at most.
    pub fn scaled(&self, tol: f64) -> (Vec<f64>, Vec<f64>) {
        let (n, m) = (self.p.len(), self.q.len());
        let (mut u, mut v) = (vec![0.0; n], self.q.to_vec());
        for _ in 0..100 {
            let parts = self.pass(
                || (Vec::new(), vec![0.0; m], vec![0.0; m]),
                |(u, cols, acc), start, rows| {
                    let (at, p) = (u.len(), &self.p[start..][..rows.len() / m]);
                    u.resize(at + p.len(), 0.0);
                    sweep_rows(rows, &v, p, &mut u[at..], acc, 1.0);
                    add_scaled(cols, acc, 1.0);
                },
            );
            if self.cancelled() {
                return (vec![1.0; n], v);
            }
            u.clear();
            let mut cols = vec![0.0; m];
            for (part, sums, _) in parts {
                u.extend(part);
                add_scaled(&mut cols, &sums, 1.0);
            }
            let mut error = 0.0;
            for ((v, c), &q) in v.iter_mut().zip(&cols).zip(self.q) {
                error += (*v * c - q).abs();
                *v = if q > 0.0 { q / c } else { 0.0 };
            }
            if error < tol {
                break;
            }
        }
        (u, v)
    }

    /// How the matrix is rounded onto the weights, and what `left' T` is of the rounded plan T (r x m), all in one pass.
    /// `left` (n x r) is centred: `left' p = 0`.
    pub fn rounding<R: Real>(&self, left: View<R>) -> (Rounding, Mat<R>) {
        let (m, r) = (self.q.len(), left.width());
        let ones = vec![1.0; m];
        let parts = self.pass(
            || Part { s: Vec::new(), cols: vec![0.0; m], x: Mat::zeros(r, m) },
            |part: &mut Part<R>, start, rows| {
                let n_rows = rows.len() / m;
                let mut shrunk = Mat::zeros(n_rows, r);
                for (k, row) in rows.chunks_exact(m).enumerate() {
                    let s = shrink(self.p[start + k], dot(row, &ones));
                    add_scaled(shrunk.row_mut(k), left.row(start + k), R::from_f64(s));
                    add_scaled(&mut part.cols, row, s);
                    part.s.push(s);
                }
                if r > 0 {
                    let kernel = Mat::from_vec(rows.iter().map(|&x| R::from_f64(x)).collect(), n_rows, m);
                    gemm_into(&mut part.x.data, shrunk.view().t(), kernel.view(), 1.0, true);
                }
            },
        );
        let (mut s, mut cols, mut x) = (Vec::with_capacity(self.p.len()), vec![0.0; m], Mat::zeros(r, m));
        for part in parts {
            s.extend(part.s);
            add_scaled(&mut cols, &part.cols, 1.0);
            add_scaled(&mut x.data, &part.x.data, R::ONE);
        }
        s.resize(self.p.len(), 1.0);
        let t: Vec<f64> = self.q.iter().zip(&cols).map(|(&q, &c)| shrink(q, c)).collect();
        let mut e: Vec<f64> = self.q.iter().zip(&cols).zip(&t).map(|((q, c), t)| (q - c * t).max(0.0)).collect();
        let missing: f64 = e.iter().sum();
        if missing > 0.0 {
            for e in &mut e {
                *e /= missing;
            }
        }
        // What the rows miss, d = p - (row sums), enters as left' d = -left' diag(s) K t.
        for row in x.data.chunks_exact_mut(m) {
            let mut rest = 0.0;
            for (x, &t) in row.iter_mut().zip(&t) {
                *x = *x * R::from_f64(t);
                rest -= x.to_f64();
            }
            row.iter_mut().zip(&e).for_each(|(x, e)| *x += R::from_f64(e * rest));
        }
        (Rounding { s, t, e }, x)
    }

    /// The rows of the plan that it is rounded to.
    pub fn rounded(&self, rounding: &Rounding) -> impl Fn(usize, &mut [f64]) + Sync {
        let ones = vec![1.0; self.q.len()];
        move |start, rows| {
            (self.fill)(start, rows);
            rounding.apply(start, rows, self.p, &ones);
        }
    }

    /// `sum T` and `sum T log T`.
    pub fn mass_and_entropy(&self) -> (f64, f64) {
        let ones = vec![1.0; self.q.len()];
        let parts = self.pass(
            || (0.0, 0.0),
            |(mass, sum), _, rows| {
                for row in rows.chunks_exact(ones.len()) {
                    *mass += dot(row, &ones);
                    *sum += entropy(row);
                }
            },
        );
        parts.into_iter().fold((0.0, 0.0), |(a, b), (c, d)| (a + c, b + d))
    }
}

impl Rounding {
    /// From rows of the matrix to rows of the plan; `ones` has length m.
    pub fn apply(&self, start: usize, rows: &mut [f64], p: &[f64], ones: &[f64]) {
        for (row, (&s, &p)) in rows.chunks_exact_mut(self.t.len()).zip(self.s[start..].iter().zip(&p[start..])) {
            for (x, t) in row.iter_mut().zip(&self.t) {
                *x *= s * t;
            }
            let missing = p - dot(row, ones);
            if missing > 0.0 {
                add_scaled(row, &self.e, missing);
            }
        }
    }
}

fn shrink(weight: f64, sum: f64) -> f64 {
    if sum > weight { weight / sum } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mat::product;
    use proptest::prelude::*;

    fn weights(n: usize, zeros: usize) -> Vec<f64> {
        let raw: Vec<f64> = (0..n).map(|i| if i < zeros && i + 1 < n { 0.0 } else { 1.0 + (i % 5) as f64 }).collect();
        let sum: f64 = raw.iter().sum();
        raw.iter().map(|x| x / sum).collect()
    }

    /// Any entry of a positive matrix, without the others.
    fn entry(i: usize, j: usize) -> f64 {
        0.05 + ((i * 37 + j * 101 + i * j) % 97) as f64 / 97.0
    }

    /// Algorithm 2 of Altschuler et al., step by step.
    fn slow_rounding(k: &Mat<f64>, p: &[f64], q: &[f64]) -> Mat<f64> {
        let (n, m) = (k.rows, k.cols);
        let rows = |x: &Mat<f64>| -> Vec<f64> { (0..n).map(|i| x.row(i).iter().sum()).collect() };
        let cols = |x: &Mat<f64>| -> Vec<f64> { (0..m).map(|j| (0..n).map(|i| x.row(i)[j]).sum()).collect() };
        let r = rows(k);
        let a = Mat::from_fn(n, m, |i, j| k.row(i)[j] * (p[i] / r[i]).min(1.0));
        let c = cols(&a);
        let b = Mat::from_fn(n, m, |i, j| a.row(i)[j] * (q[j] / c[j]).min(1.0));
        let (r, c) = (rows(&b), cols(&b));
        let total: f64 = r.iter().zip(p).map(|(r, p)| p - r).sum();
        Mat::from_fn(n, m, |i, j| b.row(i)[j] + if total > 1e-15 { (p[i] - r[i]) * (q[j] - c[j]) / total } else { 0.0 })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn what_is_streamed_is_what_the_matrix_gives(n in 1usize..300, m in 1usize..40, zeros in 0usize..3, heavy in -1.0f64..1.0) {
            let (p, q) = (weights(n, zeros), weights(m, zeros));
            let scale = 10f64.powf(heavy) / (n * m) as f64;
            let fill = |start: usize, out: &mut [f64]| {
                out.iter_mut().enumerate().for_each(|(k, x)| *x = scale * entry(start + k / m, k % m));
            };
            let rows = Rows { fill: &fill, p: &p, q: &q, parallel: false, cancel: &NEVER };
            let mean: f64 = (0..n).map(|i| p[i] * entry(i, 7)).sum();
            let left = Mat::from_fn(n, 1, |i, _| entry(i, 7) - mean);
            let (rounding, x) = rows.rounding(left.view());
            let fill = rows.rounded(&rounding);
            let plan = Rows { fill: &fill, ..rows };
            let formed = plan.formed();
            let slow = slow_rounding(&rows.formed(), &p, &q);
            prop_assert!(formed.data.iter().zip(&slow.data).all(|(a, b)| (a - b).abs() < 1e-14));
            let mut want = Mat::zeros(1, m);
            product(&mut want, left.view().t(), slow.view(), 1.0, false, false);
            prop_assert!(x.data.iter().zip(&want.data).all(|(a, b)| (a - b).abs() < 1e-14));
            let (mass, entropy) = plan.mass_and_entropy();
            prop_assert!((mass - 1.0).abs() < 1e-12);
            let want: f64 = slow.data.iter().filter(|x| **x > 0.0).map(|x| x * x.ln()).sum();
            prop_assert!((entropy - want).abs() < 1e-11);
        }

        #[test]
        fn scaling_reaches_the_marginals(n in 1usize..300, m in 1usize..40, zeros in 0usize..3) {
            let (p, q) = (weights(n, zeros), weights(m, zeros));
            let fill = |start: usize, out: &mut [f64]| {
                out.iter_mut().enumerate().for_each(|(k, x)| *x = entry(start + k / m, k % m));
            };
            let rows = Rows { fill: &fill, p: &p, q: &q, parallel: false, cancel: &NEVER };
            let (u, v) = rows.scaled(1e-13);
            let plan = Mat::from_fn(n, m, |i, j| u[i] * entry(i, j) * v[j]);
            prop_assert!(crate::plan::marginal_error(&plan, &p, &q) < 1e-12);
        }
    }

    #[test]
    fn neither_threads_nor_forming_the_matrix_change_a_bit() {
        let (n, m) = (333, 70);
        let (p, q) = (weights(n, 2), weights(m, 1));
        let fill = |start: usize, out: &mut [f64]| {
            out.iter_mut().enumerate().for_each(|(k, x)| *x = entry(start + k / m, k % m) / 20_000.0);
        };
        let left = Mat::from_fn(n, 3, |i, k| entry(i, k) as f32);
        let all = |rows: Rows| {
            let (u, v) = rows.scaled(1e-9);
            let (rounding, x) = rows.rounding(left.view());
            let (mass, entropy) = rows.mass_and_entropy();
            (u, v, rounding.s, rounding.t, rounding.e, x, mass, entropy)
        };
        let alone = all(Rows { fill: &fill, p: &p, q: &q, parallel: false, cancel: &NEVER });
        for threads in [1, 2, 5] {
            let pool = crate::search::pool(threads).expect("threads");
            assert!(
                alone == pool.install(|| all(Rows { fill: &fill, p: &p, q: &q, parallel: true, cancel: &NEVER })),
                "{threads}"
            );
        }
        let formed = Rows { fill: &fill, p: &p, q: &q, parallel: true, cancel: &NEVER }.formed();
        assert!(alone == all(Rows { fill: &held(&formed), p: &p, q: &q, parallel: false, cancel: &NEVER }));
    }
}
