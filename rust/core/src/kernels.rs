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

versions! {
    /// `<x, y>`.
    pub fn dot(x: &[R], y: &[R]) -> R = dot_body
}
versions! {
    /// `row_j <- exp(row_j + f + g_j)`.
    pub fn exp_shift(row: &mut [R], f: R, g: &[R]) = exp_shift_body
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
        }
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
