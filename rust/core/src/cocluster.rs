//! A start from groups: k-means on either side, the groups coupled by the problem of their means, its plan spread over their members.

use std::sync::atomic::{AtomicBool, Ordering};

use rand_chacha::ChaCha8Rng;

use crate::cost::{Centred, Dissimilarity};
use crate::draw::unit;
use crate::gw::{Precision, Settings, Start, Status, solve};
use crate::init::{Init, InitKind};
use crate::mat::Mat;
use crate::problem::Problem;

/// Groups a side.
const GROUPS: usize = 12;
/// Axes of classical scaling that k-means sees.
const AXES: usize = 12;
/// Runs of k-means, of which the tightest is taken, and the most passes of each.
const RUNS: usize = 10;
const PASSES: usize = 50;
/// Random starts of the coarse problem, and the epsilons they go through, in units of its critical epsilon.
const COARSE_STARTS: u64 = 32;
const COARSE_EPSILONS: [f64; 3] = [0.2, 0.1, 0.05];

/// One side in groups.
struct Grouped {
    /// Group of each object.
    of: Vec<usize>,
    /// Weight of each group.
    weights: Vec<f64>,
    /// Weighted mean dissimilarity between groups, and within, in the side's unit.
    means: Mat<f64>,
}

impl Problem {
    /// Rows of `T_ij = p_i q_j G_ab / (P_a Q_b)`, a and b the groups of i and j, P and Q their weights, G the best coarse plan found. In
    /// the inner orientation; the uniform plan when a side has no structure.
    pub(crate) fn coclusters<'a>(
        &'a self,
        mut rng: ChaCha8Rng,
        cancel: &AtomicBool,
    ) -> impl Fn(usize, &mut [f64]) + Sync + use<'a> {
        let source = grouped(&self.source, &self.p, &mut rng, cancel);
        let target = grouped(&self.target, &self.q, &mut rng, cancel);
        let coupled = coarse_plan(&source, &target, &mut rng, cancel);
        move |start, out| {
            for (i, row) in (start..).zip(out.chunks_exact_mut(self.q.len())) {
                let a = source.of[i];
                for ((x, q), &b) in row.iter_mut().zip(&self.q).zip(&target.of) {
                    let share = self.p[i] * q;
                    // A group without weight has no object with one.
                    *x = if share > 0.0 {
                        share * coupled.row(a)[b] / (source.weights[a] * target.weights[b])
                    } else {
                        0.0
                    };
                }
            }
        }
    }
}

fn coarse_plan(source: &Grouped, target: &Grouped, rng: &mut ChaCha8Rng, cancel: &AtomicBool) -> Mat<f64> {
    let uniform =
        || Mat::from_fn(source.weights.len(), target.weights.len(), |a, b| source.weights[a] * target.weights[b]);
    let dense = |side: &Grouped| Dissimilarity::Dense(side.means.clone());
    let Ok(coarse) = Problem::new(&dense(source), &dense(target), &source.weights, &target.weights) else {
        return uniform();
    };
    let critical = coarse.critical_epsilon(cancel);
    let settings = Settings { precision: Precision::Float64, max_outer: 200, ..Settings::default() };
    let seed = (unit(rng) * 2f64.powi(53)) as u64;
    let ends = (0..COARSE_STARTS).filter_map(|number| {
        let init = Init::Named(InitKind::Permutation, seed, number);
        let epsilons = COARSE_EPSILONS.map(|share| share * critical).to_vec();
        // Fails only when there is no critical epsilon.
        solve(&coarse, &Start { init, epsilons }, &settings, false, cancel).ok()
    });
    ends.filter(|end| end.status != Status::NumericalError)
        .min_by(|a, b| a.gw_loss.total_cmp(&b.gw_loss))
        .map_or_else(uniform, |best| best.plan(&coarse))
}

