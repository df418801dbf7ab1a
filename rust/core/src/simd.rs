//! Which instructions the kernels and products use: the widest that the processor has, or those that `GWRSA_SIMD` names.

use std::any::TypeId;
use std::sync::OnceLock;

use crate::real::Real;

/// A set of instructions that everything here is compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Simd {
    /// AVX-512 (F, VL, DQ, BW).
    Avx512,
    /// AVX2 with FMA.
    Avx2,
    /// What every 64-bit ARM processor has.
    Neon,
    /// No more than the target promises, each product and sum rounded on its own.
    Plain,
}

/// The environment variable that names a set of instructions.
pub const VARIABLE: &str = "GWRSA_SIMD";

impl Simd {
    /// As `GWRSA_SIMD` names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Plain => "plain",
        }
    }

    /// What this processor has, the widest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let narrow = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let wide = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512vl");
            found.extend((narrow && wide).then_some(Self::Avx512));
            found.extend(narrow.then_some(Self::Avx2));
        }
        found.extend(cfg!(target_arch = "aarch64").then_some(Self::Neon));
        found.push(Self::Plain);
        found
    }

    /// Those that were asked for; empty or nothing is the widest.
    fn asked(name: Option<&str>) -> Result<Self, String> {
        let all = Self::available();
        match name {
            None | Some("") => Ok(all[0]),
            Some(name) => all.iter().copied().find(|simd| simd.name() == name).ok_or_else(|| {
                let names: Vec<_> = all.iter().map(|simd| format!("'{}'", simd.name())).collect();
                format!("{VARIABLE} must be one of {} on this processor, got '{name}'", names.join(", "))
            }),
        }
    }
}

/// What this process uses; the environment is read once.
///
/// # Errors
/// If `GWRSA_SIMD` is set to what this processor has not got. The widest is used then.
pub fn simd() -> Result<Simd, &'static str> {
    static CHOSEN: OnceLock<Result<Simd, String>> = OnceLock::new();
    #[cfg(test)]
    if let Some(forced) = tests::FORCED.get() {
        return Ok(forced);
    }
    let chosen = CHOSEN.get_or_init(|| {
        let named = std::env::var_os(VARIABLE);
        Simd::asked(named.map(|name| name.to_string_lossy().into_owned()).as_deref())
    });
    chosen.as_ref().copied().map_err(String::as_str)
}

/// [`simd`], whatever was asked for.
#[inline]
pub(crate) fn chosen() -> Simd {
    simd().unwrap_or_else(|_| Simd::available()[0])
}

/// A product as the gemm crate takes it.
pub(crate) type Gemm<R> = unsafe fn(
    usize,
    usize,
    usize,
    *mut R,
    isize,
    isize,
    bool,
    *const R,
    isize,
    isize,
    *const R,
    isize,
    isize,
    R,
    R,
    bool,
    bool,
    bool,
    gemm::Parallelism,
);

/// The product of the gemm crate for the chosen instructions, where these are not AVX-512, whose products are our own. The crate takes the
/// processor's widest by itself; narrower ones are put together of its parts.
pub(crate) fn gemm_fn<R: Real>() -> Gemm<R> {
    let narrow: Option<(Gemm<f32>, Gemm<f64>)> = match chosen() {
        Simd::Plain => Some((plain::f32, plain::f64)),
        #[cfg(target_arch = "x86_64")]
        Simd::Avx2 => Some((avx2::f32, avx2::f64)),
        _ => None,
    };
    match narrow {
        None => gemm::gemm::<R>,
        // SAFETY: R is the type of the one that is taken.
        Some((single, _)) if TypeId::of::<R>() == TypeId::of::<f32>() => unsafe {
            std::mem::transmute::<Gemm<f32>, Gemm<R>>(single)
        },
        // SAFETY: `Real` is f32 or f64.
        Some((_, double)) => unsafe { std::mem::transmute::<Gemm<f64>, Gemm<R>>(double) },
    }
}

