//! `Problem` and `Solution`.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use gwrsa_core::{Exponent, Init, InitKind, Literal, Loss, Mat, Operator, Precision, Right, Settings, Start, Terms};
use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use crate::convert::{CostInput, matrix, status_name, to_numpy, value_error, vector};
use crate::pooled::{self, QUIET};

/// An initial plan, or (name, seed, number).
#[derive(FromPyObject)]
enum InitInput<'py> {
    Plan(PyReadonlyArray2<'py, f64>),
    Named(String, u64, u64),
}

impl InitInput<'_> {
    fn init(&self) -> PyResult<Init> {
        Ok(match self {
            Self::Plan(plan) => Init::Plan(matrix(plan)),
            Self::Named(name, seed, number) => {
                Init::Named(InitKind::from_name(name).map_err(value_error)?, *seed, *number)
            }
        })
    }
}

/// The exponent of a solution: its dtype is the precision of the solve.
#[derive(FromPyObject)]
enum ExponentInput<'py> {
    Double(PyReadonlyArray2<'py, f64>),
    Single(PyReadonlyArray2<'py, f32>),
}

impl ExponentInput<'_> {
    fn exponent(&self) -> Exponent {
        match self {
            Self::Double(y) => Exponent::Double(matrix(y)),
            Self::Single(y) => {
                let data = y.as_array().iter().copied().collect();
                Exponent::Single(Mat::from_vec(data, y.shape()[0], y.shape()[1]))
            }
        }
    }
}

/// (plan, changes, steps, whether it converged).
type Alternation<'py> = (Bound<'py, PyArray2<f64>>, Vec<f64>, usize, bool);

/// Two costs and two weights, and how many threads work on what is asked of them (0: one a core).
#[pyclass(frozen, module = "gwrsa._core")]
pub struct Problem {
    inner: Arc<gwrsa_core::Problem>,
    threads: usize,
}

