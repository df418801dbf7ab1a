//! How two dissimilarities are compared, and the linear cost beside them.

use std::sync::atomic::AtomicBool;

use crate::cost::{Centred, Dissimilarity};
use crate::error::InvalidInput;
use crate::mat::Mat;

/// `L(a, b) = f1(a) + f2(b) - h1(a) h2(b)` (Peyre, Cuturi & Solomon 2016, proposition 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// `(a - b)^2`: f1 = a^2, f2 = b^2, h1 = a, h2 = 2 b.
    Square,
    /// `a log(a / b) - a + b`, a and b not negative: f1 = a log a - a, f2 = b, h1 = a, h2 = log b.
    KullbackLeibler,
}

/// Added under the logarithms, as in POT.
const TINY: f64 = 1e-18;

/// Both sides as the square loss would have them for the same `h1(C1) T h2(C2)`, and `p' f1(C1) p + q' f2(C2) q`.
pub fn kullback_leibler(
    c1: &Dissimilarity,
    c2: &Dissimilarity,
    p: &[f64],
    q: &[f64],
    cancel: &AtomicBool,
) -> Result<(Centred, Centred, f64), InvalidInput> {
    let (c1, c2) = (c1.formed(), c2.formed());
    for (name, c) in [("c1", &c1), ("c2", &c2)] {
        if let Some(index) = c.data.iter().position(|x| *x < 0.0) {
            return Err(InvalidInput::Negative { name, index, value: c.data[index] });
        }
    }
    let mean = |c: &Mat<f64>, w: &[f64], f: &dyn Fn(f64) -> f64| -> f64 {
        (0..c.rows).map(|i| w[i] * c.row(i).iter().zip(w).map(|(&x, w)| w * f(x)).sum::<f64>()).sum()
    };
    let own = mean(&c1, p, &|a| a * (a + TINY).ln() - a) + mean(&c2, q, &|b| b);
    let h2 = c2.data.iter().map(|b| 0.5 * (b + TINY).ln()).collect();
    let h2 = Dissimilarity::Dense(Mat::from_vec(h2, c2.rows, c2.cols));
    Ok((Dissimilarity::Dense(c1).centre_as_given(p, cancel), h2.centre_as_given(q, cancel), own))
}

/// `(1 - alpha) cost` in the inner orientation.
pub fn oriented_linear(
    cost: &Mat<f64>,
    alpha: f64,
    inner: (usize, usize),
    swapped: bool,
) -> Result<Mat<f64>, InvalidInput> {
    let name = "features";
    let expected = if swapped { (inner.1, inner.0) } else { inner };
    if (cost.rows, cost.cols) != expected {
        return Err(InvalidInput::Shape { name, actual: (cost.rows, cost.cols), expected });
    }
    if let Some(at) = cost.data.iter().position(|x| !x.is_finite()) {
        return Err(InvalidInput::NotFinite { name, row: at / cost.cols, col: at % cost.cols, value: cost.data[at] });
    }
    if !(0.0..=1.0).contains(&alpha) {
        return Err(InvalidInput::NotShare { name: "alpha", value: alpha });
    }
    let mut linear = if swapped { cost.transposed() } else { cost.clone() };
    linear.data.iter_mut().for_each(|x| *x *= 1.0 - alpha);
    Ok(linear)
}

/// Without its weighted row and column means, which the potentials absorb.
pub fn centred_linear(cost: &Mat<f64>, p: &[f64], q: &[f64]) -> Mat<f64> {
    let mut linear = cost.clone();
    let rows: Vec<f64> = (0..linear.rows).map(|i| linear.row(i).iter().zip(q).map(|(x, w)| w * x).sum()).collect();
    let mut columns = vec![0.0; linear.cols];
    for (i, w) in p.iter().enumerate() {
        columns.iter_mut().zip(linear.row(i)).for_each(|(c, x)| *c += w * x);
    }
    let mean: f64 = rows.iter().zip(p).map(|(x, w)| w * x).sum();
    for (i, r) in rows.iter().enumerate() {
        linear.row_mut(i).iter_mut().zip(&columns).for_each(|(x, c)| *x -= r + c - mean);
    }
    linear
}
