"""Seconds and loss to the same fixed point as POT, from the same start: 1,854 objects, human against CLIP, histogram-matched.

python benches/vs_pot.py [--fresh]      (part of `make bench`; about two minutes)

POT's run is ended when the relative change of the plan in an outer step is 1e-5. gwrsa ends by its own rule, when that of the plan's
summary (its product with the factor of the side of lower rank) and the error of the marginals are: not the same rule, so that the losses
are printed beside the times, which docs/benchmarks.md compares. The making of gwrsa's problem is printed, and in no
ratio here. Both run on two threads, one after the other.
"""

import subprocess
import sys
from pathlib import Path

from report import load

HERE = Path(__file__).parent


def main():
    """Measure what is missing, print."""
    command = [
        sys.executable,
        str(HERE / "run.py"),
        "--only",
        "r1_solves_5e-3",
        "r1_pot_5e-3",
        "--quiet",
        *sys.argv[1:],
    ]
    subprocess.run(command, check=True)  # noqa: S603
    got = load()
    pot, ours = got["r1_pot_5e-3"]["result"]["pot"], got["r1_solves_5e-3"]["result"]
    print(f"{'':<26}{'s a start':>10}{'x POT':>8}  GW loss")
    print(f"{'POT, float64':<26}{pot['seconds']:>10.2f}{1:>8}  {pot['loss']:.9f}")
    for key, label in (("one", "one"), ("eight", "eight at once"), ("float64", "one, float64")):
        seconds, loss = ours[key]["seconds_a_start"], ours[key]["losses"][0]
        print(f"{'gwrsa, ' + label:<26}{seconds:>10.3f}{pot['seconds'] / seconds:>8.0f}  {loss:.9f}")
    print(f"{'gwrsa, building, once':<26}{ours['building']:>10.3f}")


if __name__ == "__main__":
    main()
