//! Properties of whole solves, over random problems.

use std::sync::atomic::AtomicBool;

use gwrsa_core::{
    Dissimilarity, Init, InitKind, InvalidInput, Mat, Precision, Problem, Settings, Start, Status, marginal_error,
    pool, search, solve,
};
use proptest::prelude::*;

fn points(n: usize, dims: usize, seed: u64) -> Mat<f64> {
    // A low-discrepancy sequence: any seed gives distinct points.
    Mat::from_fn(n, dims, |i, k| {
        ((i as f64 + 1.0) * (0.618_033_98 + 0.1 * k as f64) + seed as f64 * 0.37).fract() - 0.5
    })
}

fn squared_distances(x: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(x.rows, x.rows, |i, j| x.row(i).iter().zip(x.row(j)).map(|(a, b)| (a - b).powi(2)).sum())
}

fn factored(x: &Mat<f64>) -> Dissimilarity {
    let offset = (0..x.rows).map(|i| x.row(i).iter().map(|v| v * v).sum()).collect();
    Dissimilarity::Factored { values: x.clone(), weights: vec![-2.0; x.cols], offset }
}

fn weights(n: usize, zeros: usize) -> Vec<f64> {
    let raw: Vec<f64> = (0..n).map(|i| if i < zeros { 0.0 } else { 1.0 + (i % 3) as f64 }).collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|w| w / sum).collect()
}

/// The loss by its definition, O(n^2 m^2).
fn slow_loss(c1: &Mat<f64>, c2: &Mat<f64>, plan: &Mat<f64>) -> f64 {
    let mut loss = 0.0;
    for i in 0..plan.rows {
        for k in 0..plan.rows {
            for j in 0..plan.cols {
                for l in 0..plan.cols {
                    loss += (c1.row(i)[k] - c2.row(j)[l]).powi(2) * plan.row(i)[j] * plan.row(k)[l];
                }
            }
        }
    }
    loss
}

