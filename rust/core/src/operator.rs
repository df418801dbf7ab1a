//! The map from a plan to the kernel's exponent, `M = (4 / epsilon) (S1 T S2 + a1 a2' - K1 T K2 + k1 k2')`, in either precision.
//!
//! This is `(4 / epsilon) C1 T C2` up to functions of the row or of the column alone, which the potentials absorb. Because
//! everything is centred, M is as small as it can be and single precision resolves it.

use std::sync::atomic::AtomicBool;

use crate::awake::each;
use crate::cost::{Centred, Core, Skew};
use crate::kernels::dot;
use crate::mat::{Mat, chunk_rows, gemm_into, gemm_into_lines, product, product_until};
use crate::padded::Padded;
use crate::power::largest;
use crate::real::Real;

/// The two costs of a problem, each in the unit of its largest entry, ready for outer steps. The source has the smaller rank.
#[derive(Debug)]
pub enum Operator<R> {
    /// Source `A1 diag(sign) A1'`, symmetric.
    Factored {
        /// A1 with a1 as one more column: n x (r + 1).
        left: Mat<R>,
        /// Signs, length r.
        sign: Vec<R>,
        /// S2.
        right: Right<R>,
        /// a2, length m.
        a2: Vec<R>,
    },
    /// Both dense.
    Dense {
        /// S1, n x n.
        s1: Mat<R>,
        /// S2, m x m.
        s2: Mat<R>,
        /// Centred antisymmetric parts K1, K2, when both costs have one; otherwise their product vanishes.
        skew: Option<(Mat<R>, Mat<R>)>,
        /// Rank-one terms: (a1, a2) and, with skew parts, (k1, k2).
        outer: Vec<(Vec<R>, Vec<R>)>,
    },
    /// A factored or dense one whose exponent is held whole, with a linear cost beside it: `M = (4 / epsilon) (alpha Q(T) - L / 4)`, Q(T) the
    /// terms above.
    Whole {
        /// Q.
        quadratic: Box<Operator<R>>,
        /// Weight of Q.
        alpha: f64,
        /// L, n x m, centred with respect to the weights.
        linear: Option<Mat<R>>,
    },
}

/// The target's S2.
#[derive(Debug)]
pub enum Right<R> {
    /// m x m.
    Dense(Padded<R>),
    /// `A2 diag(sign) A2'`.
    Factored(Mat<R>, Vec<R>),
}

/// What outer steps write to on their way; allocated once.
pub struct Scratch<R> {
    /// `diag(u) A1` of a factored source (n x r), S1 T of dense costs (n x m).
    wide: Mat<R>,
    /// `A1' T A2` of factored costs (r x r2).
    small: Mat<R>,
    /// Summary and exponent of the factored costs inside [`Operator::Whole`].
    inside: Option<(Mat<R>, Mat<R>)>,
    /// The exponent of a factored source as [`Operator::exponent_lines`] reads it, (r + 1) x m.
    lines: Padded<R>,
}

/// Product of the relative asymmetries of the two costs below which the term `K1 T K2` is rounding noise of the symmetric one.
const SKEW_TOL: f64 = 1e-14;

fn cast<R: Real>(x: &[f64]) -> Vec<R> {
    x.iter().map(|&x| R::from_f64(x)).collect()
}

