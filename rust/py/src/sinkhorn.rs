//! One projection for a given cost, and rounding.

use std::sync::atomic::AtomicBool;

use gwrsa_core::{Ended, Mat, Precision};
use numpy::{PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;

use crate::convert::{matrix, to_numpy, value_error, vector};
use crate::pooled::{self, QUIET};

type Outcome<'py> =
    (Bound<'py, PyArray2<f64>>, Bound<'py, PyArray1<f64>>, Bound<'py, PyArray1<f64>>, &'static str, usize, f64);

/// (plan, f, g, status, sweeps, marginal error) of entropic optimal transport.
#[pyfunction]
#[pyo3(signature = (cost, p, q, *, epsilon, tol, max_sinkhorn, precision, threads, warm=None))]
#[allow(clippy::too_many_arguments)]
pub fn sinkhorn<'py>(
    py: Python<'py>,
    cost: PyReadonlyArray2<'py, f64>,
    p: PyReadonlyArray1<'py, f64>,
    q: PyReadonlyArray1<'py, f64>,
    epsilon: f64,
    tol: f64,
    max_sinkhorn: usize,
    precision: &str,
    threads: usize,
    warm: Option<(PyReadonlyArray1<'py, f64>, PyReadonlyArray1<'py, f64>)>,
) -> PyResult<Outcome<'py>> {
    let (cost, p, q) = (matrix(&cost), vector(&p), vector(&q));
    let precision = if precision == "mixed" { Precision::Mixed } else { Precision::Float64 };
    let warm = warm.map(|(f, g)| (vector(&f), vector(&g)));
    let solve = |cancel: &AtomicBool| {
        let warm = warm.as_ref().map(|(f, g)| (&f[..], &g[..]));
        gwrsa_core::transport(&cost, &p, &q, epsilon, tol, max_sinkhorn, precision, warm, cancel)
    };
    let solved = pooled::run(py, threads, solve, QUIET)?.map_err(value_error)?;
    let status = match solved.projection.ended {
        Ended::Converged => "converged",
        Ended::MaxIterations => "max_sinkhorn",
        Ended::NumericalError => "numerical_error",
        Ended::Interrupted => "interrupted",
    };
    Ok((
        to_numpy(py, solved.plan)?,
        PyArray1::from_vec(py, solved.f),
        PyArray1::from_vec(py, solved.g),
        status,
        solved.projection.sweeps,
        solved.projection.marginal_error,
    ))
}

/// The plan rounded onto the marginals p and q.
#[pyfunction]
pub fn round_to_marginals<'py>(
    py: Python<'py>,
    plan: PyReadonlyArray2<'py, f64>,
    p: PyReadonlyArray1<'py, f64>,
    q: PyReadonlyArray1<'py, f64>,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let mut plan: Mat<f64> = matrix(&plan);
    let (p, q) = (vector(&p), vector(&q));
    pooled::run(py, 0, |_| gwrsa_core::round_to_marginals(&mut plan, &p, &q), QUIET)?;
    to_numpy(py, plan)
}
