//! Powers of two: what costs are divided by before they are worked with, so that single precision holds them whatever their units. The
//! division is exact, so that a problem in other units, a power of two apart, is the same problem to the last bit.

/// `x 2^power`; infinite or 0 beyond the range.
#[must_use]
pub fn times_two_to(x: f64, power: i32) -> f64 {
    const STEP: i32 = 1000;
    let two_to = |power: i32| f64::from_bits(((power + 1023) as u64) << 52);
    let (mut x, mut left) = (x, power);
    while left.abs() > STEP && x != 0.0 && x.is_finite() {
        x *= two_to(STEP * left.signum());
        left -= STEP * left.signum();
    }
    x * two_to(left.clamp(-STEP, STEP))
}

/// The largest number in size, 0 of none.
#[must_use]
pub fn largest(x: &[f64]) -> f64 {
    let mut lanes = [0.0f64; 16];
    let (whole, rest) = x.as_chunks::<16>();
    for part in whole {
        lanes.iter_mut().zip(part).for_each(|(m, x)| *m = m.max(x.abs()));
    }
    lanes.iter().chain(rest).fold(0.0, |m, x| m.max(x.abs()))
}

/// The power of two of the largest number in size: `2^power <= max |x| < 2^(power + 1)`; None where all are 0.
#[must_use]
pub fn power_of(x: impl IntoIterator<Item = f64>) -> Option<i32> {
    const SUBNORMAL: i32 = 100;
    let largest = x.into_iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let exponent = |x: f64| (x.to_bits() >> 52) as i32 - 1023;
    match largest {
        0.0 => None,
        x if x < f64::MIN_POSITIVE => Some(exponent(times_two_to(x, SUBNORMAL)) - SUBNORMAL),
        x => Some(exponent(x)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_power_is_that_of_the_largest(x in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL, y in -1.0..1.0f64) {
            let power = power_of([x, x * y]).expect("not 0");
            let unit = times_two_to(x.abs(), -power);
            prop_assert!((1.0..2.0).contains(&unit), "{unit}");
            prop_assert_eq!(times_two_to(unit, power), x.abs());
        }
    }

    #[test]
    fn beyond_the_range_it_is_infinite_or_nothing() {
        assert_eq!((power_of([0.0, -0.0]), power_of([])), (None, None));
        assert_eq!((times_two_to(1.0, 3000), times_two_to(1.0, -3000)), (f64::INFINITY, 0.0));
        assert_eq!((times_two_to(0.0, 3000), times_two_to(-3.0, 1)), (0.0, -6.0));
    }
}
