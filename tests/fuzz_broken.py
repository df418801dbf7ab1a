"""Files broken at random, read in processes of their own: one that dies of a file does not take the others with it.

make fuzz-readers                                      after the readers by their branches
.venv/bin/python tests/fuzz_broken.py --cases 1000000  so many files
"""

import argparse
import multiprocessing
import random
import sys
import tempfile
from pathlib import Path

import mutations

# Files that a process reads, and seconds that it may take for them.
_BATCH = 2000
_PATIENCE = 1200


def batch(files, seed, folder):
    """Read so many files; the one that it is at lies in `folder`."""
    rng = random.Random(seed)  # noqa: S311  # no secret
    for _ in range(_BATCH):
        name = rng.choice(sorted(files))
        for left in folder.iterdir():
            left.unlink()
        content = mutations.mutated(rng, files, name)
        (folder / name).write_bytes(content)
        # A reader may move it.
        (folder / f"{name}.kept").write_bytes(content)
        mutations.read(folder / name)


def main():
    """Batch after batch; exit status 1 where a process died or a reader failed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cases", type=int, default=100_000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument(
        "--kept", type=Path, default=Path("fuzz-found"), help="where files that fail a reader are kept"
    )
    given = options.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="gwrsa-fuzz-") as name:
        folder, whole = Path(name) / "read", Path(name) / "whole"
        folder.mkdir()
        whole.mkdir()
        files = mutations.whole(whole)
        batches = -(-given.cases // _BATCH)
        for number in range(batches):
            process = multiprocessing.get_context("fork").Process(
                target=batch, args=(files, f"{given.seed}-{number}", folder)
            )
            process.start()
            process.join(_PATIENCE)
            if process.exitcode != 0:
                process.kill()
                process.join()
                failed += 1
                given.kept.mkdir(exist_ok=True)
                for path in folder.glob("*.kept"):
                    path.replace(given.kept / f"{given.seed}-{number}-{path.stem}")
                print(f"batch {number} ended with {process.exitcode}; its file is in {given.kept}", flush=True)  # noqa: T201
    print(f"{batches * _BATCH:,} broken files read, {failed} processes failed")  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
