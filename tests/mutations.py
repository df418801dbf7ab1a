"""Real files of every format, broken byte by byte: what the readers of files are tried on."""

import contextlib
import json
import resource
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse
from hypothesis import strategies as st

import gwrsa
import hostile
import study_files
from gwrsa import loaders, shards, store
from gwrsa.study_settings import Settings

# What a reader of a file of a few kB may take beside what the process has.
ROOM = 1 << 30
_VALUES = np.arange(12.0).reshape(4, 3) ** 1.5
_ITEMS = ["ant", "<script>", "NA", "Ölkäfer"]
# Sizes, counts and lengths as files have them, at the ends of their ranges.
_NUMBERS = [
    (value).to_bytes(width, order, signed=False)
    for width in (1, 2, 4, 8)
    for value in (0, 1, 2 ** (8 * width - 1) - 1, 2 ** (8 * width - 1), 2 ** (8 * width) - 1)
    for order in ("little", "big")
]


@contextlib.contextmanager
def bounded(room=ROOM):
    """Allocations beyond `room` bytes fail."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def refused(path, match):
    """That reading an array from a file fails with a ValueError that says so, and names the file."""
    with bounded(), pytest.raises(ValueError, match=match) as caught:
        loaders.load_array(path)
    assert path.name in str(caught.value)


def whole(folder):
    """A whole file of every kind: name, and bytes."""
    folder = Path(folder)
    np.save(folder / "a.npy", _VALUES)
    np.save(folder / "items.npy", np.array(_ITEMS))
    np.savez(folder / "plain.npz", values=_VALUES, items=np.array(_ITEMS))
    gwrsa.Embedding(_VALUES, _ITEMS, meta={"layer": "x"}).save(folder / "embedding.npz")
    gwrsa.RDM(np.arange(6.0), _ITEMS).save(folder / "rdm.npz")
    np.savetxt(folder / "a.txt", _VALUES)
    table = "item,x,y\n" + "\n".join(f'"{item}",{i},{i / 3}' for i, item in enumerate(_ITEMS)) + "\n"
    (folder / "a.csv").write_text(table, encoding="utf-8")
    (folder / "a.tsv").write_text(table.replace(",", "\t"), encoding="utf-8")
    (folder / "many.csv").write_text("item,bird,food\nhen,1,1\nowl,1,0\nNA,0,0\n", encoding="utf-8")
    (folder / "one.csv").write_text("item,category\nhen,bird\nhat,\nowl,bird\n", encoding="utf-8")
    (folder / "items.txt").write_text("\n".join(_ITEMS) + "\n", encoding="utf-8")
    content = {
        "values": _VALUES,
        "items": np.array(_ITEMS, dtype=object),
        "other": {"x": 1.0, "y": np.eye(2, dtype=np.int8)},
        "sparse": scipy.sparse.csc_array(1j * np.eye(2)),
    }
    scipy.io.savemat(folder / "a.mat", content)
    scipy.io.savemat(folder / "packed.mat", content, do_compression=True)
    scipy.io.savemat(folder / "old.mat", {"values": _VALUES}, format="4")
    with contextlib.suppress(ImportError):
        import h5py

        with h5py.File(folder / "a.h5", "w") as file:
            file.create_dataset("group/values", data=_VALUES, compression="gzip", chunks=(2, 3))
            file["group/items"] = _ITEMS
        with h5py.File(folder / "rsatoolbox.h5", "w") as file:
            file["dissimilarities"] = np.arange(6.0)[None]
            file.attrs["dissimilarity_measure"] = "euclidean"
            file["rdm_descriptors/name"] = ["x"]
            file["pattern_descriptors/items/0"] = "a"
            for i in range(1, 4):
                file[f"pattern_descriptors/items/{i}"] = i
    frame = pd.DataFrame({"item": _ITEMS * 3, "x": np.arange(12.0), "none": [None, 1.0, 2.0] * 4})
    frame.to_parquet(folder / "table.parquet", index=False)
    study_files.write(folder / "study")
    (folder / "study.toml").write_bytes((folder / "study" / "study.toml").read_bytes())
    shards.Shards(folder).save({"what": "align", "gwrsa": "0"}, {"rows": [{"gw_loss": 0.5}], "plans": {"ab-0": "cd"}})
    for path in folder.glob("*.json"):
        path.rename(folder / "shard.json")
    provenance = {
        "store": store.STORE,
        "versions": {"gwrsa": "0"},
        "inputs": {},
        "settings": {},
        "human": None,
        "models": [],
    }
    text = json.dumps(provenance | {"by_position": [], "base": "/", "finished": None})
    (folder / "provenance.json").write_text(text, encoding="utf-8")
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def read(path):  # noqa: C901, PLR0912  # a case a format
    """What comes of a file by every public way that takes its kind; None where a ValueError that names the file refuses it."""
    path = Path(path)
    if path.name == "shard.json":
        what = {"what": "align", "gwrsa": "0"}
        path.replace(path.with_name(f"{shards.key_of(what)}.json"))
        return [shards.Shards(path.parent).load(shards.key_of(what))]
    if path.name == "provenance.json":
        ways = [lambda p: store.load_provenance(p.parent)]
    elif path.suffix == ".toml":
        ways = [Settings.read]
    elif path.suffix == ".parquet":
        ways = [store.read_table]
    else:
        ways = [loaders.load_array]
        if path.suffix in (".npy", ".csv", ".tsv", ".txt"):
            ways.append(loaders.load_items)
        if path.suffix in (".csv", ".tsv"):
            ways.append(loaders.load_categories)
        if path.suffix == ".npz":
            ways += [gwrsa.Embedding.load, gwrsa.RDM.load, shards.load_arrays]
        if path.suffix == ".h5":
            ways.append(gwrsa.RDM.load)
        if path.suffix in (".npy", ".csv"):
            ways.append(gwrsa.Triplets.load)
    found = []
    for way in ways:
        hostile.COUNT["cases"] += 1
        try:
            with hostile.within(), bounded(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found.append(way(path))
        except ValueError as error:
            hostile.COUNT["refused"] += 1
            if path.name not in str(error) and str(path.parent) not in str(error):
                raise AssertionError(f"{way} does not name the file") from error
            found.append(None)
    return found


def mutated(rng, files, name):
    """Bytes of a file after one to six mutations by a `random.Random`."""
    content = bytearray(files[name])
    for _ in range(rng.randint(1, 6)):
        at = rng.randint(0, len(content))
        kind = rng.choice(["flip", "number", "cut", "insert", "repeat", "drop", "splice"])
        if kind == "flip" and at < len(content):
            content[at] ^= 1 << rng.randint(0, 7)
        elif kind == "number":
            number = rng.choice(_NUMBERS)
            content[at : at + len(number)] = number
        elif kind == "cut":
            del content[at:]
        elif kind == "insert":
            content[at:at] = bytes(rng.randint(0, 255) for _ in range(rng.randint(1, 8)))
        elif kind == "repeat":
            length = rng.randint(1, 64)
            content[at:at] = content[at : at + length] * rng.randint(1, 50)
        elif kind == "drop":
            del content[at : at + rng.randint(1, 64)]
        else:
            other = files[rng.choice(sorted(files))]
            start = rng.randint(0, len(other))
            content[at:at] = other[start : start + rng.randint(1, 200)]
    return bytes(content)


@st.composite
def broken(draw, files):
    """Name and bytes of a file that is `mutated`."""
    name = draw(st.sampled_from(sorted(files)))
    return name, mutated(draw(st.randoms()), files, name)
