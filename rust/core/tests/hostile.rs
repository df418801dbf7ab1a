//! Degenerate problems, extreme scales, epsilon and weights: an error, or a right finite result. `PROPTEST_CASES` says how many.

use std::sync::atomic::AtomicBool;

use gwrsa_core::{
    Dissimilarity, Init, InitKind, InvalidInput, Mat, Precision, Problem, Settings, Solution, Start, Status,
    choice_probabilities, marginal_error, round_to_marginals, solve, transport,
};
use proptest::prelude::*;

/// As many cases as the environment asks for, otherwise few enough for every run of the tests.
fn cases() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(asked.unwrap_or(60)) }
}

/// Dissimilarities of `kind`: points of three dimensions, of one, in pairs, none, all equal, or any matrix.
fn square(kind: usize, n: usize, numbers: &[f64], scale: f64) -> Mat<f64> {
    let at = |i: usize, k: usize| numbers[(3 * i + k) % numbers.len()];
    Mat::from_fn(n, n, |i, j| {
        let (a, b) = if kind == 2 { (i / 2, j / 2) } else { (i, j) };
        let dims = if kind == 1 { 1 } else { 3 };
        scale
            * match kind {
                3 => 0.0,
                4 => f64::from(u8::from(i != j)),
                5 => numbers[(7 * i + j) % numbers.len()],
                _ => (0..dims).map(|k| (at(a, k) - at(b, k)).powi(2)).sum(),
            }
    })
}

fn weights(n: usize, numbers: &[f64], zeros: usize, power: i32) -> Vec<f64> {
    let raw: Vec<f64> =
        (0..n).map(|i| if i + 1 < n && i < zeros { 0.0 } else { (0.1 + numbers[i].abs()).powi(power) }).collect();
    let sum: f64 = raw.iter().sum();
    raw.iter().map(|w| w / sum).collect()
}

fn numbers() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-1.0..1.0f64, 24)
}

fn run(problem: &Problem, kind: usize, epsilon: f64, double: bool) -> Result<Solution, InvalidInput> {
    let precision = if double { Precision::Float64 } else { Precision::Mixed };
    let settings = Settings { precision, tol: 1e-6, max_outer: 20, max_sinkhorn: 60, ..Settings::default() };
    let start = Start { init: Init::Named(InitKind::ALL[kind], 1, 0), epsilons: vec![epsilon] };
    solve(problem, &start, &settings, false, &AtomicBool::new(false))
}

