//! Half a Sinkhorn iteration over the rows and what it adds to the other half, in one pass over the kernel: the loop most time is spent in
//! when Sinkhorn converges slowly.

use crate::kernels::{add_scaled, correction, dot, versions};
use crate::real::Real;
#[cfg(target_arch = "x86_64")]
use crate::wide::{ROWS_WIDE, dots_and_sum_wide};

/// Independent partial sums, so that a reduction vectorises without reordering a strict sum.
const LANES: usize = 16;
/// Rows that are taken at once, so that they share the loads of v and of the column sums.
const ROWS: usize = 4;
/// Bytes of rows, ahead and behind, that a core's own cache holds beside v and the column sums.
#[cfg(target_arch = "x86_64")]
const NEAR: usize = 1 << 20;

/// The new scaling of a row with this weight and sum, and the error of its marginal before (0 when the sweep is not relaxed).
#[inline(always)]
fn rescaled<R: Real, const FMA: bool>(weight: R, old: R, sum: R, omega: R) -> (R, R) {
    if weight == R::ZERO {
        (R::ZERO, R::ZERO)
    } else if omega == R::ONE {
        (weight / sum, R::ZERO)
    } else {
        let held = old * sum;
        (old * correction::<R, FMA>(weight, held, omega), (held - weight).maximum(weight - held))
    }
}

/// What is done with `N` rows at once. Not a closure: only what is always inlined takes on the instructions of the sweep that calls it, and a
/// fused product without them is a call into the C library.
trait Pass<R, const N: usize> {
    /// `<row, v>` of the rows `ahead`, and `acc += sum_i scale_i row_i` over the rows `behind`, whose scalings are known: those are in cache
    /// while the next ones come from memory.
    fn dots_and_sum(ahead: &[R], behind: &[R], v: &[R], scale: [R; N], acc: &mut [R]) -> [R; N];
}

/// Left to the compiler.
struct Plain<const FMA: bool>;

impl<R: Real, const FMA: bool> Pass<R, ROWS> for Plain<FMA> {
    #[inline(always)]
    fn dots_and_sum(ahead: &[R], behind: &[R], v: &[R], scale: [R; ROWS], acc: &mut [R]) -> [R; ROWS] {
        let m = v.len();
        let [ahead, behind]: [[&[R]; ROWS]; 2] =
            [ahead, behind].map(|rows| std::array::from_fn(|i| &rows[i * m..][..m]));
        let mut lanes = [[R::ZERO; LANES]; ROWS];
        let ((vs, v_tail), (sums, acc_tail)) = (v.as_chunks::<LANES>(), acc.as_chunks_mut::<LANES>());
        let whole = vs.len();
        let sums = &mut sums[..whole];
        let [r0, r1, r2, r3] = ahead.map(|row| &row.as_chunks::<LANES>().0[..whole]);
        let [d0, d1, d2, d3] = behind.map(|row| &row.as_chunks::<LANES>().0[..whole]);
        for c in 0..whole {
            let (v, sum) = (&vs[c], &mut sums[c]);
            for l in 0..LANES {
                lanes[0][l] = r0[c][l].fma::<FMA>(v[l], lanes[0][l]);
                lanes[1][l] = r1[c][l].fma::<FMA>(v[l], lanes[1][l]);
                lanes[2][l] = r2[c][l].fma::<FMA>(v[l], lanes[2][l]);
                lanes[3][l] = r3[c][l].fma::<FMA>(v[l], lanes[3][l]);
                let two = d0[c][l].fma::<FMA>(scale[0], d1[c][l] * scale[1]);
                sum[l] = d3[c][l].fma::<FMA>(scale[3], d2[c][l].fma::<FMA>(scale[2], two + sum[l]));
            }
        }
        let start = whole * LANES;
        for (j, (&v, a)) in v_tail.iter().zip(acc_tail).enumerate() {
            for i in 0..ROWS {
                lanes[i][0] += ahead[i][start + j] * v;
                *a += behind[i][start + j] * scale[i];
            }
        }
        lanes.map(|lanes| lanes.into_iter().fold(R::ZERO, |s, x| s + x))
    }
}

/// [`dots_and_sum_wide`], where there is AVX-512.
#[cfg(target_arch = "x86_64")]
struct Wide;

#[cfg(target_arch = "x86_64")]
impl<R: Real, const N: usize> Pass<R, N> for Wide {
    #[inline(always)]
    fn dots_and_sum(ahead: &[R], behind: &[R], v: &[R], scale: [R; N], acc: &mut [R]) -> [R; N] {
        // SAFETY: `sweep_wide` alone names this, which has the features.
        unsafe { dots_and_sum_wide(ahead, behind, v, scale, acc) }
    }
}

/// The sweep, by groups of `N` rows.
#[inline(always)]
fn sweep_groups<R: Real, P: Pass<R, N>, const FMA: bool, const N: usize>(
    (kernel, v, p): (&[R], &[R], &[R]),
    u: &mut [R],
    acc: &mut [R],
    omega: R,
) -> R {
    let m = v.len();
    acc.fill(R::ZERO);
    let mut error = R::ZERO;
    let whole = u.len() / N * N;
    // Nothing is behind the first rows: any rows will do, with scale 0.
    let (mut behind, mut scale) = (kernel, [R::ZERO; N]);
    for at in (0..whole).step_by(N) {
        let ahead = &kernel[at * m..][..N * m];
        let sums = P::dots_and_sum(ahead, behind, v, scale, acc);
        for i in 0..N {
            let (new, moved) = rescaled::<R, FMA>(p[at + i], u[at + i], sums[i], omega);
            (u[at + i], scale[i]) = (new, new);
            error += moved;
        }
        behind = ahead;
    }
    if whole > 0 {
        for (a, j) in acc.iter_mut().zip(0..m) {
            for i in 0..N {
                *a = behind[i * m + j].fma::<FMA>(scale[i], *a);
            }
        }
    }
    for i in whole..u.len() {
        let row = &kernel[i * m..][..m];
        let (scale, moved) = rescaled::<R, FMA>(p[i], u[i], dot(row, v), omega);
        u[i] = scale;
        error += moved;
        add_scaled(acc, row, scale);
    }
    error
}

