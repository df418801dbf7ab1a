"""What several verbs share: options, and how a file is read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import typer

if TYPE_CHECKING:
    from gwrsa.embedding import Embedding
    from gwrsa.rdm import RDM

Items = Annotated[
    Optional[Path], typer.Option(help="Labels, one a line, for files that hold none. Objects are matched by label.")
]
Kind = Literal["auto", "embedding", "rdm"]
Missing = Literal["raise", "chance", "shrink"]
MetricName = Literal["cosine", "correlation", "euclidean", "sqeuclidean", "inner_product", "choice"]
Method = Literal["corr", "spearman", "kendall", "tau-a", "rho-a", "cosine"]


def load(path: Path, items: Path | None, kind: Kind) -> RDM | Embedding:
    """Read a representation, say what it is, and label it with `items` where the file does not."""
    from gwrsa.embedding import Embedding
    from gwrsa.loaders import load_array
    from gwrsa.rdm import RDM, is_dissimilarity

    if kind == "auto":
        kind = "rdm" if is_dissimilarity(load_array(path).values) else "embedding"
    read = RDM.load if kind == "rdm" else Embedding.load
    loaded: RDM | Embedding = read(path)
    # --items labels what has no labels; it does not rename what has.
    if loaded.items is None and items is not None:
        loaded = read(path, items=items)
    typer.echo(f"{path}: {loaded!r}", err=True)
    return loaded


def as_rdm(loaded: RDM | Embedding, metric: MetricName) -> RDM:
    """Dissimilarities of what was loaded."""
    from gwrsa.embedding import Embedding

    return loaded.rdm(metric) if isinstance(loaded, Embedding) else loaded
