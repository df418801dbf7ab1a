//! Short calls: the GIL released, on threads that end with the call.

use gwrsa_core::pool;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// Run `work` on a pool of its own. Rayon's global pool lives as long as the process, but not in a forked child, which would wait for its threads without end.
pub fn run<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    let pool = pool(0).map_err(|e| PyRuntimeError::new_err(e.to_string()))?;
    Ok(py.detach(|| pool.install(work)))
}