#[inline(always)]
fn sweep_body<R: Real, const FMA: bool>(kernel: &[R], v: &[R], p: &[R], u: &mut [R], acc: &mut [R], omega: R) -> R {
    sweep_groups::<R, Plain<FMA>, FMA, ROWS>((kernel, v, p), u, acc, omega)
}

versions! {
    fn sweep_plain(kernel: &[R], v: &[R], p: &[R], u: &mut [R], acc: &mut [R], omega: R) -> R = sweep_body
}

/// [`sweep_rows`] where there is AVX-512, `N` rows at once: left to the compiler, eight rows do not stay in registers.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
fn sweep_wide<R: Real, const N: usize>(kernel: &[R], v: &[R], p: &[R], u: &mut [R], acc: &mut [R], omega: R) -> R {
    sweep_groups::<R, Wide, true, N>((kernel, v, p), u, acc, omega)
}

/// One fused half-and-half Sinkhorn sweep over some rows of the kernel: `u_i = p_i / <K_i, v>` (0 where `p_i` is 0), relaxed to
/// `u_i (p_i / (u_i <K_i, v>))^omega` when omega is not 1; then `acc = sum_i u_i K_i` while the row is in cache. `kernel` holds
/// `u.len()` rows of `v.len()` entries. Returns the L1 error of the row sums before the step; 0 when it is not relaxed.
pub fn sweep_rows<R: Real>(kernel: &[R], v: &[R], p: &[R], u: &mut [R], acc: &mut [R], omega: R) -> R {
    #[cfg(target_arch = "x86_64")]
    if crate::kernels::has_avx512() {
        // The more rows, the fewer loads of v and of the column sums; but rows have to stay near until they are behind.
        let wide = match NEAR / (2 * size_of_val(v)).max(1) {
            ROWS_WIDE.. => sweep_wide::<R, ROWS_WIDE>,
            4..ROWS_WIDE => sweep_wide::<R, 4>,
            0..4 => sweep_wide::<R, 2>,
        };
        // SAFETY: the features are present.
        return unsafe { wide(kernel, v, p, u, acc, omega) };
    }
    sweep_plain(kernel, v, p, u, acc, omega)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::tests::numbers;

    type Sweep = fn(&[f64], &[f64], &[f64], &mut [f64], &mut [f64], f64) -> f64;

    fn is_two_matrix_vector_products(sweep: Sweep, n: usize, m: usize, omega: f64) {
        let positive = |len, seed| -> Vec<f64> { numbers(len, seed).iter().map(|x| x.abs() + 0.1).collect() };
        let (kernel, v, old) = (positive(n * m, 3), positive(m, 4), positive(n, 6));
        let mut p = positive(n, 5);
        p[n / 2] = 0.0;
        let (mut u, mut acc) = (old.clone(), vec![9.0; m]);
        let error = sweep(&kernel, &v, &p, &mut u, &mut acc, omega);
        let mut moved = 0.0;
        for i in 0..n {
            let s: f64 = (0..m).map(|j| kernel[i * m + j] * v[j]).sum();
            let want = if p[i] > 0.0 { old[i] * (p[i] / (old[i] * s)).powf(omega) } else { 0.0 };
            assert!((u[i] - want).abs() < 1e-13 * want.max(1.0), "row {i}: {} for {want}", u[i]);
            moved += if p[i] > 0.0 { (old[i] * s - p[i]).abs() } else { 0.0 };
        }
        assert!((error - if omega == 1.0 { 0.0 } else { moved }).abs() < 1e-12 * moved.max(1.0));
        for j in 0..m {
            let s: f64 = (0..n).map(|i| kernel[i * m + j] * u[i]).sum();
            assert!((acc[j] - s).abs() <= 1e-13 * s);
        }
    }

    #[test]
    fn a_sweep_is_two_matrix_vector_products() {
        // The longest rows are taken by fours and by twos.
        for (n, m) in [(1, 1), (3, 16), (7, 5), (8, 7), (11, 37), (16, 8), (27, 100), (64, 33), (19, 8200), (5, 33000)]
        {
            for omega in [1.0, 1.6] {
                for sweep in [sweep_rows as Sweep, sweep_plain] {
                    is_two_matrix_vector_products(sweep, n, m, omega);
                }
            }
        }
    }

    #[test]
    fn both_versions_agree_in_single_precision() {
        let (n, m) = (61, 1001);
        let single = |len, seed| -> Vec<f32> { numbers(len, seed).iter().map(|x| x.abs() as f32 + 0.1).collect() };
        let (kernel, v, p) = (single(n * m, 1), single(m, 2), single(n, 3));
        for omega in [1.0, 1.3] {
            let ends = [sweep_rows, sweep_plain].map(|sweep| {
                let (mut u, mut acc) = (single(n, 4), vec![0.0; m]);
                sweep(&kernel, &v, &p, &mut u, &mut acc, omega);
                (u, acc)
            });
            let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a / b - 1.0).abs() < 1e-5);
            assert!(close(&ends[0].0, &ends[1].0) && close(&ends[0].1, &ends[1].1));
        }
    }
}