fn run(problem: &Problem, kind: InitKind, epsilon: f64, precision: Precision) -> gwrsa_core::Solution {
    let start = Start { init: Init::Named(kind, 1, 0), epsilons: vec![epsilon] };
    let settings = Settings { precision, tol: 1e-6, max_outer: 200, ..Settings::default() };
    solve(problem, &start, &settings, false, &AtomicBool::new(false)).expect("a valid start")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_solve_has_the_marginals_and_the_loss_of_its_plan(
        n in 2usize..9, m in 2usize..9, zeros in 0usize..2, seed in 0u64..50, ratio in -3.0f64..1.0, double: bool, named in 0usize..6,
    ) {
        let (x, y) = (points(n, 2, seed), points(m, 3, seed + 1));
        let (c1, c2) = (squared_distances(&x), squared_distances(&y));
        let (p, q) = (weights(n, zeros), weights(m, 0));
        let problem = Problem::new(&Dissimilarity::Dense(c1.clone()), &Dissimilarity::Dense(c2.clone()), &p, &q)?;
        let kinds = [
            InitKind::Uniform,
            InitKind::Random,
            InitKind::Permutation,
            InitKind::Spectral,
            InitKind::Profile,
            InitKind::Cocluster,
        ];
        let precision = if double { Precision::Float64 } else { Precision::Mixed };
        let end = run(&problem, kinds[named], 10f64.powf(ratio), precision);
        prop_assert!(end.status != Status::NumericalError);
        let plan = end.plan(&problem);
        prop_assert!(plan.data.iter().all(|t| t.is_finite() && *t >= 0.0));
        prop_assert!(marginal_error(&plan, &p, &q) < 1e-12);
        prop_assert!((slow_loss(&c1, &c2, &plan) - end.gw_loss).abs() < 1e-10);
    }

    #[test]
    fn factors_are_the_matrix(n in 3usize..20, m in 3usize..20, seed in 0u64..50) {
        let (x, y) = (points(n, 2, seed), points(m, 3, seed + 1));
        let (p, q) = (weights(n, 0), weights(m, 1));
        let one = Problem::new(&factored(&x), &factored(&y), &p, &q)?;
        let two = Problem::new(
            &Dissimilarity::Dense(squared_distances(&x)), &Dissimilarity::Dense(squared_distances(&y)), &p, &q,
        )?;
        prop_assert!((one.critical_epsilon() / two.critical_epsilon() - 1.0).abs() < 1e-8);
        let plan = one.initial_plan(&Init::Named(InitKind::Random, seed, 0))?;
        prop_assert!((one.gw_loss(&plan)? - two.gw_loss(&plan)?).abs() < 1e-11);
    }

    #[test]
    fn the_streamed_loss_and_objective_are_those_of_the_plan(
        n in 12usize..150, m in 12usize..150, zeros in 0usize..3, seed in 0u64..50, wide: bool, double: bool, steps in 1usize..20,
    ) {
        // Without symmetric structure of low rank on the first side, nothing is factored.
        let x = points(n, if wide { 2 } else { 4 }, seed);
        let c1 = if seed % 5 == 0 {
            Dissimilarity::Dense(Mat::from_fn(n, n, |i, j| ((i * 31 + j * 17) % 29) as f64 / 29.0))
        } else {
            factored(&x)
        };
        let problem = Problem::new(&c1, &factored(&points(m, 3, seed + 1)), &weights(n, zeros), &weights(m, 1))?;
        let precision = if double { Precision::Float64 } else { Precision::Mixed };
        let epsilon = 0.3 * problem.critical_epsilon();
        let start = Start { init: Init::Named(InitKind::Random, seed, 0), epsilons: vec![epsilon] };
        // Far from converged, so that the rounding has something to do.
        let settings = Settings { precision, max_outer: steps, max_sinkhorn: 2, ..Settings::default() };
        let end = solve(&problem, &start, &settings, seed % 2 == 0, &AtomicBool::new(false))?;
        let plan = end.plan(&problem);
        prop_assert!((end.gw_loss - problem.gw_loss(&plan)?).abs() < 1e-13);
        let entropy: f64 = plan.data.iter().filter(|t| **t > 0.0).map(|t| t * t.ln()).sum();
        prop_assert!((end.objective - end.gw_loss - epsilon * entropy).abs() < 1e-12);
    }

    #[test]
    fn threads_do_not_change_a_search(seed in 0u64..5) {
        let (c1, c2) = (squared_distances(&points(40, 3, seed)), squared_distances(&points(35, 2, seed)));
        let problem = Problem::new(
            &Dissimilarity::Dense(c1), &Dissimilarity::Dense(c2), &weights(40, 0), &weights(35, 0),
        )?;
        let starts: Vec<Start> = (0..3)
            .map(|i| Start { init: Init::Named(InitKind::Random, seed, i), epsilons: vec![0.05, 0.02] })
            .collect();
        let losses = |threads: usize| -> Vec<u64> {
            let found = pool(threads).expect("threads").install(|| {
                search(&problem, &starts, &Settings::default(), &AtomicBool::new(false), &|_, _| {})
            });
            found.expect("valid starts").into_iter().flatten().map(|s| s.gw_loss.to_bits()).collect()
        };
        let one = losses(1);
        prop_assert_eq!(one.len(), 3);
        prop_assert_eq!(&one, &losses(2));
        prop_assert_eq!(&one, &losses(5));
    }
}

#[test]
fn invalid_problems_say_what_is_wrong() {
    let c = || Dissimilarity::Dense(squared_distances(&points(4, 2, 0)));
    let w = weights(4, 0);
    let error = |p: &[f64]| Problem::new(&c(), &c(), p, &w).err();
    assert_eq!(error(&[0.5; 4]), Some(InvalidInput::WeightSum { name: "p", sum: 2.0 }));
    assert_eq!(error(&[1.0; 1]), Some(InvalidInput::Shape { name: "p", actual: (1, 1), expected: (4, 1) }));
    assert_eq!(error(&[-0.5, 0.5, 0.5, 0.5]), Some(InvalidInput::Negative { name: "p", index: 0, value: -0.5 }));
    let flat = Dissimilarity::Dense(Mat::from_fn(4, 3, |_, _| 0.0));
    assert_eq!(Problem::new(&c(), &flat, &w, &w).err(), Some(InvalidInput::NotSquare { name: "c2", rows: 4, cols: 3 }));
}

#[test]
fn a_cancelled_solve_says_so() {
    let c = Dissimilarity::Dense(squared_distances(&points(30, 2, 0)));
    let w = weights(30, 0);
    let problem = Problem::new(&c, &c, &w, &w).expect("a valid problem");
    let start = Start { init: Init::Named(InitKind::Random, 0, 0), epsilons: vec![0.01] };
    let end = solve(&problem, &start, &Settings::default(), false, &AtomicBool::new(true)).expect("a valid start");
    assert_eq!(end.status, Status::Interrupted);
}