#[pymethods]
impl Problem {
    #[new]
    #[pyo3(signature = (c1, c2, p, q, *, loss="square", linear=None, alpha=1.0, whole=false, threads=0))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        py: Python<'_>,
        c1: CostInput<'_>,
        c2: CostInput<'_>,
        p: PyReadonlyArray1<'_, f64>,
        q: PyReadonlyArray1<'_, f64>,
        loss: &str,
        linear: Option<PyReadonlyArray2<'_, f64>>,
        alpha: f64,
        whole: bool,
        threads: usize,
    ) -> PyResult<Self> {
        let (c1, c2, p, q) = (c1.dissimilarity(), c2.dissimilarity(), vector(&p), vector(&q));
        let loss = if loss == "kl" { Loss::KullbackLeibler } else { Loss::Square };
        let terms = Terms { loss, linear: linear.as_ref().map(matrix), alpha, whole };
        let build = |cancel: &AtomicBool| gwrsa_core::Problem::with(&c1, &c2, &p, &q, &terms, cancel);
        let inner = pooled::run(py, threads, build, QUIET)?.map_err(value_error)?;
        Ok(Self { inner: Arc::new(inner), threads })
    }

    #[getter]
    fn shape(&self) -> (usize, usize) {
        self.inner.shape()
    }

    #[getter]
    fn ranks(&self) -> (usize, usize) {
        self.inner.ranks()
    }

    fn critical_epsilon(&self, py: Python<'_>) -> PyResult<f64> {
        pooled::run(py, self.threads, |cancel| self.inner.critical_epsilon(cancel), QUIET)
    }

    fn resolves(&self, py: Python<'_>, epsilon: f64) -> PyResult<bool> {
        pooled::run(py, self.threads, |_| self.inner.resolves(epsilon), QUIET)
    }

    fn gw_loss(&self, py: Python<'_>, plan: PyReadonlyArray2<'_, f64>) -> PyResult<f64> {
        let plan = matrix(&plan);
        pooled::run(py, self.threads, |_| self.inner.gw_loss(&plan), QUIET)?.map_err(value_error)
    }

    fn initial_plan<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        seed: u64,
        number: u64,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let init = Init::Named(InitKind::from_name(name).map_err(value_error)?, seed, number);
        let plan = pooled::run(py, self.threads, |_| self.inner.initial_plan(&init), QUIET)?.map_err(value_error)?;
        to_numpy(py, plan)
    }

    /// For other backends: the arrays of an outer step by their names in the core.
    fn operator<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (p, q) = self.inner.weights();
        let out = PyDict::new(py);
        let vector = |x: &[f64]| PyArray1::from_slice(py, x);
        let matrix = |x: &Mat<f64>| vector(&x.data).reshape([x.rows, x.cols]);
        out.set_item("p", vector(p))?;
        out.set_item("q", vector(q))?;
        out.set_item("swapped", self.inner.swapped())?;
        out.set_item("constant", self.inner.constant())?;
        out.set_item("power", self.inner.power())?;
        match self.inner.operator() {
            Operator::Factored { left, sign, right, a2 } => {
                out.set_item("left", matrix(left)?)?;
                out.set_item("sign", vector(sign))?;
                out.set_item("a2", vector(a2))?;
                match right {
                    Right::Dense(s) => out.set_item("right", matrix(&s.to_mat())?)?,
                    Right::Factored(a, sign) => {
                        out.set_item("right", matrix(a)?)?;
                        out.set_item("right_sign", vector(sign))?;
                    }
                }
            }
            Operator::Dense { s1, s2, skew, outer } => {
                out.set_item("s1", matrix(s1)?)?;
                out.set_item("s2", matrix(s2)?)?;
                if let Some((k1, k2)) = skew {
                    out.set_item("skew", (matrix(k1)?, matrix(k2)?))?;
                }
                let outer: Vec<_> = outer.iter().map(|(a, b)| (vector(a), vector(b))).collect();
                out.set_item("outer", outer)?;
            }
            Operator::Whole { .. } => {
                return Err(PyValueError::new_err("only the backend 'rust' holds exponents whole, or a linear cost"));
            }
        }
        Ok(out)
    }

    fn initial_summary<'py>(
        &self,
        py: Python<'py>,
        init: InitInput<'py>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let init = init.init()?;
        let summary =
            pooled::run(py, threads, |cancel| self.inner.summary(&init, cancel), QUIET)?.map_err(value_error)?;
        to_numpy(py, summary)
    }

    fn restore(
        &self,
        py: Python<'_>,
        exponent: ExponentInput<'_>,
        f: PyReadonlyArray1<'_, f64>,
        g: PyReadonlyArray1<'_, f64>,
        epsilon: f64,
    ) -> PyResult<Solution> {
        let (exponent, f, g) = (exponent.exponent(), vector(&f), vector(&g));
        let restore = |_: &AtomicBool| gwrsa_core::Solution::restored(&self.inner, exponent, f, g, epsilon);
        let restored = pooled::run(py, self.threads, restore, QUIET)?;
        Ok(self.wrap(restored.map_err(value_error)?, self.threads))
    }

    /// (plan, changes, steps, whether it converged) of Bregman alternating projected gradient.
    #[pyo3(signature = (init, *, linear, alpha, epsilon, tol, max_outer, threads))]
    #[allow(clippy::too_many_arguments)]
    fn bapg<'py>(
        &self,
        py: Python<'py>,
        init: PyReadonlyArray2<'py, f64>,
        linear: Option<PyReadonlyArray2<'py, f64>>,
        alpha: f64,
        epsilon: f64,
        tol: f64,
        max_outer: usize,
        threads: usize,
    ) -> PyResult<Alternation<'py>> {
        let (init, linear) = (matrix(&init), linear.as_ref().map(matrix));
        let alternate = |cancel: &AtomicBool| {
            gwrsa_core::bapg(&self.inner, linear.as_ref(), alpha, &init, epsilon, tol, max_outer, cancel)
        };
        let end = pooled::run(py, threads, alternate, QUIET)?.map_err(value_error)?;
        Ok((to_numpy(py, end.plan)?, end.changes, end.n_outer, end.converged))
    }

    #[pyo3(signature = (starts, *, precision, tol, max_outer, max_sinkhorn, level_tol, level_max_outer, threads, done=None, literal=None))]
    #[allow(clippy::too_many_arguments)]
    fn solve(
        &self,
        py: Python<'_>,
        starts: Vec<(InitInput<'_>, Vec<f64>)>,
        precision: &str,
        tol: f64,
        max_outer: usize,
        max_sinkhorn: usize,
        level_tol: f64,
        level_max_outer: usize,
        threads: usize,
        done: Option<Bound<'_, PyAny>>,
        literal: Option<(bool, f64)>,
    ) -> PyResult<Vec<Solution>> {
        let precision = match precision {
            "mixed" => Precision::Mixed,
            "float64" => Precision::Float64,
            _ => {
                return Err(PyValueError::new_err(format!(
                    "precision must be 'mixed' or 'float64', got {precision:?}"
                )));
            }
        };
        let literal = literal.map(|(proximal, inner_tol)| Literal { proximal, inner_tol });
        let settings = Settings { tol, max_outer, max_sinkhorn, level_tol, level_max_outer, precision, literal };
        let starts = starts
            .iter()
            .map(|(init, epsilons)| Ok(Start { init: init.init()?, epsilons: epsilons.clone() }))
            .collect::<PyResult<Vec<_>>>()?;
        let ended: Mutex<VecDeque<(usize, Option<gwrsa_core::Solution>)>> = Mutex::new(VecDeque::new());
        let done = done.map(Bound::unbind);
        let problem = &*self.inner;
        let report = |py: Python<'_>| -> PyResult<()> {
            let Some(done) = &done else { return Ok(()) };
            // One at a time: when a call raises, the next tick goes on behind it.
            while let Some((i, solution)) = ended.lock().expect("no thread panics holding it").pop_front() {
                done.call1(py, (i, solution.map(|s| self.wrap(s, threads))))?;
            }
            Ok(())
        };
        let keep = done.is_some();
        let search = |cancel: &AtomicBool| {
            gwrsa_core::search(problem, &starts, &settings, cancel, &|i, solution| {
                if keep {
                    ended.lock().expect("no thread panics holding it").push_back((i, solution.cloned()));
                }
            })
        };
        let solutions = pooled::run(py, threads, search, report)?.map_err(value_error)?;
        Ok(solutions.into_iter().flatten().map(|s| self.wrap(s, threads)).collect())
    }
}

