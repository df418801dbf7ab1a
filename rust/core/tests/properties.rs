//! Properties of whole solves, over random problems.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gwrsa_core::{
    Dissimilarity, Init, InitKind, InvalidInput, Mat, Precision, Problem, Settings, Start, Status, marginal_error,
    pool, search, solve,
};
use proptest::prelude::*;

static NEVER: AtomicBool = AtomicBool::new(false);

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
        let precision = if double { Precision::Float64 } else { Precision::Mixed };
        let end = run(&problem, InitKind::ALL[named], 10f64.powf(ratio), precision);
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
        prop_assert!((one.critical_epsilon(&NEVER) / two.critical_epsilon(&NEVER) - 1.0).abs() < 1e-8);
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
        let epsilon = 0.3 * problem.critical_epsilon(&NEVER);
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
    assert_eq!((end.status, end.gw_loss), (Status::Interrupted, f64::INFINITY));
}

#[test]
fn a_cancelled_search_gives_what_it_has() {
    let c = factored(&points(60, 3, 0));
    let w = weights(60, 0);
    let problem = Problem::new(&c, &c, &w, &w).expect("a valid problem");
    let epsilon = 0.2 * problem.critical_epsilon(&NEVER);
    let starts: Vec<Start> = (0..3)
        .map(|i| Start {
            init: Init::Named(InitKind::Permutation, 0, i),
            epsilons: vec![2.0 * epsilon, 1.5 * epsilon, epsilon],
        })
        .collect();
    let settings = Settings { precision: Precision::Float64, ..Settings::default() };
    let whole = search(&problem, &starts, &settings, &NEVER, &|_, _| {}).expect("valid starts");
    // After so many levels of any start; from a level on, each start has a plan.
    for after in [1, 3, 5] {
        let (cancel, ended) = (AtomicBool::new(false), AtomicUsize::new(0));
        let told: Mutex<Vec<usize>> = Mutex::new(Vec::new());
        let found = search(&problem, &starts, &settings, &cancel, &|i, end| {
            if end.is_some() {
                told.lock().expect("one thread").push(i);
            } else if ended.fetch_add(1, Ordering::Relaxed) + 1 == after {
                cancel.store(true, Ordering::Relaxed);
            }
        });
        let found = found.expect("valid starts");
        let mut told = told.into_inner().expect("one thread");
        told.sort_unstable();
        assert_eq!(told, (0..3).filter(|&i| found[i].is_some()).collect::<Vec<_>>());
        assert!(found.iter().any(Option::is_some));
        assert!(after < 3 || found.iter().all(Option::is_some));
        for (end, whole) in found.iter().zip(&whole) {
            let (Some(end), Some(whole)) = (end, whole) else { continue };
            assert_eq!(end.gw_loss, f64::INFINITY);
            let end = end.evaluated(&problem);
            assert!((end.gw_loss - problem.gw_loss(&end.plan(&problem)).expect("a plan")).abs() < 1e-12);
            assert!(end.objective.is_finite() && end.epsilon >= epsilon);
            if end.status == Status::Converged {
                assert_eq!((end.gw_loss, end.n_outer), (whole.gw_loss, whole.n_outer));
            } else {
                assert_eq!(end.status, Status::Interrupted);
            }
        }
    }
}

