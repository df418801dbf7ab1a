//! The loops over the kernel matrix, compiled for AVX-512, AVX2 and the plain target, chosen at run time.
//!
//! Every function here has one body; [`versions`] only compiles it under other target features.

use crate::real::Real;

/// Independent partial sums, so that a reduction vectorises without reordering a strict sum.
const LANES: usize = 32;

macro_rules! versions {
    ($(#[$doc:meta])* pub fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident) => {
        $(#[$doc])*
        pub fn $name<R: Real>($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                fn v4<R: Real>($($arg: $ty),*) $(-> $ret)? { $body($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn v3<R: Real>($($arg: $ty),*) $(-> $ret)? { $body($($arg),*) }
                if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vl")
                {
                    // SAFETY: the features are present.
                    return unsafe { v4($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: the features are present.
                    return unsafe { v3($($arg),*) };
                }
            }
            $body($($arg),*)
        }
    };
}

#[inline(always)]
fn dot_body<R: Real>(x: &[R], y: &[R]) -> R {
    let mut lanes = [R::ZERO; LANES];
    let (xs, ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let tail: R = xs.remainder().iter().zip(ys.remainder()).fold(R::ZERO, |s, (&a, &b)| s + a * b);
    for (a, b) in xs.zip(ys) {
        for l in 0..LANES {
            lanes[l] += a[l] * b[l];
        }
    }
    lanes.into_iter().fold(tail, |s, x| s + x)
}

#[inline(always)]
fn exp_shift_body<R: Real>(row: &mut [R], f: R, g: &[R]) {
    for (x, &gj) in row.iter_mut().zip(g) {
        *x = (*x + gj + f).exp();
    }
}

#[inline(always)]
fn sweep_rows_body<R: Real>(kernel: &[R], v: &[R], p: &[R], u: &mut [R], acc: &mut [R], omega: R) -> R {
    acc.fill(R::ZERO);
    let mut error = R::ZERO;
    for ((row, &pi), ui) in kernel.chunks_exact(v.len()).zip(p).zip(u) {
        let sum = dot_body(row, v);
        *ui = if pi == R::ZERO {
            R::ZERO
        } else if omega == R::ONE {
            pi / sum
        } else {
            let held = *ui * sum;
            error += (held - pi).maximum(pi - held);
            *ui * (pi / held).powf(omega)
        };
        let scale = *ui;
        for (a, &k) in acc.iter_mut().zip(row) {
            *a += scale * k;
        }
    }
    error
}

#[inline(always)]
fn max_shifted_body<R: Real>(row: &[R], g: &[R]) -> R {
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
fn max_into_body<R: Real>(acc: &mut [R], row: &[R], f: R) {
    for (a, &x) in acc.iter_mut().zip(row) {
        *a = (x + f).maximum(*a);
    }
}

#[inline(always)]
fn exp_capped_body<R: Real>(row: &mut [R], f: R, g: &[R]) {
    for (x, &gj) in row.iter_mut().zip(g) {
        let y = *x + gj + f;
        *x = (if y < R::ZERO { y } else { R::ZERO }).exp();
    }
}

#[inline(always)]
fn add_scaled_body<R: Real>(acc: &mut [R], row: &[R], scale: R) {
    for (a, &x) in acc.iter_mut().zip(row) {
        *a += scale * x;
    }
}

#[inline(always)]
fn entropy_body<R: Real>(row: &[R]) -> f64 {
    let mut lanes = [0.0; LANES];
    let rows = row.chunks_exact(LANES);
    let tail: f64 = rows.remainder().iter().map(|x| x_ln_x(x.to_f64())).sum();
    for x in rows {
        for l in 0..LANES {
            lanes[l] += x_ln_x(x[l].to_f64());
        }
    }
    lanes.into_iter().fold(tail, |s, x| s + x)
}

/// `x ln x`, branch-free so that loops over it vectorise; 0 at 0 and below the smallest normal number.
#[inline(always)]
fn x_ln_x(x: f64) -> f64 {
    // x = 2^k m with 1/sqrt(2) <= m < sqrt(2); ln m = 2 artanh z with z = (m - 1) / (m + 1), |z| < 0.1716.
    const ROOT_HALF: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();
    const TWO_52: f64 = 4_503_599_627_370_496.0;
    let shifted = x.to_bits().wrapping_add(1.0f64.to_bits() - ROOT_HALF);
    let k = f64::from_bits(TWO_52.to_bits() | (shifted >> 52)) - (TWO_52 + 1023.0);
    let m = f64::from_bits((shifted & 0x000f_ffff_ffff_ffff) + ROOT_HALF);
    let z = (m - 1.0) / (m + 1.0);
    let square = z * z;
    let mut series = 1.0 / 21.0;
    for c in [1.0 / 19.0, 1.0 / 17.0, 1.0 / 15.0, 1.0 / 13.0, 1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 0.2, 1.0 / 3.0, 1.0] {
        series = series * square + c;
    }
    let ln = k * std::f64::consts::LN_2 + 2.0 * z * series;
    if x >= f64::MIN_POSITIVE { x * ln } else { 0.0 }
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
    /// One fused half-and-half Sinkhorn sweep over some rows of the kernel: `u_i = p_i / <K_i, v>` (0 where `p_i` is 0), relaxed to
    /// `u_i (p_i / (u_i <K_i, v>))^omega` when omega is not 1; then `acc = sum_i u_i K_i` while the row is in cache. `kernel` holds
    /// `u.len()` rows of `v.len()` entries. Returns the L1 error of the row sums before the step; 0 when it is not relaxed.
    pub fn sweep_rows(kernel: &[R], v: &[R], p: &[R], u: &mut [R], acc: &mut [R], omega: R) -> R = sweep_rows_body
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
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u64) -> Vec<f64> {
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

    #[test]
    fn a_sweep_is_two_matrix_vector_products() {
        let (n, m) = (5, 37);
        let kernel: Vec<f64> = numbers(n * m, 3).iter().map(|x| x.abs() + 0.1).collect();
        let v: Vec<f64> = numbers(m, 4).iter().map(|x| x.abs() + 0.1).collect();
        let p = [0.2, 0.0, 0.3, 0.4, 0.1];
        let (mut u, mut acc) = (vec![0.0; n], vec![9.0; m]);
        sweep_rows(&kernel, &v, &p, &mut u, &mut acc, 1.0);
        for i in 0..n {
            let s: f64 = (0..m).map(|j| kernel[i * m + j] * v[j]).sum();
            assert!((u[i] - p[i] / s).abs() < 1e-14);
        }
        for j in 0..m {
            let s: f64 = (0..n).map(|i| kernel[i * m + j] * u[i]).sum();
            assert!((acc[j] - s).abs() < 1e-13);
        }
    }
}
