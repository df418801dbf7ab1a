//! A problem: two costs and two weights, checked once; nothing later checks again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

use crate::cost::{Centred, Dissimilarity};
use crate::error::InvalidInput;
use crate::init::Init;
use crate::kernels::dot;
use crate::loss::{self, Loss};
use crate::mat::{Mat, product};
use crate::operator::Operator;
use crate::plan::marginal_error;
use crate::power::times_two_to;

/// Two sets of objects to couple. Immutable; shared by any number of solves.
pub struct Problem {
    pub(crate) p: Vec<f64>,
    pub(crate) q: Vec<f64>,
    pub(crate) source: Centred,
    pub(crate) target: Centred,
    pub(crate) exact: Operator<f64>,
    single: OnceLock<Operator<f32>>,
    axes: OnceLock<Axes>,
    /// Held by the one that finds the axes.
    finding: Mutex<()>,
    reach: OnceLock<f64>,
    constant: f64,
    /// The linear cost as it is worked with, times its weight, not centred: its loss has the digits of its own entries.
    linear: Option<Mat<f64>>,
    /// Source and target are exchanged inside, so that the source has the smaller rank.
    pub(crate) swapped: bool,
}

/// Of source and target.
type Axes = (Mat<f64>, Mat<f64>);

/// What is compared, and how.
#[derive(Debug, Clone)]
pub struct Terms {
    /// How two dissimilarities are compared.
    pub loss: Loss,
    /// A cost between objects (n x m), which the plan pays with weight `1 - alpha`.
    pub linear: Option<Mat<f64>>,
    /// Weight of the dissimilarities when there is a linear cost, otherwise 1.
    pub alpha: f64,
    /// Hold exponents whole, as [`crate::Literal`] needs.
    pub whole: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Self { loss: Loss::Square, linear: None, alpha: 1.0, whole: false }
    }
}

/// How far a sum of weights may be from 1; it is then divided out.
const WEIGHT_TOL: f64 = 1e-6;
/// Least weight, but for 0, in mixed precision: its product with an entry of the kernel is still a normal number.
const LEAST_WEIGHT: f64 = 1e-32;

pub(crate) fn checked_weights(name: &'static str, w: &[f64], n: usize) -> Result<Vec<f64>, InvalidInput> {
    if w.len() != n {
        return Err(InvalidInput::Shape { name, actual: (w.len(), 1), expected: (n, 1) });
    }
    if let Some(row) = w.iter().position(|x| !x.is_finite()) {
        return Err(InvalidInput::NotFinite { name, row, col: 0, value: w[row] });
    }
    if let Some(index) = w.iter().position(|x| *x < 0.0) {
        return Err(InvalidInput::Negative { name, index, value: w[index] });
    }
    let sum: f64 = w.iter().sum();
    if (sum - 1.0).abs() > WEIGHT_TOL {
        return Err(InvalidInput::WeightSum { name, sum });
    }
    Ok(w.iter().map(|x| x / sum).collect())
}

impl Problem {
    /// Check, centre and factor. `p` (n) and `q` (m) are probability vectors; zero weights are allowed and get no mass.
    ///
    /// # Errors
    /// A matrix that is not square or not finite, weights of another length, negative, or not summing to 1.
    pub fn new(c1: &Dissimilarity, c2: &Dissimilarity, p: &[f64], q: &[f64]) -> Result<Self, InvalidInput> {
        Self::with(c1, c2, p, q, &Terms::default(), &AtomicBool::new(false))
    }

