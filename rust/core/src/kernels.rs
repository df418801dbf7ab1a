//! The loops over the kernel matrix, compiled for AVX-512, AVX2, NEON and the plain target, chosen at run time by `simd`.
//!
//! Every function here has one body; [`versions`] only compiles it under other target features.

use crate::real::Real;
#[cfg(target_arch = "x86_64")]
use crate::simd::{Simd, chosen};

/// Independent partial sums, so that a reduction vectorises without reordering a strict sum.
const LANES: usize = 16;
/// Rows of lanes that [`dot`] sums side by side, to hide the latency of an addition.
const SUMS: usize = 4;

/// Whether the first version of [`versions`] is to be taken.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_avx512() -> bool {
    chosen() == Simd::Avx512
}

/// Whether the second version of [`versions`] is to be taken, where the first is not.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_avx2() -> bool {
    chosen() == Simd::Avx2
}

macro_rules! versions {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident) => {
        $(#[$doc])*
        $vis fn $name<R: Real>($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                fn v4<R: Real>($($arg: $ty),*) $(-> $ret)? { $body::<R, true>($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn v3<R: Real>($($arg: $ty),*) $(-> $ret)? { $body::<R, true>($($arg),*) }
                if $crate::kernels::has_avx512() {
                    // SAFETY: the features are present.
                    return unsafe { v4($($arg),*) };
                }
                if $crate::kernels::has_avx2() {
                    // SAFETY: the features are present.
                    return unsafe { v3($($arg),*) };
                }
            }
            #[cfg(target_arch = "aarch64")]
            if $crate::simd::chosen() == $crate::simd::Simd::Neon {
                return $body::<R, true>($($arg),*);
            }
            $body::<R, false>($($arg),*)
        }
    };
}

pub(crate) use versions;

#[inline(always)]
fn dot_body<R: Real, const FMA: bool>(x: &[R], y: &[R]) -> R {
    let mut lanes = [[R::ZERO; LANES]; SUMS];
    let ((xs, x_tail), (ys, y_tail)) = (x.as_chunks::<LANES>(), y.as_chunks::<LANES>());
    for (a, b) in xs.chunks(SUMS).zip(ys.chunks(SUMS)) {
        for (lanes, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            for l in 0..LANES {
                lanes[l] = a[l].fma::<FMA>(b[l], lanes[l]);
            }
        }
    }
    let tail = x_tail.iter().zip(y_tail).fold(R::ZERO, |s, (&a, &b)| s + a * b);
    lanes.into_iter().flatten().fold(tail, |s, x| s + x)
}

#[inline(always)]
fn exp_shift_body<R: Real, const FMA: bool>(row: &mut [R], f: R, g: &[R]) {
    for (x, &gj) in row.iter_mut().zip(g) {
        *x = (*x + gj + f).exp::<FMA>();
    }
}

/// The factor `(weight / held)^omega` by which a relaxed sweep changes a scaling.
#[inline(always)]
pub(crate) fn correction<R: Real, const FMA: bool>(weight: R, held: R, omega: R) -> R {
    (omega * (weight / held).ln::<FMA>()).exp::<FMA>()
}

#[inline(always)]
fn add_into_body<R: Real, const FMA: bool>(sums: &mut [f64], part: &[R]) {
    for (s, x) in sums.iter_mut().zip(part) {
        *s += x.to_f64();
    }
}

#[inline(always)]
fn scale_columns_body<R: Real, const FMA: bool>(v: &mut [R], q: &[f64], sums: &[f64], omega: f64) -> f64 {
    let mut lanes = [0.0; LANES];
    for ((v, q), sums) in v.chunks_mut(LANES).zip(q.chunks(LANES)).zip(sums.chunks(LANES)) {
        for (((v, &q), &sum), lane) in v.iter_mut().zip(q).zip(sums).zip(&mut lanes) {
            let held = sum * v.to_f64();
            *lane += (held - q).abs();
            // Divided, also where the relaxed value is used: a column without weight gives 0 either way.
            let plain = q / sum;
            let relaxed = if omega == 1.0 { plain } else { v.to_f64() * correction::<f64, FMA>(q, held, omega) };
            *v = if q > 0.0 { R::from_f64(relaxed) } else { R::ZERO };
        }
    }
    lanes.into_iter().sum()
}

#[inline(always)]
fn range_body<R: Real, const FMA: bool>(x: &[R], weights: &[R]) -> (R, R) {
    let infinity = R::from_f64(f64::INFINITY);
    let (mut low, mut high) = ([infinity; LANES], [R::ZERO; LANES]);
    for (x, w) in x.chunks(LANES).zip(weights.chunks(LANES)) {
        for (((&x, &w), low), high) in x.iter().zip(w).zip(&mut low).zip(&mut high) {
            // Also where x is NaN.
            let x = if x < infinity { x } else { infinity };
            *low = if w > R::ZERO { x.minimum(*low) } else { *low };
            *high = if w > R::ZERO { x.maximum(*high) } else { *high };
        }
    }
    (low.into_iter().fold(infinity, Real::minimum), high.into_iter().fold(R::ZERO, Real::maximum))
}

#[inline(always)]
fn absorb_body<R: Real, const FMA: bool>(potential: &mut [f64], scaling: &mut [R]) {
    for (f, s) in potential.iter_mut().zip(scaling) {
        let moved = R::from_f64(*f + Real::ln::<FMA>(s.to_f64())).to_f64();
        *f = if *s > R::ZERO { moved } else { *f };
        *s = R::ONE;
    }
}

#[inline(always)]
fn distance_and_norm_body<R: Real, const FMA: bool>(a: &[R], b: &[R]) -> (f64, f64) {
    let (mut distance, mut norm) = ([0.0; LANES], [0.0; LANES]);
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for (((a, b), d), s) in a.iter().zip(b).zip(&mut distance).zip(&mut norm) {
            let (a, b) = (a.to_f64(), b.to_f64());
            *d = (a - b).fma::<FMA>(a - b, *d);
            *s = a.fma::<FMA>(a, *s);
        }
    }
    (distance.into_iter().sum(), norm.into_iter().sum())
}

