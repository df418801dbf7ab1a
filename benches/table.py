"""What is measured: each row one JSON file."""

from dataclasses import dataclass, field
from pathlib import Path

import cases


@dataclass(frozen=True)
class Shard:
    """One measurement."""

    name: str
    function: str
    """In `shards`."""
    arguments: dict
    seconds: int
    """That it takes on two quiet cores of the machine of docs/benchmarks.md."""
    quick: dict = field(default_factory=dict)
    """Arguments of a quick run that differ."""

    @property
    def limit(self):
        """Seconds after which it is given up: machines differ, and none is always quiet."""
        return 120 + 3 * self.seconds


HERE = Path(__file__).parent
SMALL = {"n": 90}
CUT = SMALL | {"limit": 0.2}
SIZES = (1_250, 2_500, 5_000, 10_000, 20_000, 40_000)

# `limit`: seconds of POT after which it is extrapolated. R1 and R2 at 5e-3 are waited for: they are what the others are judged by.
SHARDS = (
    Shard("r1_solves_5e-3", "solves", {"name": "R1", "epsilon": 5e-3}, 40, SMALL),
    Shard("r1_solves_1e-3", "solves", {"name": "R1", "epsilon": 1e-3, "scaling": False}, 42, SMALL),
    Shard("r2_solves_5e-3", "solves", {"name": "R2", "epsilon": 5e-3, "scaling": False}, 10, SMALL),
    Shard("r1_limit", "limit", {"name": "R1", "epsilon": 5e-3}, 13, SMALL | {"repeats": 1}),
    Shard("r3_limit", "limit", {"name": "R3", "epsilon": 2.0}, 41, SMALL | {"repeats": 1}),
    Shard("r1_pot_5e-3", "against_pot", {"name": "R1", "epsilon": 5e-3, "limit": 150}, 95, CUT),
    Shard("r1_pot_1e-3", "against_pot", {"name": "R1", "epsilon": 1e-3, "limit": 60}, 115, CUT),
    Shard("r2_pot_5e-3", "against_pot", {"name": "R2", "epsilon": 5e-3, "limit": 60}, 40, SMALL),
    Shard(
        "r6_pot",
        "against_pot",
        {"name": "R6", "epsilon": 0.05, "symmetric": False, "limit": 30},
        603,
        {"n": 60, "limit": 0.2},
    ),
    Shard("r1_ott", "against_ott", {"name": "R1", "epsilon": 5e-3}, 41, SMALL | {"low_rank_iterations": 100}),
    Shard("r1_torch", "against_torch", {"name": "R1", "epsilon": 5e-3}, 58, SMALL),
    Shard("r3_published", "published", {"limit": 60}, 64, CUT),
    # Its default of 1,000 iterations leaves the marginals 7e-3 off; this many reach what gwrsa's inner loop does.
    Shard("r3_pot", "against_pot", {"name": "R3", "epsilon": 2.0, "limit": 60, "inner": [20_000, 1e-7]}, 155, CUT),
    Shard("r4_overhead", "overhead", {}, 23, {"n": 40, "n_starts": 20, "limit": 0.2}),
    *(
        Shard(f"r5_{n}", "size", {"n": n}, seconds, {"n": n // 25, "repeats": 1})
        for n, seconds in zip(SIZES, (6, 6, 8, 21, 68, 284), strict=True)
    ),
    Shard("multistart", "multistart", {}, 412, {"n": 60, "n_starts": 6, "n_pot": 2, "limit": 0.1}),
    Shard("loss_against_time", "loss_against_time", {"epsilon": 1e-3}, 52, {"n": 60, "n_starts": 3}),
    Shard("planted", "planted", {}, 7, {"n": 30, "repeats": 1}),
    Shard("polished", "polished", {}, 34, SMALL),
)
# Of the searches, by epsilon as in `cases.SEARCH_EPSILONS`; with 10 seeds.
SEARCH_SECONDS = {
    "spose66 vs CLIP, histogram-matched": (61, 82, 103),
    "spose66 vs CLIP, raw": (50, 62, 83),
    "group1 vs group2, raw": (46, 63, 88),
    "male vs female, raw": (47, 55, 70),
}


def search_name(pair, epsilon):
    """Of the measurement of a search."""
    return f"search_{''.join(c if c.isalnum() else '_' for c in pair)}_{epsilon:g}"


def all_shards(seeds=10, *, quick=False):
    """Also the searches, a file for each pair and epsilon; `quick`: with the small arguments."""
    found = list(SHARDS)
    if (HERE / "planted.py").exists():
        found.append(Shard("planted_limits", "planted_limits", {}, 26, {"repeats": 1, "noise": [0.0, 0.3]}))
    for name in cases.LOWEST_KNOWN:
        for level, epsilon in enumerate(cases.SEARCH_EPSILONS):
            seconds = round(SEARCH_SECONDS[name][level] * seeds / 10)
            arguments = {"name": name, "level": level, "seeds": seeds}
            found.append(Shard(search_name(name, epsilon), "search", arguments, seconds, {"n": 60, "seeds": 1}))
    if not quick:
        return found
    return [Shard(s.name, s.function, s.arguments | s.quick, 2) for s in found]