impl Operator<f64> {
    /// From centred costs. `source.rank() <= target.rank()` is the caller's care.
    pub(crate) fn new(source: &Centred, target: &Centred) -> Self {
        let right = || match &target.core {
            Core::Dense(s) => Right::Dense(Padded::from_mat(s)),
            Core::Factored(a, sign) => Right::Factored(a.clone(), sign.clone()),
        };
        let skew = source.skew.as_ref().zip(target.skew.as_ref()).filter(|(k1, k2)| {
            // Also of the vectors: the core of a difference of two potentials vanishes.
            let relative = |k: &Skew, c: &Centred| {
                let top = largest(&k.core.data).max(largest(&k.k));
                top / c.square_mean.sqrt().max(f64::MIN_POSITIVE)
            };
            relative(k1, source) * relative(k2, target) > SKEW_TOL
        });
        if let (Core::Factored(a, sign), None) = (&source.core, skew) {
            return Self::Factored {
                left: Mat::from_fn(a.rows, a.cols + 1, |i, k| if k < a.cols { a.row(i)[k] } else { source.a[i] }),
                sign: sign.clone(),
                right: right(),
                a2: target.a.clone(),
            };
        }
        let mut outer = vec![(source.a.clone(), target.a.clone())];
        if let Some((k1, k2)) = skew {
            outer.push((k1.k.clone(), k2.k.clone()));
        }
        Self::Dense {
            s1: source.dense_core(),
            s2: target.dense_core(),
            skew: skew.map(|(k1, k2)| (k1.core.clone(), k2.core.clone())),
            outer,
        }
    }

    /// The same in another precision.
    pub(crate) fn cast<R: Real>(&self) -> Operator<R> {
        match self {
            Self::Factored { left, sign, right, a2 } => Operator::Factored {
                left: left.cast(),
                sign: cast(sign),
                right: match right {
                    Right::Dense(s) => Right::Dense(s.cast()),
                    Right::Factored(a, sign) => Right::Factored(a.cast(), cast(sign)),
                },
                a2: cast(a2),
            },
            Self::Dense { s1, s2, skew, outer } => Operator::Dense {
                s1: s1.cast(),
                s2: s2.cast(),
                skew: skew.as_ref().map(|(k1, k2)| (k1.cast(), k2.cast())),
                outer: outer.iter().map(|(a, b)| (cast(a), cast(b))).collect(),
            },
            Self::Whole { quadratic, alpha, linear } => Operator::Whole {
                quadratic: Box::new(quadratic.cast()),
                alpha: *alpha,
                linear: linear.as_ref().map(Mat::cast),
            },
        }
    }

    /// Weight of the quadratic terms, and L.
    pub(crate) fn linear_term(&self) -> (f64, Option<&Mat<f64>>) {
        match self {
            Self::Whole { alpha, linear, .. } => (*alpha, linear.as_ref()),
            _ => (1.0, None),
        }
    }

    /// `alpha (constant - 2 overlap)`, at least 0; `x` as in [`Self::overlap`].
    pub(crate) fn quadratic_loss(&self, x: &Mat<f64>, constant: f64, parallel: bool) -> f64 {
        self.linear_term().0 * (constant - 2.0 * self.overlap(x, parallel)).max(0.0)
    }

    /// `<S1 T S2 + 2 a1 a2' - K1 T K2 + 2 k1 k2', T>`: what GW(T) is a constant minus twice of. From `x = [A1 a1]' T` ((r + 1) x m) when the
    /// source is factored and the exponent too, from T itself otherwise.
    pub(crate) fn overlap(&self, x: &Mat<f64>, parallel: bool) -> f64 {
        let inner = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(a, b)| a * b).sum::<f64>();
        match self {
            Self::Factored { sign, right, a2, .. } => {
                let r = sign.len();
                let quadratic: f64 = match right {
                    Right::Dense(s) => {
                        let mut y = Mat::zeros(r, x.cols);
                        product(&mut y, x.view().rows(0, r), s.view(), 1.0, false, parallel);
                        (0..r).map(|k| sign[k] * dot(y.row(k), x.row(k))).sum()
                    }
                    Right::Factored(a, sign2) => {
                        let mut small = Mat::zeros(r, a.cols);
                        product(&mut small, x.view().rows(0, r), a.view(), 1.0, false, parallel);
                        let row = |k: usize| small.row(k).iter().zip(sign2).map(|(x, s)| s * x * x).sum::<f64>();
                        (0..r).map(|k| sign[k] * row(k)).sum()
                    }
                };
                quadratic + 2.0 * dot(a2, x.row(r))
            }
            Self::Dense { s1, s2, skew, outer } => {
                let sandwich = |s1: &Mat<f64>, s2: &Mat<f64>| {
                    let (mut z, mut y) = (Mat::zeros(x.rows, x.cols), Mat::zeros(x.rows, x.cols));
                    product(&mut z, s1.view(), x.view(), 1.0, false, parallel);
                    product(&mut y, z.view(), s2.view(), 1.0, false, parallel);
                    inner(&y.data, &x.data)
                };
                let bilinear = |a: &[f64], b: &[f64]| (0..x.rows).map(|i| a[i] * inner(x.row(i), b)).sum::<f64>();
                let skewed = skew.as_ref().map_or(0.0, |(k1, k2)| sandwich(k1, k2));
                sandwich(s1, s2) - skewed + outer.iter().map(|(a, b)| 2.0 * bilinear(a, b)).sum::<f64>()
            }
            Self::Whole { quadratic, .. } => match quadratic.factor() {
                Some(left) => {
                    let mut small = Mat::zeros(left.cols, x.cols);
                    product(&mut small, left.view().t(), x.view(), 1.0, false, parallel);
                    quadratic.overlap(&small, parallel)
                }
                None => quadratic.overlap(x, parallel),
            },
        }
    }
}