#[inline(always)]
fn max_shifted_body<R: Real, const FMA: bool>(row: &[R], g: &[R]) -> R {
    let mut lanes = [R::from_f64(f64::NEG_INFINITY); LANES];
    let (xs, ys) = (row.chunks_exact(LANES), g.chunks_exact(LANES));
    let tail = xs.remainder().iter().zip(ys.remainder()).fold(lanes[0], |s, (&a, &b)| (a + b).maximum(s));
    for (a, b) in xs.zip(ys) {
        for l in 0..LANES {
            lanes[l] = (a[l] + b[l]).maximum(lanes[l]);
        }
    }
    lanes.into_iter().fold(tail, Real::maximum)
}

#[inline(always)]
fn max_into_body<R: Real, const FMA: bool>(acc: &mut [R], row: &[R], f: R) {
    for (a, &x) in acc.iter_mut().zip(row) {
        *a = (x + f).maximum(*a);
    }
}

#[inline(always)]
fn exp_capped_body<R: Real, const FMA: bool>(row: &mut [R], f: R, g: &[R]) {
    for (x, &gj) in row.iter_mut().zip(g) {
        *x = (*x + gj + f).minimum(R::ZERO).exp::<FMA>();
    }
}

#[inline(always)]
fn add_scaled_body<R: Real, const FMA: bool>(acc: &mut [R], row: &[R], scale: R) {
    for (a, &x) in acc.iter_mut().zip(row) {
        *a = x.fma::<FMA>(scale, *a);
    }
}