fn largest(c: &Mat<f64>) -> f64 {
    c.data.iter().fold(0.0, |m, x| x.abs().max(m))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_problem_of_any_scale_has_a_right_solution(
        (n, m) in (1usize..8, 1usize..8), (a, b) in (0usize..6, 0usize..6), scales in (-12i32..13, -12i32..13),
        x in numbers(), y in numbers(), zeros in 0usize..3, ratio in -3i32..4, double: bool, kind in 0usize..6,
    ) {
        let (c1, c2) = (square(a, n, &x, 10f64.powi(scales.0)), square(b, m, &y, 10f64.powi(scales.1)));
        let (p, q) = (weights(n, &x, zeros, 1), weights(m, &y, zeros, 2));
        let unit = Some(largest(&c1) * largest(&c2)).filter(|u| *u > 0.0).unwrap_or(1.0);
        let problem = Problem::new(&Dissimilarity::Dense(c1.clone()), &Dissimilarity::Dense(c2.clone()), &p, &q)?;
        let end = run(&problem, kind, unit * 10f64.powi(ratio), double)?;
        prop_assert!(end.status != Status::NumericalError);
        let plan = end.plan(&problem);
        prop_assert!(plan.data.iter().all(|t| t.is_finite() && *t >= 0.0));
        prop_assert!(marginal_error(&plan, &p, &q) < 1e-12);
        let size = largest(&c1).max(largest(&c2)).powi(2);
        prop_assert!(end.gw_loss >= 0.0);
        prop_assert!((end.gw_loss - problem.gw_loss(&plan)?).abs() <= 1e-10 * size);
        prop_assert!(end.objective.is_finite());
        let critical = problem.critical_epsilon(&AtomicBool::new(false));
        prop_assert!(critical.is_finite() && critical >= 0.0);
    }

    #[test]
    fn an_extreme_epsilon_ends_in_a_plan_or_in_a_status(
        (n, m) in (1usize..8, 1usize..8), (a, b) in (0usize..6, 0usize..6), x in numbers(), y in numbers(),
        exponent in -320i32..309, power in 1i32..60, double: bool, kind in 0usize..6,
    ) {
        let (c1, c2) = (square(a, n, &x, 1.0), square(b, m, &y, 1.0));
        let (p, q) = (weights(n, &x, 1, power), weights(m, &y, 0, 1));
        let problem = Problem::new(&Dissimilarity::Dense(c1), &Dissimilarity::Dense(c2), &p, &q)?;
        match run(&problem, kind, 10f64.powi(exponent), double) {
            Ok(end) if end.status == Status::NumericalError => prop_assert!(end.gw_loss.is_infinite()),
            Ok(end) => {
                let plan = end.plan(&problem);
                prop_assert!(plan.data.iter().all(|t| t.is_finite() && *t >= 0.0));
                prop_assert!(marginal_error(&plan, &p, &q) < 1e-12);
                prop_assert!(end.gw_loss.is_finite() && end.objective.is_finite());
                prop_assert!(end.top(&problem, 1).data.iter().all(|t| (*t as usize) < m));
            }
            Err(InvalidInput::NotPositive { name, .. }) => prop_assert_eq!(name, "epsilon"),
            Err(InvalidInput::TooLight { name, value, least, .. }) => {
                prop_assert!(!double && name == "p" && value < least && least == 1e-32);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn what_is_not_finite_is_refused_where_it_stands(
        n in 1usize..8, x in numbers(), row in 0usize..8, col in 0usize..8, what in 0usize..3, side: bool,
    ) {
        let (row, col) = (row % n, col % n);
        let mut c = square(5, n, &x, 1.0);
        c.row_mut(row)[col] = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][what];
        let (bad, good) = (Dissimilarity::Dense(c), Dissimilarity::Dense(square(0, n, &x, 1.0)));
        let w = weights(n, &x, 0, 1);
        let (name, made) =
            if side { ("c1", Problem::new(&bad, &good, &w, &w)) } else { ("c2", Problem::new(&good, &bad, &w, &w)) };
        match made.err() {
            Some(InvalidInput::NotFinite { name: of, row: i, col: j, .. }) => prop_assert_eq!((of, i, j), (name, row, col)),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn a_projection_has_its_marginals(
        (n, m) in (1usize..8, 1usize..8), x in numbers(), y in numbers(), scale in -12i32..13, exponent in -30i32..30, zeros in 0usize..3,
        power in 1i32..60, double: bool,
    ) {
        let cost = Mat::from_fn(n, m, |i, j| 10f64.powi(scale) * x[(5 * i + j) % x.len()]);
        let (p, q) = (weights(n, &x, zeros, power), weights(m, &y, zeros, 1));
        let precision = if double { Precision::Float64 } else { Precision::Mixed };
        let epsilon = 10f64.powi(scale + exponent);
        let found = transport(&cost, &p, &q, epsilon, 1e-6, 100, precision, None, &AtomicBool::new(false))?;
        prop_assert!(found.plan.data.iter().all(|t| t.is_finite() && *t >= 0.0));
        prop_assert!(marginal_error(&found.plan, &p, &q) < 1e-12);
        let right = |f: f64, w: f64| if w > 0.0 { !f.is_nan() } else { f == f64::NEG_INFINITY };
        prop_assert!(found.f.iter().zip(&p).all(|(f, w)| right(*f, *w)));
    }

    #[test]
    fn rounding_makes_a_plan_of_anything(
        (n, m) in (1usize..8, 1usize..8), x in numbers(), y in numbers(), zeros in 0usize..3, scale in -300i32..300, empty: bool,
    ) {
        let mut plan =
            Mat::from_fn(n, m, |i, j| if empty { 0.0 } else { 10f64.powi(scale) * x[(5 * i + j) % x.len()].abs() });
        let (p, q) = (weights(n, &x, zeros, 1), weights(m, &y, zeros, 1));
        round_to_marginals(&mut plan, &p, &q);
        prop_assert!(plan.data.iter().all(|t| t.is_finite() && *t >= 0.0));
        prop_assert!(marginal_error(&plan, &p, &q) < 1e-12);
    }

    #[test]
    fn choices_are_probabilities_at_any_scale(n in 3usize..12, x in numbers(), scale in -300i32..300, kind in 0usize..6) {
        let s = square(if kind == 5 { 0 } else { kind }, n, &x, -(10f64.powi(scale)));
        let found = choice_probabilities(&s, &AtomicBool::new(false)).expect("nobody cancels");
        prop_assert!(found.data.iter().all(|t| (0.0..=1.0).contains(t)));
        let mean: f64 = (0..n).map(|i| (0..i).map(|j| found.row(i)[j]).sum::<f64>()).sum::<f64>() * 2.0 / (n * (n - 1)) as f64;
        prop_assert!((mean - 1.0 / 3.0).abs() < 1e-12);
    }
}