macro_rules! products {
    ($name:ident, $module:ident, $simd:ident, $($real:ident in $parts:ident by $lanes:expr),+) => {
        mod $name {
            use gemm_common::gemm::gemm_basic_generic;
            use gemm_common::simd::{MixedSimd, $simd};

            $(#[allow(clippy::too_many_arguments)]
            pub unsafe fn $real(
                m: usize, n: usize, k: usize,
                dst: *mut $real, dst_cs: isize, dst_rs: isize, add: bool,
                lhs: *const $real, lhs_cs: isize, lhs_rs: isize,
                rhs: *const $real, rhs_cs: isize, rhs_rs: isize,
                alpha: $real, beta: $real,
                conj_dst: bool, conj_lhs: bool, conj_rhs: bool,
                parallelism: gemm::Parallelism,
            ) {
                use $parts::microkernel::$module::$real::{H_M, H_N, H_UKR, MR_DIV_N, NR, UKR};
                let simd = <$simd as MixedSimd<$real, $real, $real, $real>>::try_new().expect("the processor has it");
                // SAFETY: the caller's promise.
                unsafe {
                    gemm_basic_generic::<_, $real, { $lanes }, { MR_DIV_N * $lanes }, NR, MR_DIV_N, H_M, H_N>(
                        simd, m, n, k, dst, dst_cs, dst_rs, add, lhs, lhs_cs, lhs_rs, rhs, rhs_cs, rhs_rs, alpha, beta,
                        conj_dst, conj_lhs, conj_rhs, |a, b, c| a * b + c, &UKR, &H_UKR, false, parallelism,
                    );
                }
            })+
        }
    };
}