impl<R: Real> Operator<R> {
    /// n and m.
    pub(crate) fn shape(&self) -> (usize, usize) {
        match self {
            Self::Factored { left, a2, .. } => (left.rows, a2.len()),
            Self::Dense { s1, s2, .. } => (s1.rows, s2.rows),
            Self::Whole { quadratic, .. } => quadratic.shape(),
        }
    }

    /// `[A1 a1]`, n x (r + 1), of a factored source and exponent.
    pub(crate) fn factor(&self) -> Option<&Mat<R>> {
        match self {
            Self::Factored { left, .. } => Some(left),
            Self::Dense { .. } | Self::Whole { .. } => None,
        }
    }

    /// What an outer step needs of a plan: `A1' T` (r x m), or the plan itself (n x m).
    pub(crate) fn summary(&self, plan: &Mat<R>, parallel: bool) -> Mat<R> {
        let (rows, cols) = self.summary_shape();
        let mut x = Mat::zeros(rows, cols);
        self.summarise(plan, &mut x, parallel);
        x
    }

    /// The same into `x`.
    fn summarise(&self, plan: &Mat<R>, x: &mut Mat<R>, parallel: bool) {
        match self {
            Self::Factored { left, sign, .. } => {
                product(x, left.left_cols(sign.len()).t(), plan.view(), 1.0, false, parallel);
            }
            Self::Dense { .. } | Self::Whole { .. } => x.data.copy_from_slice(&plan.data),
        }
    }

    /// Space for outer steps.
    pub(crate) fn scratch(&self) -> Scratch<R> {
        let none = || Mat::zeros(0, 0);
        match self {
            Self::Factored { left, sign, right, .. } => Scratch {
                wide: Mat::zeros(left.rows, sign.len()),
                small: match right {
                    Right::Dense(_) => none(),
                    Right::Factored(a, _) => Mat::zeros(sign.len(), a.cols),
                },
                inside: None,
                lines: Padded::zeros(left.cols, self.shape().1),
            },
            Self::Dense { s1, s2, .. } => {
                Scratch { wide: Mat::zeros(s1.rows, s2.rows), small: none(), inside: None, lines: Padded::zeros(0, 0) }
            }
            Self::Whole { quadratic, .. } => {
                let zeros = |(rows, cols)| Mat::zeros(rows, cols);
                let space = quadratic.scratch();
                match quadratic.factor() {
                    Some(_) => Scratch {
                        wide: none(),
                        lines: Padded::zeros(0, 0),
                        inside: Some((zeros(quadratic.summary_shape()), zeros(quadratic.exponent_shape()))),
                        ..space
                    },
                    None => space,
                }
            }
        }
    }

    /// Shape of the summary: (r, m), or (n, m).
    pub(crate) fn summary_shape(&self) -> (usize, usize) {
        match self {
            Self::Factored { sign, a2, .. } => (sign.len(), a2.len()),
            Self::Dense { .. } | Self::Whole { .. } => self.shape(),
        }
    }