fn grouped(side: &Centred, p: &[f64], rng: &mut ChaCha8Rng, cancel: &AtomicBool) -> Grouped {
    let (values, axes) = side.axes(p, AXES, true, cancel);
    let points = Mat::from_fn(axes.rows, axes.cols, |i, k| values[k].max(0.0).sqrt() * axes.row(i)[k]);
    let of = (0..RUNS)
        .map(|_| k_means(&points, p, GROUPS, rng, cancel))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(of, _)| of)
        .expect("at least one run");
    let mut weights = vec![0.0; GROUPS];
    for (&group, w) in of.iter().zip(p) {
        weights[group] += w;
    }
    // Weighted membership, each column summing to 1; the means of C = S + a 1' + 1 a' + mean follow from S and a.
    let members = Mat::from_fn(p.len(), GROUPS, |i, g| if of[i] == g && p[i] > 0.0 { p[i] / weights[g] } else { 0.0 });
    let image = side.apply(&members, true);
    let mut means = Mat::from_fn(GROUPS, GROUPS, |_, _| side.mean);
    let mut a = [0.0; GROUPS];
    for (i, &g) in of.iter().enumerate() {
        let share = members.row(i)[g];
        a[g] += share * side.a[i];
        for (x, y) in means.row_mut(g).iter_mut().zip(image.row(i)) {
            *x += share * y;
        }
    }
    let means = Mat::from_fn(GROUPS, GROUPS, |g, h| means.row(g)[h] + a[g] + a[h]);
    Grouped { of, weights, means }
}

