//! Linear entropic optimal transport: one projection of a given cost.

use std::sync::atomic::AtomicBool;

use crate::error::InvalidInput;
use crate::gw::Precision;
use crate::mat::Mat;
use crate::plan::round_to_marginals;
use crate::power::largest;
use crate::problem::checked_weights;
use crate::real::Real;
use crate::sinkhorn::{Ended, Projection, Scaling};

/// Plan, potentials and how it ended.
pub struct Transport {
    /// n x m, rounded onto the marginals; `p q'` after a numerical error.
    pub plan: Mat<f64>,
    /// Row potentials in units of epsilon: `T = exp(f + g - cost / epsilon)`.
    pub f: Vec<f64>,
    /// Column potentials.
    pub g: Vec<f64>,
    /// How it ended.
    pub projection: Projection,
}

/// `min over T in U(p, q) of <cost, T> + epsilon sum T log T` (Cuturi 2013), log-domain safe, over the current rayon pool.
/// `warm`: potentials to begin with, in units of epsilon.
///
/// # Errors
/// Non-finite costs or ones above 1e300 epsilon, weights that are no probability vectors, an epsilon or tolerance that is not positive.
#[allow(clippy::too_many_arguments)]
pub fn transport(
    cost: &Mat<f64>,
    p: &[f64],
    q: &[f64],
    epsilon: f64,
    tol: f64,
    max_sweeps: usize,
    precision: Precision,
    warm: Option<(&[f64], &[f64])>,
    cancel: &AtomicBool,
) -> Result<Transport, InvalidInput> {
    let p = checked_weights("p", p, cost.rows)?;
    let q = checked_weights("q", q, cost.cols)?;
    if let Some(at) = cost.data.iter().position(|x| !x.is_finite()) {
        let (row, col) = (at / cost.cols, at % cost.cols);
        return Err(InvalidInput::NotFinite { name: "cost", row, col, value: cost.data[at] });
    }
    for (name, value) in [("epsilon", epsilon), ("tol", tol)] {
        if !(value > 0.0 && value.is_finite()) {
            return Err(InvalidInput::NotPositive { name, value });
        }
    }
    let largest = largest(&cost.data);
    if largest / epsilon > 1e300 {
        return Err(InvalidInput::TooLarge { name: "cost", value: largest, epsilon });
    }
    // Row minima first, in float64: what single precision then sees is as small as it can be.
    let low: Vec<f64> = (0..cost.rows).map(|i| cost.row(i).iter().copied().fold(f64::INFINITY, f64::min)).collect();
    let shifted = Mat::from_fn(cost.rows, cost.cols, |i, j| (low[i] - cost.row(i)[j]) / epsilon);
    let mut begun = None;
    if let Some((f, g)) = warm {
        for (name, x, len) in [("warm f", f, p.len()), ("warm g", g, q.len())] {
            if x.len() != len {
                return Err(InvalidInput::Shape { name, actual: (x.len(), 1), expected: (len, 1) });
            }
        }
        begun = Some((f.iter().zip(&low).map(|(f, low)| f - low / epsilon).collect::<Vec<_>>(), g));
    }
    let warm = begun.as_ref().map(|(f, g)| (&f[..], *g));
    let mut out = match precision {
        Precision::Mixed => fit::<f32>(&shifted, &p, &q, warm, tol, max_sweeps, cancel),
        Precision::Float64 => fit::<f64>(&shifted, &p, &q, warm, tol, max_sweeps, cancel),
    };
    for (f, low) in out.f.iter_mut().zip(&low) {
        *f += low / epsilon;
    }
    Ok(out)
}

fn fit<R: Real>(
    m: &Mat<f64>,
    p: &[f64],
    q: &[f64],
    warm: Option<(&[f64], &[f64])>,
    tol: f64,
    max_sweeps: usize,
    cancel: &AtomicBool,
) -> Transport {
    let mut scaling = Scaling::<R>::new(p, q);
    if warm.is_some() {
        scaling.load(warm, 1.0);
    }
    let fill = |i: usize, out: &mut [R], pitch: usize| {
        for (row, i) in out.chunks_exact_mut(pitch).zip(i..) {
            for (o, &x) in row.iter_mut().zip(m.row(i)) {
                *o = R::from_f64(x.max(-1e30));
            }
        }
    };
    let projection = scaling.project(&fill, tol, max_sweeps, rayon::current_num_threads() > 1, cancel);
    let (f, g) = scaling.potentials();
    let failed = projection.ended == Ended::NumericalError;
    let mut plan = Mat::from_fn(m.rows, m.cols, |i, j| {
        if failed {
            p[i] * q[j]
        } else {
            scaling.u[i].to_f64() * scaling.kernel.row(i)[j].to_f64() * scaling.v[j].to_f64()
        }
    });
    round_to_marginals(&mut plan, p, q);
    Transport { plan, f, g, projection }
}