    /// Norm of the summary of a plan that matches one to one; the scale of its changes near the uniform plan, where it vanishes.
    pub(crate) fn summary_scale(&self, p: &[f64]) -> f64 {
        match self {
            Self::Factored { left, sign, .. } => (0..left.rows)
                .map(|i| p[i].powi(2) * left.row(i)[..sign.len()].iter().map(|x| x.to_f64().powi(2)).sum::<f64>())
                .sum::<f64>()
                .sqrt(),
            Self::Dense { .. } | Self::Whole { .. } => 0.0,
        }
    }

    /// Shape of the exponent as it is stored: (r + 1, m), or (n, m).
    pub(crate) fn exponent_shape(&self) -> (usize, usize) {
        match self {
            Self::Factored { left, a2, .. } => (left.cols, a2.len()),
            Self::Dense { .. } | Self::Whole { .. } => self.shape(),
        }
    }

    /// From the summary of a plan to the exponent Y, with `scale` = 4 / epsilon: `M = left Y`, or M itself. Y is not whole once `cancel` is set.
    pub(crate) fn outer_step(
        &self,
        x: &Mat<R>,
        scale: f64,
        y: &mut Mat<R>,
        space: &mut Scratch<R>,
        parallel: bool,
        cancel: &AtomicBool,
    ) {
        match self {
            Self::Factored { sign, right, a2, .. } => {
                let (rows, m) = (sign.len(), a2.len());
                let (product_rows, last) = y.data.split_at_mut(rows * m);
                match right {
                    Right::Dense(s) => {
                        product_until(product_rows, x.view(), s.view(), (scale, false), parallel, cancel);
                    }
                    Right::Factored(a, sign2) => {
                        let small = &mut space.small;
                        product_until(&mut small.data, x.view(), a.view(), (scale, false), parallel, cancel);
                        for row in small.data.chunks_exact_mut(a.cols.max(1)) {
                            row.iter_mut().zip(sign2).for_each(|(y, &s)| *y = *y * s);
                        }
                        product_until(product_rows, small.view(), a.view().t(), (1.0, false), parallel, cancel);
                    }
                }
                for (row, &s) in product_rows.chunks_exact_mut(m).zip(sign).filter(|(_, s)| **s != R::ONE) {
                    for y in row {
                        *y = *y * s;
                    }
                }
                let scale = R::from_f64(scale);
                last.iter_mut().zip(a2).for_each(|(y, &a)| *y = a * scale);
            }
            Self::Dense { s1, s2, skew, outer } => {
                let z = &mut space.wide;
                let mut sandwich = |s1: &Mat<R>, s2: &Mat<R>, factors: (f64, bool)| {
                    product_until(&mut z.data, s1.view(), x.view(), (1.0, false), parallel, cancel);
                    product_until(&mut y.data, z.view(), s2.view(), factors, parallel, cancel);
                };
                sandwich(s1, s2, (scale, false));
                if let Some((k1, k2)) = skew {
                    sandwich(k1, k2, (-scale, true));
                }
                let (scale, chunk, m) = (R::from_f64(scale), chunk_rows(y.rows), y.cols);
                each(y.data.chunks_mut(chunk * m).enumerate(), parallel, |(c, rows)| {
                    for (row, i) in rows.chunks_exact_mut(m).zip(c * chunk..) {
                        for (a, b) in outer {
                            let ai = a[i] * scale;
                            row.iter_mut().zip(b).for_each(|(y, &bj)| *y += ai * bj);
                        }
                    }
                });
            }
            Self::Whole { quadratic, alpha, linear } => {
                let (whole, scale) = (scale, scale * alpha);
                match (quadratic.factor(), space.inside.take()) {
                    (Some(left), Some((mut summary, mut small))) => {
                        quadratic.summarise(x, &mut summary, parallel);
                        quadratic.outer_step(&summary, scale, &mut small, space, parallel, cancel);
                        product_until(&mut y.data, left.view(), small.view(), (1.0, false), parallel, cancel);
                        space.inside = Some((summary, small));
                    }
                    _ => quadratic.outer_step(x, scale, y, space, parallel, cancel),
                }
                if let Some(linear) = linear {
                    let by = R::from_f64(-0.25 * whole);
                    y.data.iter_mut().zip(&linear.data).for_each(|(y, &l)| *y += l * by);
                }
            }
        }
    }

