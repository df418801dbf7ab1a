//! What the machine and this build of the core can do.

use pyo3::prelude::*;

use crate::interruptible;

/// (seconds of a product of single precision, (n x k) times (k x m); seconds of a reading of n x m numbers).
#[pyfunction]
pub fn time_machine(
    py: Python<'_>,
    n: usize,
    k: usize,
    m: usize,
    repeats: usize,
    threads: usize,
) -> PyResult<(f64, f64)> {
    let pool = gwrsa_core::pool(threads).map_err(|e| pyo3::exceptions::PyValueError::new_err(e.to_string()))?;
    interruptible::run(
        py,
        |_| pool.install(|| (gwrsa_core::time_product(n, k, m, repeats), gwrsa_core::time_read(n * m, repeats))),
        |_| Ok(()),
    )
}
