//! Entropic Gromov-Wasserstein optimal transport between two sets of objects given by their dissimilarities.
//!
//! ```text
//! GW(T) = sum_ijkl (C1_ik - C2_jl)^2 T_ij T_kl          T in U(p, q): the plans with marginals p and q
//! min over T of  GW(T) + epsilon sum_ij T_ij log T_ij
//! outer step:  T <- Sinkhorn(p, q, exp(M + f + g)),  M = (4 / epsilon) C1 T C2 + (row function) + (column function)
//! ```
//!
//! | symbol | meaning |
//! |---|---|
//! | C1 (n x n), C2 (m x m) | dissimilarities of the source and the target |
//! | p (n), q (m) | weights, each summing to 1 |
//! | S, a | C = S + a 1' + 1 a' with S p = 0: the weighted double centring |
//! | A, s | S = A diag(s) A', s = +-1: the factored cost, r columns |
//! | T (n x m) | the plan, or coupling |
//! | f, g | dual potentials in units of epsilon |
//!
//! S, a and A are in the unit of the largest entry of C, a power of two; losses and epsilon are in the caller's.
//!
//! Peyre, Cuturi & Solomon (2016), <https://proceedings.mlr.press/v48/peyre16.html>.
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//! use gwrsa_core::{Dissimilarity, Init, InitKind, Mat, Problem, Settings, Start, Status, solve};
//!
//! let c = Dissimilarity::Dense(Mat::from_fn(5, 5, |i, j| (i as f64 - j as f64).abs().powf(1.5)));
//! let w = vec![0.1, 0.15, 0.2, 0.25, 0.3];
//! let problem = Problem::new(&c, &c, &w, &w)?;
//! let start = Start { init: Init::Named(InitKind::Random, 0, 0), epsilons: vec![0.5] };
//! let solution = solve(&problem, &start, &Settings::default(), false, &AtomicBool::new(false))?;
//! assert_eq!(solution.status, Status::Converged);
//! # Ok::<(), gwrsa_core::InvalidInput>(())
//! ```

mod anderson;
mod awake;
mod bapg;
mod choice;
mod cocluster;
mod cost;
mod descent;
mod draw;
mod error;
mod forecast;
mod gw;
mod init;
mod kernels;
mod linalg;
mod loss;
mod mat;
mod momentum;
mod operator;
mod padded;
mod plan;
mod power;
mod problem;
mod profile;
mod real;
mod relaxation;
mod resolution;
mod rows;
mod search;
mod simd;
mod sinkhorn;
mod solution;
mod speed;
mod sweep;
mod transport;
#[cfg(target_arch = "x86_64")]
mod wide;

pub use bapg::{Alternation, bapg};
pub use choice::choice_probabilities;
pub use cost::Dissimilarity;
pub use error::InvalidInput;
pub use gw::{Literal, Precision, Settings, Start, Status, solve};
pub use init::{Init, InitKind};
pub use loss::Loss;
pub use mat::Mat;
pub use operator::{Operator, Right};
pub use padded::Padded;
pub use plan::{marginal_error, round_to_marginals};
pub use problem::{Problem, Terms};
pub use search::{Done, pool, search};
pub use simd::{Simd, simd};
pub use sinkhorn::{Ended, Projection, Scaling};
pub use solution::{Exponent, Phases, Solution};
pub use speed::{time_product, time_read};
pub use transport::{Transport, transport};