/// Group of each point, and the weighted sum of squared distances to the groups' centres: Lloyd's passes from k-means++ seeds
/// (Arthur & Vassilvitskii 2007). A group can stay empty where points coincide.
fn k_means(points: &Mat<f64>, w: &[f64], k: usize, rng: &mut ChaCha8Rng, cancel: &AtomicBool) -> (Vec<usize>, f64) {
    let squared =
        |i: usize, centre: &[f64]| -> f64 { points.row(i).iter().zip(centre).map(|(x, c)| (x - c) * (x - c)).sum() };
    let mut centres = Mat::<f64>::zeros(k, points.cols);
    let mut nearest = vec![1.0; w.len()];
    for c in 0..k {
        let mass: f64 = nearest.iter().zip(w).map(|(d, w)| d * w).sum();
        let mut left = unit(rng) * mass;
        let drawn = nearest.iter().zip(w).position(|(d, w)| {
            left -= d * w;
            left <= 0.0
        });
        let seed = points.row(drawn.unwrap_or(0)).to_vec();
        centres.row_mut(c).copy_from_slice(&seed);
        for (i, d) in nearest.iter_mut().enumerate() {
            let own = squared(i, &seed);
            *d = if c == 0 { own } else { d.min(own) };
        }
    }
    let mut of = vec![usize::MAX; w.len()];
    let mut spread = f64::INFINITY;
    for _ in 0..PASSES {
        let mut moved = false;
        spread = 0.0;
        for (i, group) in of.iter_mut().enumerate() {
            let (best, distance) = (0..k)
                .map(|c| (c, squared(i, centres.row(c))))
                .min_by(|a, b| a.1.total_cmp(&b.1))
                .expect("at least one group");
            moved |= *group != best;
            *group = best;
            spread += w[i] * distance;
        }
        if !moved || cancel.load(Ordering::Relaxed) {
            break;
        }
        let (mut sums, mut mass) = (Mat::<f64>::zeros(k, points.cols), vec![0.0; k]);
        for (i, &g) in of.iter().enumerate() {
            mass[g] += w[i];
            for (s, x) in sums.row_mut(g).iter_mut().zip(points.row(i)) {
                *s += w[i] * x;
            }
        }
        for (g, &mass) in mass.iter().enumerate() {
            if mass > 0.0 {
                for (c, s) in centres.row_mut(g).iter_mut().zip(sums.row(g)) {
                    *c = s / mass;
                }
            }
        }
    }
    (of, spread)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power::times_two_to;
    use crate::rows::NEVER;
    use rand::SeedableRng;

    /// Points around well-separated centres, `each` in a group, and the group of each.
    fn clumps(groups: usize, each: usize, turn: f64) -> (Mat<f64>, Vec<usize>) {
        let x = Mat::from_fn(groups * each, 2, |i, k| {
            let (g, r) = ((i % groups) as f64, (i / groups) as f64);
            let (u, v) = (10.0 * g + 0.3 * g * g + 0.1 * (r * 1.7).sin(), 3.0 * g * g + 0.1 * (r * 2.3).cos());
            if k == 0 { turn.cos() * u - turn.sin() * v } else { turn.sin() * u + turn.cos() * v }
        });
        (x, (0..groups * each).map(|i| i % groups).collect())
    }

    fn distances(x: &Mat<f64>) -> Dissimilarity {
        Dissimilarity::Dense(Mat::from_fn(x.rows, x.rows, |i, j| {
            x.row(i).iter().zip(x.row(j)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
        }))
    }

    #[test]
    fn k_means_finds_clumps() {
        let (x, truth) = clumps(5, 9, 0.0);
        let weights: Vec<f64> = (0..45).map(|i| if i == 7 { 0.0 } else { 1.0 / 44.0 }).collect();
        let best = (0..RUNS as u64)
            .map(|seed| k_means(&x, &weights, 5, &mut ChaCha8Rng::seed_from_u64(seed), &NEVER))
            .min_by(|a, b| a.1.total_cmp(&b.1))
            .expect("runs");
        for i in 0..45 {
            for j in 0..45 {
                assert_eq!(best.0[i] == best.0[j], truth[i] == truth[j], "{i} {j}");
            }
        }
        // By definition: squared distance of each point to its group's weighted mean.
        let mut spread = 0.0;
        for g in 0..5 {
            let mine: Vec<usize> = (0..45).filter(|&i| truth[i] == g).collect();
            let mass: f64 = mine.iter().map(|&i| weights[i]).sum();
            for k in 0..2 {
                let mean = mine.iter().map(|&i| weights[i] * x.row(i)[k]).sum::<f64>() / mass;
                spread += mine.iter().map(|&i| weights[i] * (x.row(i)[k] - mean).powi(2)).sum::<f64>();
            }
        }
        assert!((best.1 - spread).abs() < 1e-12 * (1.0 + spread), "{} {spread}", best.1);
    }

    #[test]
    fn means_between_groups_are_those_of_the_dissimilarities() {
        let (x, _) = clumps(GROUPS, 4, 0.3);
        let p: Vec<f64> = (0..48).map(|i| if i == 5 { 0.0 } else { (1.0 + f64::from(i % 3)) / 94.0 }).collect();
        let total: f64 = p.iter().sum();
        let p: Vec<f64> = p.iter().map(|w| w / total).collect();
        let Dissimilarity::Dense(c) = distances(&x) else { unreachable!() };
        let centred = Dissimilarity::Dense(c.clone()).centre(&p, &AtomicBool::new(false));
        let side = grouped(&centred, &p, &mut ChaCha8Rng::seed_from_u64(1), &NEVER);
        for g in 0..GROUPS {
            for h in 0..GROUPS {
                let (mut sum, mut mass) = (0.0, 0.0);
                for i in (0..48).filter(|&i| side.of[i] == g) {
                    for j in (0..48).filter(|&j| side.of[j] == h) {
                        sum += p[i] * p[j] * c.row(i)[j];
                        mass += p[i] * p[j];
                    }
                }
                let mean = times_two_to(side.means.row(g)[h], centred.power);
                assert!((mean * mass - sum).abs() < 1e-10, "{g} {h}");
            }
        }
    }

    #[test]
    fn like_groups_are_coupled() {
        let ((x, truth), (y, _)) = (clumps(GROUPS, 5, 0.0), clumps(GROUPS, 5, 1.1));
        let w = vec![1.0 / 60.0; 60];
        let problem = Problem::new(&distances(&x), &distances(&y), &w, &w).expect("a valid problem");
        let plan = problem.initial_plan(&Init::Named(InitKind::Cocluster, 0, 0)).expect("a named start");
        let within: f64 =
            (0..60).map(|i| (0..60).filter(|&j| truth[i] == truth[j]).map(|j| plan.row(i)[j]).sum::<f64>()).sum();
        // By chance 1 / 12; close groups still share at the coarse epsilon.
        assert!(within > 0.5, "{within}");
        assert!(crate::plan::marginal_error(&plan, &w, &w) < 1e-9);
    }
}