#[inline(always)]
fn entropy_body<R: Real, const FMA: bool>(row: &[R]) -> f64 {
    let mut lanes = [0.0; LANES];
    for part in row.chunks(LANES) {
        for (x, sum) in part.iter().zip(&mut lanes) {
            let x = x.to_f64();
            *sum += if x >= f64::MIN_POSITIVE { x * Real::ln::<FMA>(x) } else { 0.0 };
        }
    }
    lanes.into_iter().sum()
}

versions! {
    /// `<x, y>`.
    pub fn dot(x: &[R], y: &[R]) -> R = dot_body
}
versions! {
    /// `row_j <- exp(row_j + f + g_j)`.
    pub fn exp_shift(row: &mut [R], f: R, g: &[R]) = exp_shift_body
}
versions! {
    /// `row_j <- exp(min(row_j + f + g_j, 0))`.
    pub fn exp_capped(row: &mut [R], f: R, g: &[R]) = exp_capped_body
}
versions! {
    /// `acc_j <- acc_j + scale * row_j`.
    pub fn add_scaled(acc: &mut [R], row: &[R], scale: R) = add_scaled_body
}
versions! {
    /// `sum_j row_j ln row_j` of numbers that are not negative, in float64.
    pub fn entropy(row: &[R]) -> f64 = entropy_body
}
versions! {
    /// `sums += part`.
    pub fn add_into(sums: &mut [f64], part: &[R]) = add_into_body
}
versions! {
    /// The other half of a sweep, from the column sums of `diag(u) K`: `v_j = q_j / sums_j` (0 where `q_j` is 0), relaxed to
    /// `v_j (q_j / (v_j sums_j))^omega`. Returns the L1 error of the column marginal before the step.
    pub fn scale_columns(v: &mut [R], q: &[f64], sums: &[f64], omega: f64) -> f64 = scale_columns_body
}
versions! {
    /// Smallest and largest x among the items that have weight; the largest is infinite where one is not finite.
    pub fn range(x: &[R], weights: &[R]) -> (R, R) = range_body
}
versions! {
    /// `f += ln s` where s > 0, rounded to what R can represent; then `s = 1`.
    pub fn absorb(potential: &mut [f64], scaling: &mut [R]) = absorb_body
}
versions! {
    /// `|a - b|^2` and `|a|^2`, summed in float64.
    pub fn distance_and_norm(a: &[R], b: &[R]) -> (f64, f64) = distance_and_norm_body
}
versions! {
    /// `max_j row_j + g_j`.
    pub fn max_shifted(row: &[R], g: &[R]) -> R = max_shifted_body
}
versions! {
    /// `acc_j <- max(acc_j, row_j + f)`.
    pub fn max_into(acc: &mut [R], row: &[R], f: R) = max_into_body
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn numbers(n: usize, seed: u64) -> Vec<f64> {
        (0..n).map(|i| ((i as u64 * 2_654_435_761 + seed * 40_503) % 1009) as f64 / 1009.0 - 0.4).collect()
    }

    #[test]
    fn kernels_agree_with_their_plain_twins() {
        for m in [1, 7, 31, 32, 33, 100] {
            let (x, y) = (numbers(m, 1), numbers(m, 2));
            let plain: f64 = x.iter().zip(&y).map(|(a, b)| a * b).sum();
            assert!((dot(&x, &y) - plain).abs() < 1e-13);
            let plain = x.iter().zip(&y).map(|(a, b)| a + b).fold(f64::NEG_INFINITY, f64::max);
            assert_eq!(max_shifted(&x, &y).to_bits(), plain.to_bits());
            let mut row = x.clone();
            exp_shift(&mut row, 0.3, &y);
            for j in 0..m {
                assert!((row[j] / (x[j] + 0.3 + y[j]).exp() - 1.0).abs() < 1e-15 * 8.0);
            }
            let mut acc = y.clone();
            max_into(&mut acc, &x, 0.1);
            assert!((0..m).all(|j| acc[j].to_bits() == y[j].max(x[j] + 0.1).to_bits()));
            let mut row = x.clone();
            exp_capped(&mut row, 0.1, &y);
            assert!((0..m).all(|j| (row[j] / (x[j] + 0.1 + y[j]).min(0.0).exp() - 1.0).abs() < 1e-15 * 8.0));
            let mut acc = y.clone();
            add_scaled(&mut acc, &x, 0.3);
            assert!((0..m).all(|j| (acc[j] - (y[j] + 0.3 * x[j])).abs() < 1e-15));
            let positive: Vec<f64> = x.iter().map(|x| x.max(0.0)).collect();
            let plain: f64 = positive.iter().filter(|x| **x > 0.0).map(|x| x * x.ln()).sum();
            assert!((entropy(&positive) - plain).abs() < 1e-13);
        }
    }

    #[test]
    fn loops_over_columns_agree_with_their_plain_twins() {
        for m in [1, 15, 16, 17, 100] {
            let positive = |seed| -> Vec<f64> { numbers(m, seed).iter().map(|x| x.abs() + 0.1).collect() };
            let (q, sums, old) = (positive(5), positive(6), positive(7));
            for omega in [1.0, 1.7] {
                let mut v = old.clone();
                let error = scale_columns(&mut v, &q, &sums, omega);
                let held: Vec<f64> = (0..m).map(|j| old[j] * sums[j]).collect();
                assert!((error - held.iter().zip(&q).map(|(h, q)| (h - q).abs()).sum::<f64>()).abs() < 1e-12);
                assert!((0..m).all(|j| (v[j] / (old[j] * (q[j] / held[j]).powf(omega)) - 1.0).abs() < 1e-13));
            }
            let (mut f, mut s) = (numbers(m, 8), positive(9));
            s[m / 2] = 0.0;
            let want: Vec<f64> = (0..m).map(|j| if s[j] > 0.0 { f[j] + s[j].ln() } else { f[j] }).collect();
            absorb(&mut f, &mut s);
            assert!(s.iter().all(|s| *s == 1.0) && f.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-14));
            let (a, b) = (numbers(m, 1), numbers(m, 2));
            let (distance, norm) = distance_and_norm(&a, &b);
            assert!((distance - a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum::<f64>()).abs() < 1e-13);
            assert!((norm - a.iter().map(|a| a * a).sum::<f64>()).abs() < 1e-13);
            let mut total = a.clone();
            add_into(&mut total, &b);
            assert!((0..m).all(|j| total[j].to_bits() == (a[j] + b[j]).to_bits()));
        }
    }

    #[test]
    fn the_range_is_that_of_the_items_with_weight() {
        let mut x: Vec<f32> = (0..40).map(|i| 1.0 + i as f32).collect();
        let mut weights = vec![1.0f32; 40];
        assert_eq!(range(&x, &weights), (1.0, 40.0));
        (weights[0], weights[39]) = (0.0, 0.0);
        assert_eq!(range(&x, &weights), (2.0, 39.0));
        x[0] = f32::NAN;
        assert_eq!(range(&x, &weights), (2.0, 39.0));
        for bad in [f32::NAN, f32::INFINITY] {
            x[20] = bad;
            assert_eq!(range(&x, &weights).1, f32::INFINITY);
        }
    }

    #[test]
    fn entropy_is_accurate_over_the_whole_range() {
        for k in -3000..20 {
            let x = (f64::from(k) * 0.2357).exp();
            let want = x * x.ln();
            assert!((entropy(&[x]) - want).abs() <= 4.0 * f64::EPSILON * want.abs(), "{x}");
        }
        for x in [1.0 - 1e-9, 1.0 + 1e-9, std::f64::consts::FRAC_1_SQRT_2, std::f64::consts::SQRT_2] {
            assert!((entropy(&[x]) / (x * x.ln()) - 1.0).abs() < 1e-15 * 8.0, "{x}");
        }
        assert_eq!((entropy(&[0.0]), entropy(&[1.0])), (0.0, 0.0));
    }
}
