//! The pass of a sweep over up to eight rows, in the 32 registers of AVX-512. Its plain twin is in [`crate::sweep`].

use std::arch::x86_64::{
    __m512, __m512d, _mm512_add_pd, _mm512_add_ps, _mm512_fmadd_pd, _mm512_fmadd_ps, _mm512_mask_storeu_pd,
    _mm512_mask_storeu_ps, _mm512_maskz_loadu_pd, _mm512_maskz_loadu_ps, _mm512_mul_pd, _mm512_mul_ps,
    _mm512_reduce_add_pd, _mm512_reduce_add_ps, _mm512_set1_pd, _mm512_set1_ps,
};

use crate::real::Real;

/// Rows that are taken at once: their sums, their scalings, and what is loaded fill the registers.
pub const ROWS_WIDE: usize = 8;

/// Numbers that are worked on 64 bytes at a time. Every function needs AVX-512F.
#[allow(clippy::missing_safety_doc)]
pub trait Wide: Copy {
    /// 64 bytes of them.
    type Lanes: Copy;
    /// How many those are.
    const LANES: usize;
    /// The first `n` at `from`, at most [`Self::LANES`]; 0 in the other lanes.
    unsafe fn load(from: *const Self, n: usize) -> Self::Lanes;
    /// The first `n` lanes, to `to`.
    unsafe fn store(to: *mut Self, lanes: Self::Lanes, n: usize);
    /// The same number in all lanes.
    unsafe fn splat(x: Self) -> Self::Lanes;
    /// `a b`.
    unsafe fn times(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    /// `a + b`.
    unsafe fn plus(a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    /// `a b + c`, in one rounding.
    unsafe fn times_plus(a: Self::Lanes, b: Self::Lanes, c: Self::Lanes) -> Self::Lanes;
    /// Sum of the lanes.
    unsafe fn total(lanes: Self::Lanes) -> Self;
}

/// One function in the intrinsics of one type.
macro_rules! intrinsic {
    ($(fn $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)? { $body:expr })*) => {$(
        #[inline]
        #[target_feature(enable = "avx512f")]
        unsafe fn $name($($arg: $ty),*) $(-> $ret)? {
            $body
        }
    )*};
}

impl Wide for f32 {
    type Lanes = __m512;
    const LANES: usize = 16;
    intrinsic! {
        // SAFETY: lanes whose bit is not in the mask are neither read nor written; likewise below.
        fn load(from: *const f32, n: usize) -> __m512 { unsafe { _mm512_maskz_loadu_ps(((1_u32 << n) - 1) as u16, from) } }
        fn store(to: *mut f32, lanes: __m512, n: usize) { unsafe { _mm512_mask_storeu_ps(to, ((1_u32 << n) - 1) as u16, lanes) } }
        fn splat(x: f32) -> __m512 { _mm512_set1_ps(x) }
        fn times(a: __m512, b: __m512) -> __m512 { _mm512_mul_ps(a, b) }
        fn plus(a: __m512, b: __m512) -> __m512 { _mm512_add_ps(a, b) }
        fn times_plus(a: __m512, b: __m512, c: __m512) -> __m512 { _mm512_fmadd_ps(a, b, c) }
        fn total(lanes: __m512) -> f32 { _mm512_reduce_add_ps(lanes) }
    }
}

impl Wide for f64 {
    type Lanes = __m512d;
    const LANES: usize = 8;
    intrinsic! {
        fn load(from: *const f64, n: usize) -> __m512d { unsafe { _mm512_maskz_loadu_pd(((1_u32 << n) - 1) as u8, from) } }
        fn store(to: *mut f64, lanes: __m512d, n: usize) { unsafe { _mm512_mask_storeu_pd(to, ((1_u32 << n) - 1) as u8, lanes) } }
        fn splat(x: f64) -> __m512d { _mm512_set1_pd(x) }
        fn times(a: __m512d, b: __m512d) -> __m512d { _mm512_mul_pd(a, b) }
        fn plus(a: __m512d, b: __m512d) -> __m512d { _mm512_add_pd(a, b) }
        fn times_plus(a: __m512d, b: __m512d, c: __m512d) -> __m512d { _mm512_fmadd_pd(a, b, c) }
        fn total(lanes: __m512d) -> f64 { _mm512_reduce_add_pd(lanes) }
    }
}

/// `<row, v>` of `N` rows `ahead`, and `acc += sum_i scale_i row_i` over as many rows `behind`.
#[inline]
#[target_feature(enable = "avx512f")]
pub fn dots_and_sum_wide<R: Real, const N: usize>(
    ahead: &[R],
    behind: &[R],
    v: &[R],
    scale: [R; N],
    acc: &mut [R],
) -> [R; N] {
    let m = v.len();
    assert!(ahead.len().min(behind.len()) >= N * m && acc.len() == m, "a row is missing");
    let (ahead, behind, v, acc) = (ahead.as_ptr(), behind.as_ptr(), v.as_ptr(), acc.as_mut_ptr());
    // SAFETY: AVX-512F is there; rows 0 to N - 1 of `m` numbers, `v` and `acc` are inside their slices by the assertion, and every pass stays
    // within `n <= m - j` numbers of column j.
    unsafe {
        let scale = scale.map(|x| R::splat(x));
        let mut dots = [R::splat(R::ZERO); N];
        // Two chains of sums, to halve the latency.
        let pass = |dots: &mut [R::Lanes; N], j: usize, n: usize| {
            let x = R::load(v.add(j), n);
            for i in 0..N {
                dots[i] = R::times_plus(R::load(ahead.add(i * m + j), n), x, dots[i]);
            }
            let mut one = R::times(R::load(behind.add(j), n), scale[0]);
            let mut two = R::load(acc.add(j), n);
            for i in 1..N {
                let sum = if i < N / 2 { &mut one } else { &mut two };
                *sum = R::times_plus(R::load(behind.add(i * m + j), n), scale[i], *sum);
            }
            R::store(acc.add(j), R::plus(one, two), n);
        };
        let whole = m / R::LANES * R::LANES;
        for j in (0..whole).step_by(R::LANES) {
            pass(&mut dots, j, R::LANES);
        }
        if whole < m {
            pass(&mut dots, whole, m - whole);
        }
        dots.map(|lanes| R::total(lanes))
    }
}
