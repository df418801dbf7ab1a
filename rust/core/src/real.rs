//! The two scalar types of the kernels, and the exponential that both share.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, Sub};

/// `f32` or `f64`.
pub trait Real:
    Copy
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
    /// Rounded to the nearest.
    fn from_f64(x: f64) -> Self;
    /// Exact.
    fn to_f64(self) -> f64;
    /// The larger of two numbers.
    fn maximum(self, other: Self) -> Self;
    /// `x^y` for positive x.
    fn powf(self, y: Self) -> Self;
    /// `e^x`, branch-free so that loops over it vectorise; 0 below the smallest normal number, and the largest
    /// finite power above the largest. Relative error below 3 units in the last place.
    fn exp(self) -> Self;
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const ABSORB_AT: f64 = 1e10;
    const MIN_TOL: f64 = 1e-6;

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
    fn powf(self, y: Self) -> Self {
        f32::powf(self, y)
    }
    #[inline(always)]
    fn exp(self) -> Self {
        // 2^k e^r with |r| <= ln(2) / 2; adding and subtracting 1.5 * 2^23 rounds to an integer.
        const ROUND: f32 = 12_582_912.0;
        let x = if self < 88.0 { self } else { 88.0 };
        let t = x * std::f32::consts::LOG2_E + ROUND;
        let k = t - ROUND;
        let r = x - k * 0.693_359_4 - k * -2.121_944_4e-4;
        let mut e = 1.0 / 5040.0;
        for c in [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0] {
            e = e * r + c;
        }
        let scale = Self::from_bits((t.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127)) << 23);
        if x > -87.0 { e * scale } else { 0.0 }
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const ABSORB_AT: f64 = 1e60;
    const MIN_TOL: f64 = 1e-13;

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
    fn powf(self, y: Self) -> Self {
        f64::powf(self, y)
    }
    #[inline(always)]
    fn exp(self) -> Self {
        const ROUND: f64 = 6_755_399_441_055_744.0;
        let x = if self < 709.0 { self } else { 709.0 };
        let t = x * std::f64::consts::LOG2_E + ROUND;
        let k = t - ROUND;
        let r = x - k * 6.931_471_803_691_238e-1 - k * 1.908_214_929_270_587_7e-10;
        let mut e = 1.0 / 6_227_020_800.0;
        for c in [
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
        ] {
            e = e * r + c;
        }
        let scale = Self::from_bits((t.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(1023)) << 52);
        if x > -708.0 { e * scale } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_within_three_ulps() {
        for k in -86_000..88_000 {
            let x = f64::from(k) * 1e-3;
            let got = <f32 as Real>::exp(x as f32);
            let want = f64::from(x as f32).exp();
            assert!((f64::from(got) / want - 1.0).abs() < 3.0 * f64::from(f32::EPSILON), "exp({x}) = {got}");
            assert!((Real::exp(8.0 * x) / (8.0 * x).exp() - 1.0).abs() < 3.0 * f64::EPSILON, "exp({})", 8.0 * x);
        }
    }

    #[test]
    fn exp_underflows_to_zero_and_never_overflows() {
        assert_eq!(<f32 as Real>::exp(-1e30), 0.0);
        assert_eq!(<f32 as Real>::exp(f32::NEG_INFINITY), 0.0);
        assert!(<f32 as Real>::exp(1e30).is_finite());
        assert_eq!(<f64 as Real>::exp(-1e30), 0.0);
        assert!(<f64 as Real>::exp(1e30).is_finite());
    }
}
