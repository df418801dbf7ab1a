//! The two scalar types of the kernels, and the exponential that both share.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, Sub};

/// What [`Real`] needs of the target's intrinsics.
#[cfg(target_arch = "x86_64")]
pub use crate::wide::Wide as Lanes;

/// What [`Real`] needs of the target's intrinsics: nothing.
#[cfg(not(target_arch = "x86_64"))]
pub trait Lanes {}
#[cfg(not(target_arch = "x86_64"))]
impl<T> Lanes for T {}

/// `f32` or `f64`.
pub trait Real:
    Copy
    + Lanes
    + Send
    + Sync
    + Debug
    + PartialOrd
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Ratio of the largest to the smallest scaling at which the scalings are absorbed into the potentials.
    const ABSORB_AT: f64;
    /// Smallest tolerance (relative change) that this precision can resolve.
    const MIN_TOL: f64;
    /// Exponents below this give 0. Far above the smallest normal number, so that the product of an entry of the kernel with a scaling is
    /// never subnormal: arithmetic on subnormal numbers is a hundred times slower.
    const EXP_FLOOR: Self;
    /// Entries of a plan below this are set to 0, for the same reason.
    const NEGLIGIBLE: Self;
    /// Rounded to the nearest.
    fn from_f64(x: f64) -> Self;
    /// Exact.
    fn to_f64(self) -> f64;
    /// The larger of two numbers.
    fn maximum(self, other: Self) -> Self;
    /// The smaller of two numbers.
    fn minimum(self, other: Self) -> Self;
    /// `self * a + b`, in one rounding where the target has an instruction for it (FMA).
    fn fma<const FMA: bool>(self, a: Self, b: Self) -> Self;
    /// `e^x`, branch-free so that loops over it vectorise; 0 below [`Self::EXP_FLOOR`], and the largest finite power above the largest.
    /// Relative error below 3 units in the last place.
    fn exp<const FMA: bool>(self) -> Self;
    /// `ln x` of a positive normal number, branch-free. Relative error below 4 units in the last place.
    fn ln<const FMA: bool>(self) -> Self;
}

