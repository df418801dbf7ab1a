//! The ways an input can be invalid.

use thiserror::Error;

/// An input that no problem can be built from. How a computation ended is a [`crate::Status`], not an error.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum InvalidInput {
    /// A dissimilarity matrix that is not square.
    #[error("{name} must be a square matrix, got shape ({rows}, {cols})")]
    NotSquare {
        /// Argument.
        name: &'static str,
        /// Rows seen.
        rows: usize,
        /// Columns seen.
        cols: usize,
    },
    /// NaN or infinity.
    #[error("{name} must be finite, got {value} at row {row}, column {col}")]
    NotFinite {
        /// Argument.
        name: &'static str,
        /// Row of the first offender.
        row: usize,
        /// Column of the first offender.
        col: usize,
        /// Its value.
        value: f64,
    },
    /// An array of another size than the problem's.
    #[error("{name} must have shape {expected:?}, got {actual:?}")]
    Shape {
        /// Argument.
        name: &'static str,
        /// Shape seen.
        actual: (usize, usize),
        /// Shape that fits.
        expected: (usize, usize),
    },
    /// A negative weight or entry of a plan.
    #[error("{name} must not be negative, got {value} at position {index}")]
    Negative {
        /// Argument.
        name: &'static str,
        /// Flat position of the first offender.
        index: usize,
        /// Its value.
        value: f64,
    },
    /// A weight that single precision cannot hold.
    #[error(
        "{name} must be 0 or at least {least:e} in mixed precision, got {value:e} at position {index}; use float64, or 0"
    )]
    TooLight {
        /// Argument.
        name: &'static str,
        /// Position of the first offender.
        index: usize,
        /// Its value.
        value: f64,
        /// Least weight.
        least: f64,
    },
    /// Weights that are not a probability vector.
    #[error("{name} must sum to 1, got a sum of {sum}; divide it by its sum")]
    WeightSum {
        /// Argument.
        name: &'static str,
        /// Sum seen.
        sum: f64,
    },
    /// A plan whose marginals are not the weights.
    #[error("{name} must have the marginals p and q, got an L1 error of {error:e}")]
    Infeasible {
        /// Argument.
        name: &'static str,
        /// L1 distance of its marginals from the weights, rows plus columns.
        error: f64,
    },
    /// A number that must be positive and finite.
    #[error("{name} must be positive and finite, got {value}")]
    NotPositive {
        /// Argument.
        name: &'static str,
        /// Value seen.
        value: f64,
    },
    /// A cost that is out of the range of floating-point numbers in units of epsilon.
    #[error("{name} must stay below 1e300 times epsilon, got {value:e} with epsilon {epsilon:e}")]
    TooLarge {
        /// Argument.
        name: &'static str,
        /// Largest entry in size.
        value: f64,
        /// Regularisation.
        epsilon: f64,
    },
    /// A number that must lie between 0 and 1.
    #[error("{name} must be between 0 and 1, got {value}")]
    NotShare {
        /// Argument.
        name: &'static str,
        /// Value seen.
        value: f64,
    },
    /// No start goes by this name.
    #[error("init must be one of {expected}, got {value:?}")]
    UnknownInit {
        /// Name seen.
        value: String,
        /// Names there are.
        expected: &'static str,
    },
}