    /// The same with another loss, or a linear term. What is built once `cancel` is set is of no use.
    ///
    /// # Errors
    /// As [`Self::new`]; a negative dissimilarity with the Kullback-Leibler loss, a linear cost of another shape or not finite, an alpha
    /// outside 0 to 1.
    pub fn with(
        c1: &Dissimilarity,
        c2: &Dissimilarity,
        p: &[f64],
        q: &[f64],
        terms: &Terms,
        cancel: &AtomicBool,
    ) -> Result<Self, InvalidInput> {
        c1.check("c1")?;
        c2.check("c2")?;
        let p = checked_weights("p", p, c1.len())?;
        let q = checked_weights("q", q, c2.len())?;
        let whole = terms.whole || terms.linear.is_some();
        let (source, target, own) = match terms.loss {
            Loss::Square => {
                let centre = |c: &Dissimilarity, w: &[f64]| {
                    if whole { c.centre_as_given(w, cancel) } else { c.centre(w, cancel) }
                };
                let (source, target) = (centre(c1, &p), centre(c2, &q));
                let square = |c: &Centred| times_two_to(c.square_mean, 2 * c.power);
                let own = square(&source) + square(&target);
                (source, target, own)
            }
            Loss::KullbackLeibler => loss::kullback_leibler(c1, c2, &p, &q, cancel)?,
        };
        let constant = own - 2.0 * times_two_to(source.mean * target.mean, source.power + target.power);
        let swapped = target.rank() < source.rank();
        let (source, target, p, q) = if swapped { (target, source, q, p) } else { (source, target, p, q) };
        let mut exact = Operator::new(&source, &target);
        let mut cost = None;
        if whole {
            let mut linear = None;
            if let Some(given) = &terms.linear {
                let oriented = loss::oriented_linear(given, terms.alpha, (p.len(), q.len()), swapped)?;
                linear = Some(loss::centred_linear(&oriented, &p, &q));
                cost = Some(oriented);
            }
            exact = Operator::Whole { quadratic: Box::new(exact), alpha: terms.alpha, linear };
        }
        Ok(Self {
            p,
            q,
            source,
            target,
            exact,
            single: OnceLock::new(),
            axes: OnceLock::new(),
            finding: Mutex::new(()),
            reach: OnceLock::new(),
            constant,
            linear: cost,
            swapped,
        })
    }

    /// Whether single precision holds every weight, so that a plan has a row and a column for each that is not 0.
    ///
    /// # Errors
    /// A weight above 0 and below 1e-32.
    pub(crate) fn check_single(&self) -> Result<(), InvalidInput> {
        let (p, q) = if self.swapped { (&self.q, &self.p) } else { (&self.p, &self.q) };
        for (name, w) in [("p", p), ("q", q)] {
            if let Some(index) = w.iter().position(|w| *w > 0.0 && *w < LEAST_WEIGHT) {
                return Err(InvalidInput::TooLight { name, index, value: w[index], least: LEAST_WEIGHT });
            }
        }
        Ok(())
    }

    /// The operator in single precision, made when first asked for.
    pub(crate) fn single(&self) -> &Operator<f32> {
        self.single.get_or_init(|| self.exact.cast())
    }

    /// Bound of `epsilon |M| / 4` over all plans, found when first asked for.
    pub(crate) fn reach(&self) -> f64 {
        *self.reach.get_or_init(|| self.found_reach())
    }

    /// The three leading axes of classical scaling of source and target (n x 3, m x 3), each turned so that its skewness is positive.
    /// None once `cancel` is set.
    pub(crate) fn leading_axes(&self, cancel: &AtomicBool) -> Option<&Axes> {
        const AXES: usize = 3;
        let oriented = |c: &Centred, p: &[f64]| -> Mat<f64> {
            // On one thread: the others may be waiting for the outcome.
            let (_, axes) = c.axes(p, AXES, false, cancel);
            let skewness = |k: usize| -> f64 { (0..axes.rows).map(|i| p[i] * axes.row(i)[k].powi(3)).sum() };
            let turn: Vec<f64> = (0..axes.cols).map(|k| if skewness(k) < 0.0 { -1.0 } else { 1.0 }).collect();
            Mat::from_fn(axes.rows, axes.cols, |i, k| axes.row(i)[k] * turn[k])
        };
        if self.axes.get().is_none() {
            let _found = self.finding.lock().expect("no thread panics holding it");
            if self.axes.get().is_none() {
                let axes = (oriented(&self.source, &self.p), oriented(&self.target, &self.q));
                if cancel.load(Ordering::Relaxed) {
                    return None;
                }
                self.axes.get_or_init(|| axes);
            }
        }
        self.axes.get()
    }

