//! Arrays in and out, and core errors as Python ones.

use gwrsa_core::{Dissimilarity, InvalidInput, Mat, Status};
use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Every invalid input is a `ValueError`.
pub fn value_error(e: InvalidInput) -> PyErr {
    PyValueError::new_err(e.to_string())
}

/// A copy in row-major order, whatever the strides.
pub fn matrix(a: &PyReadonlyArray2<'_, f64>) -> Mat<f64> {
    let (rows, cols) = (a.shape()[0], a.shape()[1]);
    match a.as_slice() {
        Ok(s) => Mat::from_vec(s.to_vec(), rows, cols),
        Err(_) => Mat::from_vec(a.as_array().iter().copied().collect(), rows, cols),
    }
}

/// A copy of a vector, whatever its stride.
pub fn vector(a: &PyReadonlyArray1<'_, f64>) -> Vec<f64> {
    a.as_array().iter().copied().collect()
}

/// As a numpy array, without a copy.
pub fn to_numpy(py: Python<'_>, m: Mat<f64>) -> PyResult<Bound<'_, PyArray2<f64>>> {
    PyArray1::from_vec(py, m.data).reshape([m.rows, m.cols])
}

/// A square array, or (values, weights, offset) of a factored cost.
#[derive(FromPyObject)]
pub enum CostInput<'py> {
    /// n x n.
    Dense(PyReadonlyArray2<'py, f64>),
    /// `A diag(w) A' + o 1' + 1 o'`.
    Factored(PyReadonlyArray2<'py, f64>, PyReadonlyArray1<'py, f64>, PyReadonlyArray1<'py, f64>),
}

impl CostInput<'_> {
    /// The core's type.
    pub fn dissimilarity(&self) -> Dissimilarity {
        match self {
            Self::Dense(c) => Dissimilarity::Dense(matrix(c)),
            Self::Factored(values, weights, offset) => {
                Dissimilarity::Factored { values: matrix(values), weights: vector(weights), offset: vector(offset) }
            }
        }
    }
}

/// The public name of a status.
pub fn status_name(status: Status) -> &'static str {
    match status {
        Status::Converged => "converged",
        Status::MaxOuter => "max_outer",
        Status::MaxSinkhorn => "max_sinkhorn",
        Status::NumericalError => "numerical_error",
        Status::Interrupted => "interrupted",
        Status::Stopped => "stopped",
    }
}