    /// The rows of `M` from the `start`-th on, as many as `out` holds.
    pub(crate) fn exponent_rows(&self, y: &Mat<R>, start: usize, out: &mut [R]) {
        match self {
            Self::Factored { left, .. } => {
                gemm_into(out, left.view().rows(start, out.len() / y.cols), y.view(), 1.0, false);
            }
            Self::Dense { .. } | Self::Whole { .. } => out.copy_from_slice(&y.data[start * y.cols..][..out.len()]),
        }
    }

    /// Make the space ready for [`Self::exponent_lines`] of this exponent.
    pub(crate) fn line_up(&self, y: &Mat<R>, space: &mut Scratch<R>) {
        if self.factor().is_some() {
            space.lines.copy_from(y);
        }
    }

    /// [`Self::exponent_rows`] into rows that are `pitch` apart.
    pub(crate) fn exponent_lines(&self, y: &Mat<R>, space: &Scratch<R>, start: usize, out: &mut [R], pitch: usize) {
        match self {
            Self::Factored { left, .. } => {
                gemm_into_lines(out, pitch, left.view().rows(start, out.len() / pitch), space.lines.view());
            }
            Self::Dense { .. } | Self::Whole { .. } => {
                for (row, i) in out.chunks_exact_mut(pitch).zip(start..) {
                    row[..y.cols].copy_from_slice(y.row(i));
                }
            }
        }
    }

    /// The columns of `M` from the `start`-th on, as rows, as many as `out` holds.
    pub(crate) fn exponent_cols(&self, y: &Mat<R>, start: usize, out: &mut [R]) {
        match self {
            Self::Factored { left, .. } => {
                gemm_into(out, y.view().t().rows(start, out.len() / left.rows), left.view().t(), 1.0, false);
            }
            Self::Dense { .. } | Self::Whole { .. } => {
                for (j, row) in out.chunks_exact_mut(y.rows).enumerate() {
                    for (i, x) in row.iter_mut().enumerate() {
                        *x = y.data[i * y.cols + start + j];
                    }
                }
            }
        }
    }

    /// The summary of `diag(u) K diag(v)` into `x`; v may be longer than K has columns.
    pub(crate) fn summarise_scaled(
        &self,
        kernel: &Padded<R>,
        (u, v): (&[R], &[R]),
        x: &mut Mat<R>,
        space: &mut Scratch<R>,
        parallel: bool,
    ) {
        match self {
            Self::Factored { left, sign, .. } => {
                let scaled = &mut space.wide;
                for (i, &ui) in u.iter().enumerate() {
                    for (s, &a) in scaled.row_mut(i).iter_mut().zip(left.row(i)) {
                        *s = a * ui;
                    }
                }
                product(x, scaled.left_cols(sign.len()).t(), kernel.view(), 1.0, false, parallel);
                for row in x.data.chunks_exact_mut(x.cols) {
                    row.iter_mut().zip(v).for_each(|(x, &v)| *x = *x * v);
                }
            }
            Self::Dense { .. } | Self::Whole { .. } => {
                let (chunk, m, pitch) = (chunk_rows(x.rows), x.cols, kernel.pitch());
                let blocks =
                    x.data.chunks_mut(chunk * m).zip(kernel.lines().chunks(chunk * pitch)).zip(u.chunks(chunk));
                each(blocks, parallel, |((x, kernel), u)| {
                    for ((row, kernel), &ui) in x.chunks_exact_mut(m).zip(kernel.chunks_exact(pitch)).zip(u) {
                        for ((x, &k), &vj) in row.iter_mut().zip(kernel).zip(v) {
                            let t = ui * k * vj;
                            *x = if t > R::NEGLIGIBLE { t } else { R::ZERO };
                        }
                    }
                });
            }
        }
    }
}
