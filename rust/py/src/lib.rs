//! `gwrsa._core`: convert, release the GIL, call, convert. No algorithm.

// Arguments that come from Python are owned by the call.
#![allow(clippy::needless_pass_by_value)]

mod choice;
mod convert;
mod interruptible;
mod pooled;
mod problem;
mod sinkhorn;
mod speed;

use pyo3::prelude::*;

/// The private core of gwrsa.
#[pymodule]
fn _core(m: &Bound<'_, PyModule>) -> PyResult<()> {
    let simd = gwrsa_core::simd().map_err(pyo3::exceptions::PyValueError::new_err)?;
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    m.add("simd", simd.name())?;
    m.add("simd_available", gwrsa_core::Simd::available().into_iter().map(gwrsa_core::Simd::name).collect::<Vec<_>>())?;
    m.add_class::<problem::Problem>()?;
    m.add_class::<problem::Solution>()?;
    m.add_function(wrap_pyfunction!(choice::choice_probabilities, m)?)?;
    m.add_function(wrap_pyfunction!(sinkhorn::sinkhorn, m)?)?;
    m.add_function(wrap_pyfunction!(sinkhorn::round_to_marginals, m)?)?;
    m.add_function(wrap_pyfunction!(speed::time_machine, m)?)?;
    Ok(())
}