/// `c[0] x^k + ... + c[k]` by Horner's rule.
macro_rules! horner {
    ($x:expr, $first:expr, $($c:expr),+ $(,)?) => {{
        let mut y: Self = $first;
        $(y = y.fma::<FMA>($x, $c);)+
        y
    }};
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const ABSORB_AT: f64 = 1e10;
    const MIN_TOL: f64 = 1e-6;
    const EXP_FLOOR: Self = -69.0;
    const NEGLIGIBLE: Self = 1e-30;

    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x as Self
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    #[inline(always)]
    fn maximum(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
    #[inline(always)]
    fn minimum(self, other: Self) -> Self {
        if self < other { self } else { other }
    }
    #[inline(always)]
    fn fma<const FMA: bool>(self, a: Self, b: Self) -> Self {
        if FMA { self.mul_add(a, b) } else { self * a + b }
    }
    #[inline(always)]
    fn exp<const FMA: bool>(self) -> Self {
        // 2^k e^r with |r| <= ln(2) / 2; adding and subtracting 1.5 * 2^23 rounds to an integer.
        const ROUND: f32 = 12_582_912.0;
        let x = if self < 88.0 { self } else { 88.0 };
        let t = x.fma::<FMA>(std::f32::consts::LOG2_E, ROUND);
        let k = t - ROUND;
        let r = k.fma::<FMA>(2.121_944_4e-4, k.fma::<FMA>(-0.693_359_4, x));
        let e = horner!(r, 1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0);
        let scale = Self::from_bits((t.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127)) << 23);
        if x > Self::EXP_FLOOR { e * scale } else { 0.0 }
    }
    #[inline(always)]
    fn ln<const FMA: bool>(self) -> Self {
        // x = 2^k m with m in [sqrt(1/2), sqrt(2)); ln m = 2 artanh((m - 1) / (m + 1)).
        const ROOT_HALF: u32 = 0x3f35_04f3;
        let bits = self.to_bits().wrapping_sub(ROOT_HALF);
        let k = (bits as i32 >> 23) as Self;
        let m = Self::from_bits((bits & 0x007f_ffff).wrapping_add(ROOT_HALF));
        let t = (m - 1.0) / (m + 1.0);
        let s = t * t;
        let series = horner!(s, 2.0 / 9.0, 2.0 / 7.0, 2.0 / 5.0, 2.0 / 3.0, 2.0);
        k.fma::<FMA>(std::f32::consts::LN_2, t * series)
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const ABSORB_AT: f64 = 1e60;
    const MIN_TOL: f64 = 1e-13;
    const EXP_FLOOR: Self = -600.0;
    const NEGLIGIBLE: Self = 1e-260;

    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn maximum(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
    #[inline(always)]
    fn minimum(self, other: Self) -> Self {
        if self < other { self } else { other }
    }
    #[inline(always)]
    fn fma<const FMA: bool>(self, a: Self, b: Self) -> Self {
        if FMA { self.mul_add(a, b) } else { self * a + b }
    }
    #[inline(always)]
    fn exp<const FMA: bool>(self) -> Self {
        const ROUND: f64 = 6_755_399_441_055_744.0;
        let x = if self < 709.0 { self } else { 709.0 };
        let t = x.fma::<FMA>(std::f64::consts::LOG2_E, ROUND);
        let k = t - ROUND;
        let r = k.fma::<FMA>(-1.908_214_929_270_587_7e-10, k.fma::<FMA>(-6.931_471_803_691_238e-1, x));
        let e = horner!(
            r,
            1.0 / 6_227_020_800.0,
            1.0 / 479_001_600.0,
            1.0 / 39_916_800.0,
            1.0 / 3_628_800.0,
            1.0 / 362_880.0,
            1.0 / 40_320.0,
            1.0 / 5040.0,
            1.0 / 720.0,
            1.0 / 120.0,
            1.0 / 24.0,
            1.0 / 6.0,
            0.5,
            1.0,
            1.0,
        );
        let scale = Self::from_bits((t.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(1023)) << 52);
        if x > Self::EXP_FLOOR { e * scale } else { 0.0 }
    }
    #[inline(always)]
    fn ln<const FMA: bool>(self) -> Self {
        const ROOT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
        let bits = self.to_bits().wrapping_sub(ROOT_HALF);
        let k = (bits as i64 >> 52) as Self;
        let m = Self::from_bits((bits & 0x000f_ffff_ffff_ffff).wrapping_add(ROOT_HALF));
        let t = (m - 1.0) / (m + 1.0);
        let s = t * t;
        let series = horner!(
            s,
            2.0 / 21.0,
            2.0 / 19.0,
            2.0 / 17.0,
            2.0 / 15.0,
            2.0 / 13.0,
            2.0 / 11.0,
            2.0 / 9.0,
            2.0 / 7.0,
            2.0 / 5.0,
            2.0 / 3.0,
            2.0,
        );
        k.fma::<FMA>(std::f64::consts::LN_2, t * series)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_and_ln_are_within_a_few_ulps() {
        fn check<const FMA: bool>() {
            for k in -68_000..88_000 {
                let x = f64::from(k) * 1e-3;
                let single = x as f32;
                let (got, want) = (<f32 as Real>::exp::<FMA>(single), f64::from(single).exp());
                assert!((f64::from(got) / want - 1.0).abs() < 3.0 * f64::from(f32::EPSILON), "exp({x}) = {got}");
                let y = 8.0 * x;
                assert!((Real::exp::<FMA>(y) / y.exp() - 1.0).abs() < 3.0 * f64::EPSILON, "exp({y})");
                let back = f64::from(<f32 as Real>::ln::<FMA>(got));
                let want = f64::from(got).ln();
                assert!((back - want).abs() <= 4.0 * f64::from(f32::EPSILON) * want.abs(), "ln({got}) = {back}");
                let big = y.exp();
                assert!((Real::ln::<FMA>(big) - big.ln()).abs() <= 4.0 * f64::EPSILON * big.ln().abs(), "ln({big})");
            }
        }
        check::<true>();
        check::<false>();
    }

    #[test]
    fn exp_underflows_to_zero_and_never_overflows() {
        assert_eq!(<f32 as Real>::exp::<true>(-1e30), 0.0);
        assert_eq!(<f32 as Real>::exp::<true>(f32::NEG_INFINITY), 0.0);
        assert!(<f32 as Real>::exp::<true>(1e30).is_finite());
        assert_eq!(<f64 as Real>::exp::<true>(-1e30), 0.0);
        assert!(<f64 as Real>::exp::<true>(1e30).is_finite());
    }
}
