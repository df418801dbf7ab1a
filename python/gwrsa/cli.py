"""The command line. Every command reads files, calls one public function and prints or saves what it returns."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from gwrsa.alignment import Alignment
    from gwrsa.embedding import Embedding
    from gwrsa.metrics import Uncategorised
    from gwrsa.rdm import RDM

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Compare representations of the same objects without being told which object is which.",
)

Items = Annotated[
    Optional[Path], typer.Option(help="Labels, one a line, for files that hold none. Objects are matched by label.")
]
Kind = Literal["auto", "embedding", "rdm"]
Missing = Literal["raise", "chance", "shrink"]
MetricName = Literal["cosine", "correlation", "euclidean", "sqeuclidean", "inner_product", "choice"]
Method = Literal["corr", "spearman", "kendall", "tau-a", "rho-a", "cosine"]


def main() -> None:
    """Entry point: an invalid argument ends with one line on stderr and exit status 2, an interrupt with 130."""
    try:
        app()
    except (ValueError, FileNotFoundError, ImportError) as error:
        typer.echo(f"gwrsa: {error}", err=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        typer.echo("gwrsa: interrupted", err=True)
        raise SystemExit(130) from None


@app.command()
def rdm(
    embedding: Annotated[
        Path, typer.Argument(help="Embedding, or triplets: .npy, .npz, .csv, .tsv, .txt, .mat or .h5.")
    ],
    out: Annotated[Path, typer.Option(help="Where to write the RDM (.npz).")],
    metric: Annotated[MetricName, typer.Option(help="Dissimilarity.")] = "cosine",
    items: Items = None,
    kind: Annotated[Literal["embedding", "triplets"], typer.Option(help="What the file holds.")] = "embedding",
    missing: Annotated[Missing, typer.Option(help="Triplets: what a pair is that was never shown.")] = "raise",
    calibrate: Annotated[
        Optional[Path], typer.Option(help="Triplets that set the scale of the embedding, for --metric choice.")
    ] = None,
) -> None:
    """Compute the RDM of an embedding, or count it from odd-one-out triplets.

    Example: gwrsa rdm human.npy --items names.txt --metric choice --calibrate triplets.npy --out human_rdm.npz
    """
    from gwrsa.choice import calibrate as scaled
    from gwrsa.embedding import Embedding
    from gwrsa.triplets import Triplets

    if kind == "triplets":
        made = Triplets.load(embedding, items=items).rdm(missing)
    else:
        loaded = Embedding.load(embedding, items=items)
        if calibrate is not None:
            loaded = scaled(loaded, Triplets.load(calibrate, items=items))
        made = loaded.rdm(metric)
    path = made.save(out)
    values = made.dissimilarities
    typer.echo(f"{made!r}: {values.min():.4g} to {values.max():.4g}, mean {values.mean():.4g}; written to {path}")


@app.command()
def spose(
    triplets: Annotated[Path, typer.Argument(help="Odd-one-out triplets, n x 3: the pair kept together, the odd one.")],
    out: Annotated[Path, typer.Option(help="Where to write the embedding (.npz).")],
    dims: Annotated[int, typer.Option(help="Dimensions at the start; those the penalty empties are dropped.")] = 66,
    l1: Annotated[float, typer.Option(help="Weight of the penalty; larger is sparser.")] = 6.0,
    checkpoint: Annotated[
        Optional[Path], typer.Option(help=".npz that is written after every epoch, and gone on from.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of all random draws.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    items: Items = None,
    progress: Annotated[bool, typer.Option(help="Show a progress bar.")] = True,
) -> None:
    """Fit a sparse non-negative embedding to odd-one-out triplets.

    Example: gwrsa spose triplets.npy --items names.txt --dims 66 --checkpoint fit.npz --out human.npz
    """
    from gwrsa.spose import fit_spose
    from gwrsa.triplets import Triplets

    given = Triplets.load(triplets, items=items)
    fitted = fit_spose(given, dims, l1=l1, seed=seed, device=device, checkpoint=checkpoint, progress=progress)
    how = fitted.meta["spose"]
    _, loss, accuracy = how["history"][how["best_epoch"] - 1]
    typer.echo(
        f"{fitted!r}: {how['status']} after {how['epochs']} epochs, best {how['best_epoch']}: validation loss {loss:.4f}, "
        f"accuracy {accuracy:.2%}; written to {fitted.save(out)}"
    )


@app.command()
def rsa(
    source: Annotated[Path, typer.Argument(help="Embedding or RDM.")],
    target: Annotated[Path, typer.Argument(help="Embedding or RDM of the same objects.")],
    metric: Annotated[MetricName, typer.Option(help="Dissimilarity of embeddings.")] = "cosine",
    method: Annotated[Method, typer.Option(help="How RDMs are compared.")] = "corr",
    items: Items = None,
    kind: Annotated[
        Kind, typer.Option(help="What the files hold; auto: a symmetric square of zero diagonal is an RDM.")
    ] = "auto",
) -> None:
    """Compare two representations the classic way, told which object is which.

    Example: gwrsa rsa human.npy clip.npy --metric cosine --method spearman
    """
    from gwrsa.compare import rsa as compare

    a, b = (_as_rdm(_load(path, items, kind), metric) for path in (source, target))
    typer.echo(f"RSA ({method}) of {a.name} and {b.name}, {len(a)} objects: {compare(a, b, method):.6f}")


@app.command()
def align(
    source: Annotated[Path, typer.Argument(help="Embedding or RDM.")],
    target: Annotated[Path, typer.Argument(help="Embedding or RDM of the same objects.")],
    metric: Annotated[MetricName, typer.Option(help="Dissimilarity of embeddings.")] = "cosine",
    match_histogram: Annotated[
        bool, typer.Option("--match-histogram", help="Give the target the source's distribution of dissimilarities.")
    ] = False,
    search: Annotated[Literal["anneal", "multistart"], typer.Option(help="How the starts are made.")] = "anneal",
    epsilon: Annotated[
        Optional[str], typer.Option(help="A value or LOW,HIGH, in units of the pair's critical epsilon.")
    ] = None,
    absolute: Annotated[bool, typer.Option("--absolute", help="Epsilon is absolute, as in POT.")] = False,
    starts: Annotated[Optional[int], typer.Option(help="How many; by default 8 (anneal) or 20 (multistart).")] = None,
    kicks: Annotated[int, typer.Option(help="Further starts, each from the lowest plan so far (anneal).")] = 0,
    seed: Annotated[int, typer.Option(help="Of all random draws.")] = 0,
    workers: Annotated[Optional[int], typer.Option(help="Threads; by default one a core.")] = None,
    categories: Annotated[Optional[Path], typer.Option(help="Categories of the objects (.csv or .tsv).")] = None,
    drop_category: Annotated[
        Optional[list[str]], typer.Option(help="A column of the categories that is none, such as 'others'.")
    ] = None,
    uncategorised: Annotated[
        Literal["exclude", "category", "miss"], typer.Option(help="What an object without a category counts as.")
    ] = "exclude",
    precision: Annotated[Literal["mixed", "float64"], typer.Option(help="Of the kernel.")] = "mixed",
    polish: Annotated[
        bool, typer.Option("--polish", help="Follow the lowest loss down to a permutation, without entropy.")
    ] = False,
    items: Items = None,
    kind: Annotated[
        Kind, typer.Option(help="What the files hold; auto: a symmetric square of zero diagonal is an RDM.")
    ] = "auto",
    out: Annotated[Optional[Path], typer.Option(help="Folder for the table, the summary and the best plans.")] = None,
    progress: Annotated[bool, typer.Option(help="Show a progress bar.")] = True,
) -> None:
    """Align two representations without labels, from many starts.

    Example: gwrsa align human.npy clip.npy --items names.txt --match-histogram --categories categories.tsv --out results
    """
    from gwrsa import aligning
    from gwrsa.loaders import load_categories

    began = time.perf_counter()
    a, b = (_load(path, items, kind) for path in (source, target))
    groups = load_categories(categories) if categories else None
    for name in drop_category or []:
        if groups is None:
            raise ValueError("--drop-category needs --categories")
        groups = groups.without(name)
    if match_histogram:
        a = _as_rdm(a, metric)
        b = _as_rdm(b, metric).match_histogram(a)
    found = aligning.align(
        a,
        b,
        search=search,
        epsilon=_epsilon(epsilon),
        absolute=absolute,
        n_starts=starts,
        n_kicks=kicks,
        seed=seed,
        workers=workers,
        metric=metric,
        categories=groups,
        uncategorised=uncategorised,
        precision=precision,
        polish="permutation" if polish else None,
        progress=progress,
    )
    _report(found, aligning.members(groups, a), uncategorised)
    if out is not None:
        typer.echo(f"written to {found.save(out)}")
    typer.echo(f"{time.perf_counter() - began:.1f} s in all")


@app.command()
def extract(
    images: Annotated[
        Path, typer.Argument(help="Folder of images, or of one folder an object; for texts a .txt or .tsv.")
    ],
    model: Annotated[str, typer.Option(help="timm/..., torchvision/..., open_clip/NAME:TAG, ...; see gwrsa models.")],
    out: Annotated[Path, typer.Option(help="Where to write the embedding (.npz).")],
    module: Annotated[
        Optional[str], typer.Option(help="Where to read; by default the last layer before the classifier.")
    ] = None,
    checkpoint: Annotated[Optional[Path], typer.Option(help="Local weights; needs --preprocessing.")] = None,
    preprocessing: Annotated[
        Optional[str], typer.Option(help="JSON of size, crop, interpolation, mean and std, or 'registry'.")
    ] = None,
    match: Annotated[
        Literal["name", "position"], typer.Option(help="How tensors of the checkpoint find their place.")
    ] = "name",
    untrained: Annotated[bool, typer.Option("--untrained", help="No weights: initialised with the seed.")] = False,
    seed: Annotated[int, typer.Option(help="Of the initialisation.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Images at a time.")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    broken: Annotated[Literal["raise", "skip"], typer.Option(help="What is done about broken images.")] = "raise",
    cache: Annotated[
        Optional[Path], typer.Option(help="Folder of finished batches; by default the user's cache.")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no batches.")] = False,
    progress: Annotated[bool, typer.Option(help="Show a progress bar.")] = True,
) -> None:
    """Read images or texts with a network. Run again after an interruption, it goes on where it was.

    Example: gwrsa extract images --model timm/resnet50.a1_in1k --out resnet50.npz
    """
    import json

    from gwrsa.extraction.run import extract as run

    try:
        stated: Any = preprocessing if preprocessing in (None, "registry") else json.loads(str(preprocessing))
    except ValueError as error:
        raise ValueError(f"--preprocessing must be JSON or 'registry', got {preprocessing!r}: {error}") from error
    made = run(
        images,
        model,
        module=module,
        checkpoint=checkpoint,
        pretrained=not untrained,
        seed=seed,
        batch_size=batch_size,
        device=device,
        preprocessing=stated,
        match=match,
        broken=broken,
        cache_folder=None if no_cache else cache or "default",
        progress=progress,
    )
    for name in (*made.meta["broken"], *made.meta["not_images"]):
        typer.echo(f"left out: {name}", err=True)
    typer.echo(
        f"{made!r}: {len(made.meta['broken'])} broken images, {len(made.meta['not_images'])} files that are none; "
        f"written to {made.save(out)}"
    )


@app.command()
def models(
    show: Annotated[
        Optional[str], typer.Option(help="A model: its preprocessing and modules, without its weights.")
    ] = None,
    family: Annotated[
        Optional[str], typer.Option(help="supervised, self-supervised, clip, language or untrained.")
    ] = None,
) -> None:
    """List the catalogue of networks, or the modules of one.

    Example: gwrsa models --show timm/resnet50.a1_in1k
    """
    from gwrsa.catalogue import catalogue

    if show is None:
        for entry in catalogue(family):
            typer.echo(f"{entry.family:<16}{entry.model}")
        return
    from gwrsa.extraction.models import load

    # A sentence encoder's architecture comes with its weights only.
    network = load(show, pretrained=show.startswith("sentence-transformers/"))
    typer.echo(
        f"{show}\ninput: {network.kind}\npreprocessing: {network.preprocessing}\ndefault: {network.default}\nmodules:"
    )
    for name, kind in network.modules().items():
        typer.echo(f"  {name:<48}{kind}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the figures.")] = Path("gwrsa-demo"),
    seed: Annotated[int, typer.Option(help="Of all random draws.")] = 0,
    progress: Annotated[bool, typer.Option(help="Show progress bars.")] = True,
) -> None:
    """Run the main job on built-in input: fourteen real colours, and a simulated study of 1,854 objects.

    Example: gwrsa demo --out figures
    """
    from gwrsa import demo as demonstration

    began = time.perf_counter()
    demonstration.run(out, seed=seed, progress=progress, say=typer.echo)
    typer.echo(f"\n{time.perf_counter() - began:.1f} s in all")


def _load(path: Path, items: Path | None, kind: Kind) -> RDM | Embedding:
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


def _as_rdm(loaded: RDM | Embedding, metric: MetricName) -> RDM:
    from gwrsa.embedding import Embedding

    return loaded.rdm(metric) if isinstance(loaded, Embedding) else loaded


def _epsilon(text: str | None) -> float | tuple[float, float] | None:
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"--epsilon must be a number or LOW,HIGH, got {text!r}") from None
    if len(values) > 2:
        raise ValueError(f"--epsilon must be a number or LOW,HIGH, got {text!r}")
    return values[0] if len(values) == 1 else (values[0], values[1])


def _report(found: Alignment, members: ArrayLike | None, uncategorised: Uncategorised) -> None:
    from gwrsa.chance import chance_level

    shown = [c for c in found.table.columns if c in _SHOWN]
    typer.echo(found.table[shown].to_string(index=False, formatters={k: v for k, v in _SHOWN.items() if k in shown}))
    typer.echo("")
    typer.echo(f"critical epsilon {found.critical_epsilon:.6g} (absolute)")
    best = [("lowest loss", found.lowest_loss)]
    paired = bool(found.starts[0].matching)
    if paired:
        typer.echo(f"RSA {found.rsa:.4f} (told the correspondence)")
        best.append(("highest matching", found.highest_matching()))
    head = f"{'':<18}{'GW loss':>11}{'epsilon':>11}"
    for k in (1, 5, 10):
        head += f"{f'top-{k}':>9}" if paired else ""
    for k in (1, 5, 10):
        head += f"{f'cat. {k}':>9}" if members is not None else ""
    typer.echo(head)
    for name, start in best:
        rates = [*start.matching.values(), *start.category.values()]
        typer.echo(f"{name:<18}{start.gw_loss:>11.6f}{start.epsilon:>11.5g}" + "".join(f"{r:>9.2%}" for r in rates))
    if found.polished is not None:
        end = found.polished
        rates = [*end.matching.values(), *end.category.values()]
        typer.echo(f"{'polished':<18}{end.gw_loss:>11.6f}{'none':>11}" + "".join(f"{r:>9.2%}" for r in rates))
    n, m = len(found.source), len(found.target)
    chances = [chance_level(m, k).exact for k in (1, 5, 10) if k <= m] if paired else []
    if members is not None and n == m:
        chances += [chance_level(n, k, members, uncategorised=uncategorised).exact for k in (1, 5, 10) if k <= m]
    typer.echo(f"{'chance':<40}" + "".join(f"{c:>9.2%}" for c in chances))
    ended = found.table["status"].value_counts()
    typer.echo(f"{len(found.starts)} starts: " + ", ".join(f"{count} {status}" for status, count in ended.items()))


def _percent(value: float) -> str:
    return f"{value:.2%}"


_SHOWN: dict[str, Callable[..., str]] = {
    "start": "{:d}".format,
    "init": str,
    "epsilon": "{:.5g}".format,
    "epsilon_ratio": "{:.3f}".format,
    "gw_loss": "{:.6f}".format,
    "status": str,
    "n_outer": "{:d}".format,
    "marginal_error": "{:.1e}".format,
    "top1": _percent,
    "top5": _percent,
    "top10": _percent,
    "category": _percent,
    "seconds": "{:.1f}".format,
}