impl Problem {
    fn wrap(&self, inner: gwrsa_core::Solution, threads: usize) -> Solution {
        Solution { problem: Arc::clone(&self.inner), inner, threads }
    }
}

/// The end of one solve.
#[pyclass(frozen, module = "gwrsa._core")]
pub struct Solution {
    problem: Arc<gwrsa_core::Problem>,
    inner: gwrsa_core::Solution,
    threads: usize,
}

#[pymethods]
impl Solution {
    #[getter]
    fn gw_loss(&self) -> f64 {
        self.inner.gw_loss
    }
    #[getter]
    fn objective(&self) -> f64 {
        self.inner.objective
    }
    #[getter]
    fn epsilon(&self) -> f64 {
        self.inner.epsilon
    }
    #[getter]
    fn status(&self) -> &'static str {
        status_name(self.inner.status)
    }
    #[getter]
    fn n_outer(&self) -> usize {
        self.inner.n_outer
    }
    #[getter]
    fn n_sinkhorn(&self) -> usize {
        self.inner.n_sinkhorn
    }
    #[getter]
    fn marginal_error(&self) -> f64 {
        self.inner.marginal_error
    }
    #[getter]
    fn change(&self) -> f64 {
        self.inner.change
    }
    /// Of literal steps: the change of the plan at the first step and every tenth from there.
    #[getter]
    fn changes(&self) -> Vec<f64> {
        self.inner.changes.clone()
    }
    #[getter]
    fn seconds(&self) -> f64 {
        self.inner.seconds
    }
    #[getter]
    fn merged_into(&self) -> Option<usize> {
        self.inner.merged_into
    }
    #[getter]
    fn stopped_by(&self) -> Option<usize> {
        self.inner.stopped_by
    }
    /// Seconds by phase.
    #[getter]
    fn phases(&self) -> Vec<(&'static str, f64)> {
        let p = &self.inner.phases;
        vec![
            ("start", p.start),
            ("products", p.products),
            ("kernel", p.kernel),
            ("sweeps", p.sweeps),
            ("summary", p.summary),
            ("evaluation", p.evaluation),
        ]
    }
    #[getter]
    fn path(&self) -> Vec<(f64, usize, f64)> {
        self.inner.path.clone()
    }

    fn potentials<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let (f, g) = self.inner.potentials(&self.problem);
        PyTuple::new(py, [PyArray1::from_slice(py, f), PyArray1::from_slice(py, g)])
    }

    fn exponent<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(match self.inner.exponent() {
            Exponent::Single(y) => PyArray1::from_slice(py, &y.data).reshape([y.rows, y.cols])?.into_any(),
            Exponent::Double(y) => PyArray1::from_slice(py, &y.data).reshape([y.rows, y.cols])?.into_any(),
        })
    }

    /// With its loss, which an interrupted search leaves out.
    fn evaluated(&self, py: Python<'_>) -> PyResult<Self> {
        let inner = pooled::run(py, self.threads, |_| self.inner.evaluated(&self.problem), QUIET)?;
        Ok(Self { problem: Arc::clone(&self.problem), inner, threads: self.threads })
    }

    fn plan<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let plan = pooled::run(py, self.threads, |_| self.inner.plan(&self.problem), QUIET)?;
        to_numpy(py, plan)
    }

    fn top<'py>(&self, py: Python<'py>, k: usize) -> PyResult<Bound<'py, PyArray2<u32>>> {
        let top = pooled::run(py, self.threads, |_| self.inner.top(&self.problem, k), QUIET)?;
        PyArray1::from_vec(py, top.data).reshape([top.rows, top.cols])
    }
}
