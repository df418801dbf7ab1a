//! What every binding that takes a while goes through: a pool of rayon's of its own, the GIL released, Ctrl-C noticed.

use std::sync::atomic::AtomicBool;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::interruptible;

/// For work that reports nothing.
pub const QUIET: fn(Python<'_>) -> PyResult<()> = |_| Ok(());

/// `work` on so many threads (0: one a core), as [`interruptible::run`]. Rayon's global pool lives as long as the process, but not in a forked child,
/// which would wait for its threads without end: this one ends with the call.
pub fn run<T: Send>(
    py: Python<'_>,
    threads: usize,
    work: impl FnOnce(&AtomicBool) -> T + Send,
    tick: impl FnMut(Python<'_>) -> PyResult<()> + Send,
) -> PyResult<T> {
    let pool = gwrsa_core::pool(threads).map_err(|e| {
        PyValueError::new_err(format!("threads must be a number the system can start, got {threads}: {e}"))
    })?;
    interruptible::run(py, |cancel| pool.install(|| work(cancel)), tick)
}