fn scaled(c: &Mat<f64>, by: f64) -> Mat<f64> {
    Mat::from_fn(c.rows, c.cols, |i, j| c.row(i)[j] * by)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn units_do_not_change_a_plan(
        seed in 0u64..50, one in -40i32..41, other in -40i32..41, loose in -12.0f64..12.0, dense: bool, double: bool, named in 0usize..6,
    ) {
        let (x, y) = (points(30, 2, seed), points(25, 3, seed + 1));
        let precision = if double { Precision::Float64 } else { Precision::Mixed };
        let build = |a: f64, b: f64| {
            let side = |x: &Mat<f64>, by: f64| match factored(x) {
                _ if dense => Dissimilarity::Dense(scaled(&squared_distances(x), by)),
                Dissimilarity::Factored { values, weights, offset } => {
                    let times = |x: Vec<f64>| x.iter().map(|x| by * x).collect();
                    Dissimilarity::Factored { values, weights: times(weights), offset: times(offset) }
                }
                Dissimilarity::Dense(_) => unreachable!(),
            };
            Problem::new(&side(&x, a), &side(&y, b), &weights(30, 0), &weights(25, 1))
        };
        let plain = build(1.0, 1.0)?;
        let epsilon = 0.1 * plain.critical_epsilon(&NEVER);
        let end = run(&plain, InitKind::ALL[named], epsilon, precision);
        prop_assert!(end.status != Status::NumericalError);
        // The profile start compares the sizes of both sides: there they have one unit.
        let other = if InitKind::ALL[named] == InitKind::Profile { one } else { other };
        let (a, b) = (2f64.powi(one), 2f64.powi(other));
        let there = build(a, b)?;
        prop_assert_eq!(there.critical_epsilon(&NEVER), a * b * plain.critical_epsilon(&NEVER));
        let exact = run(&there, InitKind::ALL[named], a * b * epsilon, precision);
        prop_assert_eq!((exact.status, exact.n_outer, exact.n_sinkhorn), (end.status, end.n_outer, end.n_sinkhorn));
        prop_assert_eq!(exact.plan(&there).data, end.plan(&plain).data);
        prop_assert_eq!(exact.potentials(&there), end.potentials(&plain));
        prop_assert!((there.gw_loss(&exact.plan(&there))? / exact.gw_loss - 1.0).abs() < 1e-9);
        if one == other {
            prop_assert_eq!(exact.gw_loss, a * a * end.gw_loss);
            prop_assert_eq!(exact.objective, a * a * end.objective);
        }
        // Any other unit rounds differently, and may fall into another basin where there are several.
        let by = 10f64.powf(loose);
        let there = build(by, by)?;
        let (one, two) = (1.5 * plain.critical_epsilon(&NEVER), 1.5 * there.critical_epsilon(&NEVER));
        prop_assert!((two / (by * by * one) - 1.0).abs() < 1e-9);
        let (here, near) = (run(&plain, InitKind::ALL[named], one, precision), run(&there, InitKind::ALL[named], two, precision));
        let apart: f64 = near.plan(&there).data.iter().zip(&here.plan(&plain).data).map(|(s, t)| (s - t).abs()).sum();
        prop_assert!(apart < if double { 1e-5 } else { 1e-3 }, "{}", apart);
        prop_assert!((near.gw_loss / (by * by * here.gw_loss) - 1.0).abs() < 1e-4);
    }

    #[test]
    fn objects_of_little_weight_are_coupled_as_in_float64(
        seed in 0u64..50, exponents in prop::collection::vec(-30.0f64..-5.0, 4), dense: bool,
    ) {
        let little = |n: usize, at: usize| -> Vec<f64> {
            let light = [10f64.powf(exponents[at]), 10f64.powf(exponents[at + 1])];
            (0..n).map(|i| if i < 2 { light[i] } else { (1.0 - light[0] - light[1]) / (n - 2) as f64 }).collect()
        };
        let side = |n, dims, seed| {
            let x = points(n, dims, seed);
            if dense { Dissimilarity::Dense(squared_distances(&x)) } else { factored(&x) }
        };
        let (p, q) = (little(30, 0), little(25, 2));
        let problem = Problem::new(&side(30, 2, seed), &side(25, 3, seed + 1), &p, &q)?;
        // Near the critical epsilon there is one solution; below, two precisions may find two.
        let start = |k| Start { init: Init::Named(InitKind::Spectral, 1, 0), epsilons: vec![k * problem.critical_epsilon(&NEVER)] };
        for share in [1.5, 0.1] {
            let [mixed, double] = [Precision::Mixed, Precision::Float64].map(|precision| {
                let settings = Settings { precision, ..Settings::default() };
                solve(&problem, &start(share), &settings, false, &AtomicBool::new(false)).expect("a valid start")
            });
            prop_assert!(mixed.status != Status::NumericalError && mixed.marginal_error < 1e-4);
            prop_assert_eq!(share > 1.0 && mixed.status != Status::Converged, false);
            let (a, b) = (mixed.plan(&problem), double.plan(&problem));
            prop_assert!(marginal_error(&a, &p, &q) < 1e-12);
            if (mixed.gw_loss / double.gw_loss - 1.0).abs() < 1e-4 {
                for i in 0..30 {
                    let apart: f64 = a.row(i).iter().zip(b.row(i)).map(|(s, t)| (s - t).abs() / p[i]).sum();
                    prop_assert!(apart < 0.02, "row {} of weight {}: {}", i, p[i], apart);
                }
            } else {
                prop_assert!(share < 1.0);
            }
        }
    }
}

#[test]
fn weights_below_single_precision_are_refused_there() {
    let c = Dissimilarity::Dense(squared_distances(&points(4, 2, 0)));
    let (p, q) = (vec![0.25; 4], vec![0.0, 1e-40, 0.5, 0.5]);
    let problem = Problem::new(&c, &c, &p, &q).expect("a valid problem");
    let start = Start { init: Init::Named(InitKind::Random, 0, 0), epsilons: vec![0.1] };
    let end = |precision| {
        let settings = Settings { precision, ..Settings::default() };
        solve(&problem, &start, &settings, false, &AtomicBool::new(false)).map(|s| s.status)
    };
    let refused = InvalidInput::TooLight { name: "q", index: 1, value: 1e-40, least: 1e-32 };
    assert_eq!(end(Precision::Mixed), Err(refused));
    assert_eq!(end(Precision::Float64), Ok(Status::Converged));
}
