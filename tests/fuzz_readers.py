"""Coverage-guided fuzzing of every reader of files (needs atheris): an error that names the file, or a right value.

make fuzz-readers                                       a minute a format (SECONDS=600: ten)
.venv/bin/python tests/fuzz_readers.py npy --seconds 5  one format
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

KINDS = ("npy", "npz", "csv", "tsv", "txt", "mat", "h5", "parquet", "toml", "json")
# What is watched for new branches: the code that reads, not what computes.
_WATCHED = [
    *(f"gwrsa.{name}" for name in ("bounds", "bounds_h5", "bounds_mat", "bounds_parquet", "embedding", "loaders")),
    *(f"gwrsa.{name}" for name in ("loaders_files", "rdm", "rsatoolbox_files", "shards", "store")),
    *(f"gwrsa.{name}" for name in ("study_keys", "study_settings", "triplets")),
    "numpy.lib._format_impl",
    "numpy.lib._npyio_impl",
    "tomllib._parser",
]
_INSIDE = "--inside"


def inside(kind, folder, options):
    """In a process of its own, for libFuzzer ends the one it runs in."""
    import atheris

    with atheris.instrument_imports(include=_WATCHED):
        import mutations
    import numpy as np

    seeds = folder / "seeds"
    seeds.mkdir()
    for name, content in mutations.whole(folder / "whole").items():
        if Path(name).suffix == f".{kind}":
            (seeds / name).write_bytes(content)
    path = folder / "read" / ("provenance.json" if kind == "json" else f"fuzzed.{kind}")

    def one(content):
        path.write_bytes(content)
        for found in mutations.read(path):
            values = getattr(found, "values", None)
            if kind != "parquet" and isinstance(values, np.ndarray) and values.dtype == np.float64:
                assert np.isfinite(values).all()

    atheris.Setup([sys.argv[0], str(seeds), *options], one)
    atheris.Fuzz()


def fuzz(kind, seconds, kept):
    """Executions of a format's readers in so many seconds, and whether none of them failed; a file that fails one is kept."""
    with tempfile.TemporaryDirectory(prefix="gwrsa-fuzz-") as name:
        folder = Path(name)
        for part in ("whole", "read"):
            (folder / part).mkdir()
        options = [f"-max_total_time={seconds}", "-print_final_stats=1", "-max_len=65536", "-timeout=60"]
        options += ["-rss_limit_mb=3072", f"-artifact_prefix={kept}/{kind}-", "-verbosity=1"]
        done = subprocess.run(
            [sys.executable, __file__, _INSIDE, kind, name, *options], check=False, capture_output=True, text=True
        )
    said = done.stderr + done.stdout
    found = re.search(r"number_of_executed_units:\s*(\d+)", said)
    if done.returncode:
        print(said[-6000:], flush=True)  # noqa: T201
    return int(found[1]) if found else 0, done.returncode == 0


def main():
    """Each format in turn; exit status 1 where one failed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("kinds", nargs="*", help=f"of {', '.join(KINDS)}; all without any")
    options.add_argument("--seconds", type=int, default=60, help="for each format")
    options.add_argument(
        "--kept", type=Path, default=Path("fuzz-found"), help="where files that fail a reader are kept"
    )
    given = options.parse_args()
    given.kept.mkdir(exist_ok=True)
    well = True
    for kind in given.kinds or KINDS:
        count, fine = fuzz(kind, given.seconds, given.kept)
        well = well and fine
        print(f"{kind:8} {count:9,} executions {'' if fine else f'FAILED: {given.kept}/{kind}-*'}", flush=True)  # noqa: T201
    return 0 if well else 1


if __name__ == "__main__":
    if sys.argv[1:2] == [_INSIDE]:
        inside(sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
    sys.exit(main())