    /// n and m, as given.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        let (n, m) = (self.p.len(), self.q.len());
        if self.swapped { (m, n) } else { (n, m) }
    }

    /// Ranks of the centred costs as they are worked with, source and target as given; n or m for a dense one.
    #[must_use]
    pub fn ranks(&self) -> (usize, usize) {
        let (a, b) = (self.source.rank(), self.target.rank());
        if self.swapped { (b, a) } else { (a, b) }
    }

    /// What an outer step is made of, for solvers beside this one; source and target as they are worked with.
    #[must_use]
    pub fn operator(&self) -> &Operator<f64> {
        &self.exact
    }

    /// Whether source and target are exchanged in [`Self::operator`] and in summaries of plans.
    #[must_use]
    pub fn swapped(&self) -> bool {
        self.swapped
    }

    /// A matrix of source by target, as the sides are inside.
    pub(crate) fn oriented(&self, given: &Mat<f64>) -> Mat<f64> {
        if self.swapped { given.transposed() } else { given.clone() }
    }

    /// Weights, each summing to 1, source and target as they are worked with.
    #[must_use]
    pub fn weights(&self) -> (&[f64], &[f64]) {
        (&self.p, &self.q)
    }

    /// GW(T) is this minus twice `2^power <S1 T S2 + 2 a1 a2' - K1 T K2 + 2 k1 k2', T>`, all of [`Self::operator`]; see [`Self::power`].
    #[must_use]
    pub fn constant(&self) -> f64 {
        self.constant
    }

    /// The product of two costs as given is `2^power` times that of the costs that are worked with, in [`Self::operator`]: each is divided
    /// by the power of two of its largest entry, so that single precision holds it whatever its unit. 0 with a linear cost or another loss,
    /// whose terms share one unit.
    #[must_use]
    pub fn power(&self) -> i32 {
        self.source.power + self.target.power
    }

    /// `4 / epsilon` for the costs that are worked with.
    pub(crate) fn step(&self, epsilon: f64) -> f64 {
        4.0 / times_two_to(epsilon, -self.power())
    }

    /// What an outer step needs of an initial plan, `A1' T` (r x m) or the plan (n x m) as it is worked with. Over the current rayon pool.
    /// Of no meaning once `cancel` is set.
    ///
    /// # Errors
    /// A given plan that does not fit the problem.
    pub fn summary(&self, init: &Init, cancel: &AtomicBool) -> Result<Mat<f64>, InvalidInput> {
        self.initial_summary(init, &self.exact, true, cancel)
    }

    /// The epsilon above which the uniform plan is a stable fixed point: 16 w1 w2, w the eigenvalue of largest magnitude of
    /// `-P^1/2 S P^1/2 / 2` (for uniform weights, that of -JCJ/2 divided by n). From the linearised outer step: a perturbation
    /// `pq'(1 + h)` is multiplied by (4 / epsilon) (2 w1) (2 w2). Of no meaning once `cancel` is set.
    #[must_use]
    pub fn critical_epsilon(&self, cancel: &AtomicBool) -> f64 {
        let top = |c: &Centred, p: &[f64]| c.axes(p, 1, true, cancel).0.first().map_or(0.0, |w| w.abs());
        times_two_to(16.0 * top(&self.source, &self.p) * top(&self.target, &self.q), self.power())
    }

    /// GW(T) of a plan (n x m, as given), in float64, with the linear term where there is one; not halved, no root, as in POT. Clipped at 0, below which only rounding can take it.
    ///
    /// # Errors
    /// A plan of another shape, with a negative or non-finite entry, or without the marginals p and q (L1 error above 1e-6).
    pub fn gw_loss(&self, plan: &Mat<f64>) -> Result<f64, InvalidInput> {
        let plan = self.checked_plan("plan", plan, 1e-6)?;
        Ok(self.loss(&plan))
    }

    pub(crate) fn loss(&self, plan: &Mat<f64>) -> f64 {
        match self.exact.factor() {
            Some(left) => {
                let mut x = Mat::zeros(left.cols, plan.cols);
                product(&mut x, left.view().t(), plan.view(), 1.0, false, true);
                self.loss_of(&x, true)
            }
            None => self.loss_of(plan, true),
        }
    }

    /// From what determines the loss of a plan T; see [`Operator::overlap`].
    pub(crate) fn loss_of(&self, x: &Mat<f64>, parallel: bool) -> f64 {
        let constant = times_two_to(self.constant, -self.power());
        let quadratic = times_two_to(self.exact.quadratic_loss(x, constant, parallel), self.power());
        // With a linear cost x is the plan itself.
        quadratic + self.linear.as_ref().map_or(0.0, |cost| dot(&cost.data, &x.data))
    }

    /// A plan as given, checked, in the inner orientation.
    pub(crate) fn checked_plan(&self, name: &'static str, plan: &Mat<f64>, tol: f64) -> Result<Mat<f64>, InvalidInput> {
        let expected = self.shape();
        if (plan.rows, plan.cols) != expected {
            return Err(InvalidInput::Shape { name, actual: (plan.rows, plan.cols), expected });
        }
        if let Some(at) = plan.data.iter().position(|x| !x.is_finite()) {
            let (row, col) = (at / plan.cols, at % plan.cols);
            return Err(InvalidInput::NotFinite { name, row, col, value: plan.data[at] });
        }
        if let Some(index) = plan.data.iter().position(|x| *x < 0.0) {
            return Err(InvalidInput::Negative { name, index, value: plan.data[index] });
        }
        let plan = self.oriented(plan);
        let error = marginal_error(&plan, &self.p, &self.q);
        if error > tol {
            return Err(InvalidInput::Infeasible { name, error });
        }
        Ok(plan)
    }
}