products!(plain, scalar, Scalar, f32 in gemm_f32 by 1, f64 in gemm_f64 by 1);
#[cfg(target_arch = "x86_64")]
products!(avx2, fma, V3, f32 in gemm_f32 by 8, f64 in gemm_f64 by 4);

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Instant;

    use super::*;
    use crate::kernels;
    use crate::mat::{Mat, product};
    use crate::sweep::sweep_rows;

    thread_local! {
        pub static FORCED: Cell<Option<Simd>> = const { Cell::new(None) };
    }

    fn numbers<R: Real>(n: usize, seed: u64) -> Vec<R> {
        (0..n)
            .map(|i| R::from_f64(((i as u64 * 2_654_435_761 + seed * 40_503) % 1009) as f64 / 1009.0 + 0.01))
            .collect()
    }

    /// All that the kernels and products of this thread compute under one set of instructions.
    fn outcome<R: Real>(simd: Simd) -> Vec<f64> {
        FORCED.set(Some(simd));
        let mut out = Vec::new();
        for m in [1usize, 7, 16, 33, 100] {
            let n = 13;
            let (x, y, p): (Vec<R>, Vec<R>, Vec<R>) = (numbers(m, 1), numbers(m, 2), numbers(n, 3));
            let kernel: Vec<R> = numbers(n * m, 4);
            let mut row = x.clone();
            kernels::exp_shift(&mut row, R::from_f64(0.3), &y);
            out.extend(row.iter().map(|x| x.to_f64()));
            for omega in [1.0, 1.6] {
                let (mut u, mut acc) = (numbers::<R>(n, 5), vec![R::ZERO; m]);
                let error = sweep_rows(&kernel, &x, &p, &mut u, &mut acc, R::from_f64(omega));
                out.extend(u.iter().chain(&acc).chain([&error]).map(|x| x.to_f64()));
                let mut v = y.clone();
                let (q, sums) = (numbers(m, 6), numbers(m, 7));
                out.push(kernels::scale_columns(&mut v, &q, &sums, omega));
                out.extend(v.iter().map(|x| x.to_f64()));
            }
            let (distance, norm) = kernels::distance_and_norm(&x, &y);
            out.extend([kernels::dot(&x, &y).to_f64(), kernels::entropy(&x), distance, norm]);
            out.push(kernels::max_shifted(&x, &y).to_f64());
        }
        for (m, n, k) in [(1, 9, 40), (70, 1, 33), (66, 90, 51), (5, 5, 1), (33, 65, 300)] {
            let (a, b) = (Mat::from_vec(numbers::<R>(m * k, 8), m, k), Mat::from_vec(numbers(n * k, 9), n, k));
            let mut c = Mat::from_vec(numbers(m * n, 10), m, n);
            product(&mut c, a.view(), b.view().t(), 0.5, true, false);
            out.extend(c.data.iter().map(|x| x.to_f64()));
        }
        FORCED.set(None);
        out
    }

    fn agree<R: Real>(tolerance: f64) {
        let plain = outcome::<R>(Simd::Plain);
        for simd in Simd::available() {
            for (i, (x, want)) in outcome::<R>(simd).into_iter().zip(&plain).enumerate() {
                assert!((x - want).abs() <= tolerance * want.abs().max(1e-3), "{}: {x} for {want} at {i}", simd.name());
            }
        }
    }

    #[test]
    fn every_set_of_instructions_gives_the_same_numbers() {
        agree::<f32>(1e-5);
        agree::<f64>(1e-13);
    }

    #[test]
    fn sets_of_instructions_are_not_one_and_the_same() {
        let all = Simd::available();
        let outcomes: Vec<_> = all.iter().map(|&simd| outcome::<f32>(simd)).collect();
        // Rounding differs: what is chosen is what runs. Between AVX2 and AVX-512 it need not.
        assert!(all.len() == 1 || outcomes[0] != outcomes[all.len() - 1]);
    }

    /// Seconds of the fastest of a few sweeps, and of as many exponentials, under one set of instructions.
    fn seconds<R: Real>(simd: Simd) -> [f64; 2] {
        FORCED.set(Some(simd));
        let (n, m) = (32, 2000);
        let (mut kernel, v, p): (Vec<R>, Vec<R>, Vec<R>) = (numbers(n * m, 1), numbers(m, 2), numbers(n, 3));
        let (mut u, mut acc) = (numbers::<R>(n, 4), vec![R::ZERO; m]);
        let mut least = [f64::INFINITY; 2];
        for _ in 0..10 {
            let clock = Instant::now();
            sweep_rows(&kernel, &v, &p, &mut u, &mut acc, R::ONE);
            least[0] = clock.elapsed().as_secs_f64().min(least[0]);
            let clock = Instant::now();
            kernel.chunks_exact_mut(m).for_each(|row| kernels::exp_shift(row, R::from_f64(-1.0), &v));
            least[1] = clock.elapsed().as_secs_f64().min(least[1]);
        }
        FORCED.set(None);
        least
    }

    /// A fused product that is not compiled into the kernel is a call into the C library, ten times as slow.
    #[test]
    fn no_set_of_instructions_is_much_slower_than_the_plain_one() {
        for seconds in [seconds::<f32>, seconds::<f64>] {
            let plain = seconds(Simd::Plain);
            for simd in Simd::available() {
                for (least, plain) in seconds(simd).into_iter().zip(plain) {
                    assert!(least < 4.0 * plain, "{}: {least} s, plain {plain} s", simd.name());
                }
            }
        }
    }

    #[test]
    fn what_the_processor_has_not_got_is_named() {
        let all = Simd::available();
        assert_eq!((Simd::asked(None), Simd::asked(Some(""))), (Ok(all[0]), Ok(all[0])));
        for simd in [Simd::Avx512, Simd::Avx2, Simd::Neon, Simd::Plain] {
            match Simd::asked(Some(simd.name())) {
                Ok(found) => assert!(found == simd && all.contains(&simd)),
                Err(message) => assert!(!all.contains(&simd) && message.contains(simd.name())),
            }
        }
        assert!(Simd::asked(Some("sse")).is_err_and(|message| message.starts_with("GWRSA_SIMD must be one of '")));
    }
}
