"""What several verbs share: options, and how a file is read."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, get_args

import typer

from gwrsa import _validate as check

if TYPE_CHECKING:
    from gwrsa.embedding import Embedding
    from gwrsa.rdm import RDM

Items = Annotated[
    Optional[Path], typer.Option(help="Labels, one a line, for files that hold none. Objects are matched by label.")
]
Kind = Literal["auto", "embedding", "rdm"]
Backend = Literal["auto", "rust", "torch"]
Missing = Literal["raise", "chance", "shrink"]
MetricName = Literal["cosine", "correlation", "euclidean", "sqeuclidean", "inner_product", "choice"]
Method = Literal["corr", "spearman", "kendall", "tau-a", "rho-a", "cosine"]


def one_of(names: object, what: str) -> Any:  # noqa: ANN401
    """An option that takes one of the names of a Literal; a wrong one is refused as everywhere else, not in typer's words."""
    known: tuple[str, ...] = get_args(names)

    def checked(param: typer.CallbackParam, value: str | None) -> str | None:
        return None if value is None else check.choice(param.opts[0], value, known)

    return typer.Option(parser=str, metavar=f"<{'|'.join(known)}>", callback=checked, help=what)


def load(path: Path, items: Path | None, kind: Kind) -> RDM | Embedding:
    """Read a representation, say what it is, and label it with `items` where the file does not."""
    from gwrsa import embedding as embeddings
    from gwrsa.loaders import load_array
    from gwrsa.rdm import RDM
    from gwrsa.rsatoolbox_files import is_rdms
    from gwrsa.triplets import is_triplets

    if kind == "auto" and is_rdms(path):
        kind = "rdm"
    elif kind == "auto" and path.is_dir():
        kind = "embedding"  # of thingsvision
    if kind == "auto":
        values = load_array(path).values
        if is_triplets(values):
            raise ValueError(
                f"{path} looks like triplets, {len(values)} x 3 whole numbers: make an RDM of it first, "
                "gwrsa rdm --kind triplets, or say --kind embedding"
            )
        kind = "rdm" if embeddings.looks_like_rdm(path, values) else "embedding"
    read = RDM.load if kind == "rdm" else embeddings.read  # what it is has been said, or looked at
    loaded: RDM | Embedding = read(path)
    # --items labels what has no labels; it does not rename what has.
    if loaded.items is None and items is not None:
        loaded = read(path, items=items)
    typer.echo(f"{path}: {loaded!r}", err=True)
    return loaded


def load_pair(
    context: typer.Context, paths: tuple[Path, Path], items: Path | None, kind: Kind
) -> tuple[RDM | Embedding, RDM | Embedding]:
    """`load` both files; labels that disagree are an error that names the files, a metric that neither needs is a warning."""
    from gwrsa.rdm import RDM
    from gwrsa.same_items import check_same_labels

    a, b = (load(path, items, kind) for path in paths)
    if isinstance(a, RDM) and isinstance(b, RDM):
        say_unused(context, "metric", "both files hold dissimilarities")
    if len(a) == len(b):
        check_same_labels((str(paths[0]), str(paths[1])), (a.items, b.items), (len(a), len(b)))
    return a, b


def say_unused(context: typer.Context, option: str, why: str) -> None:
    """Warn who gave an option that plays no part."""
    source = context.get_parameter_source(option)
    if source is not None and source.name == "COMMANDLINE":
        warnings.warn(f"--{option} {context.params[option]} is not used: {why}", stacklevel=2)


def check_folder(out: Path | None, option: str = "--out") -> None:
    """Before the work: a folder can be written to here."""
    for path in () if out is None else (out, *out.parents):
        if path.exists() and not path.is_dir():
            raise ValueError(f"{option} must be a folder, got {str(out)!r}, where {str(path)!r} is a file")


def check_archive(out: Path) -> None:
    """Before the work: an .npz file can be written here."""
    if out.suffix != ".npz":
        raise ValueError(f"--out must end in .npz, got {str(out)!r}")
    if out.is_dir():
        raise ValueError(f"--out must be a file, got the folder {str(out)!r}")
    check_folder(out.parent)


def as_rdm(loaded: RDM | Embedding, metric: MetricName) -> RDM:
    """Dissimilarities of what was loaded."""
    from gwrsa.embedding import Embedding

    return loaded.rdm(metric) if isinstance(loaded, Embedding) else loaded
