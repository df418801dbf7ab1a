//! Choice probabilities of the odd-one-out task.

use numpy::{PyArray2, PyReadonlyArray2};
use pyo3::exceptions::PyInterruptedError;
use pyo3::prelude::*;

use crate::convert::{matrix, to_numpy};
use crate::pooled::{self, QUIET};

/// The probability that two objects are kept together, averaged over third objects; n x n, diagonal 1.
#[pyfunction]
#[pyo3(signature = (similarities, *, threads))]
pub fn choice_probabilities<'py>(
    py: Python<'py>,
    similarities: PyReadonlyArray2<'py, f64>,
    threads: usize,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let s = matrix(&similarities);
    let found = pooled::run(py, threads, |cancel| gwrsa_core::choice_probabilities(&s, cancel), QUIET)?;
    to_numpy(py, found.ok_or_else(|| PyInterruptedError::new_err("cancelled"))?)
}
