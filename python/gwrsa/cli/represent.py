"""Verbs that make and compare representations: rdm, spose, rsa, extract, models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import typer

from gwrsa.cli.options import (
    Items,
    Kind,
    Method,
    MetricName,
    Missing,
    as_rdm,
    check_archive,
    load_pair,
    one_of,
    say_unused,
)

Held = Literal["embedding", "triplets"]
Match = Literal["name", "position"]
Broken = Literal["raise", "skip"]


def rdm(
    context: typer.Context,
    embedding: Annotated[
        Path,
        typer.Argument(
            help="Embedding, or triplets: .npy, .npz, .csv, .tsv, .txt, .mat or .h5; thingsvision's folder."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Where to write the RDM (.npz).")],
    metric: Annotated[MetricName, one_of(MetricName, "Dissimilarity.")] = "cosine",
    items: Items = None,
    kind: Annotated[
        Optional[Held],
        one_of(Held, "What the file holds; by default an embedding, unless it looks like triplets."),
    ] = None,
    missing: Annotated[Missing, one_of(Missing, "Triplets: what a pair is that was never shown.")] = "raise",
    calibrate: Annotated[
        Optional[Path], typer.Option(help="Triplets that set the scale of the embedding, for --metric choice.")
    ] = None,
) -> None:
    """Compute the RDM of an embedding, or count it from odd-one-out triplets.

    Example: gwrsa rdm human.npy --items names.txt --metric choice --calibrate triplets.npy --out human_rdm.npz
    """
    from gwrsa import embedding as embeddings
    from gwrsa.choice import calibrate as scaled
    from gwrsa.loaders import load_array
    from gwrsa.rsatoolbox_files import is_rdms
    from gwrsa.triplets import Triplets, is_triplets

    check_archive(out)
    if kind is None and not embedding.is_dir():
        values = None if is_rdms(embedding) else load_array(embedding).values
        if values is None or embeddings.looks_like_rdm(embedding, values):
            raise ValueError(
                f"{embedding} holds dissimilarities, so it is an RDM already: give it to gwrsa rsa or align as it is, or read it by "
                "gwrsa.RDM.load. If it is an embedding all the same, say --kind embedding"
            )
        if is_triplets(values):
            raise ValueError(
                f"{embedding} holds n x 3 whole numbers, as triplets do: did you mean --kind triplets? If not, say --kind embedding"
            )
    if kind == "triplets":
        for option in ("metric", "calibrate"):
            say_unused(context, option, "triplets are counted")
        made = Triplets.load(embedding, items=items).rdm(missing)
    else:
        say_unused(context, "missing", "an embedding lacks no pair")
        loaded = embeddings.read(embedding, items=items)
        if metric in ("cosine", "correlation"):
            say_unused(context, "calibrate", f"--metric {metric} does not depend on the scale")
        elif calibrate is not None:
            loaded = scaled(loaded, Triplets.load(calibrate, items=items))
        made = loaded.rdm(metric)
    path = made.save(out)
    values = made.dissimilarities
    typer.echo(f"{made!r}: {values.min():.4g} to {values.max():.4g}, mean {values.mean():.4g}; written to {path}")


def spose(
    triplets: Annotated[Path, typer.Argument(help="Odd-one-out triplets, n x 3: the pair kept together, the odd one.")],
    out: Annotated[Path, typer.Option(help="Where to write the embedding (.npz).")],
    dims: Annotated[int, typer.Option(help="Dimensions at the start; those the penalty empties are dropped.")] = 66,
    l1: Annotated[
        Optional[float],
        typer.Option(help="Weight of the penalty; larger is sparser. By default learnt, for each dimension."),
    ] = None,
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

    check_archive(out)
    given = Triplets.load(triplets, items=items)
    fitted = fit_spose(given, dims, l1=l1, seed=seed, device=device, checkpoint=checkpoint, progress=progress)
    how = fitted.meta["spose"]
    _, loss, accuracy = how["history"][how["best_epoch"] - 1]
    typer.echo(
        f"{fitted!r}: {how['status']} after {how['epochs']} epochs, best {how['best_epoch']}: validation loss {loss:.4f}, "
        f"accuracy {accuracy:.2%}; written to {fitted.save(out)}"
    )


def rsa(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="Embedding or RDM.")],
    target: Annotated[Path, typer.Argument(help="Embedding or RDM of the same objects.")],
    metric: Annotated[MetricName, one_of(MetricName, "Dissimilarity of embeddings.")] = "cosine",
    method: Annotated[Method, one_of(Method, "How RDMs are compared.")] = "corr",
    items: Items = None,
    kind: Annotated[
        Kind, one_of(Kind, "What the files hold; auto: a symmetric square of zero diagonal is an RDM.")
    ] = "auto",
) -> None:
    """Compare two representations the classic way, told which object is which.

    Example: gwrsa rsa human.npy clip.npy --metric cosine --method spearman
    """
    from gwrsa.compare import rsa as compare

    a, b = (as_rdm(side, metric) for side in load_pair(context, (source, target), items, kind))
    typer.echo(f"RSA ({method}) of {a.name} and {b.name}, {len(a)} objects: {compare(a, b, method):.6f}")


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
    match: Annotated[Match, one_of(Match, "How tensors of the checkpoint find their place.")] = "name",
    untrained: Annotated[bool, typer.Option("--untrained", help="No weights: initialised with the seed.")] = False,
    seed: Annotated[int, typer.Option(help="Of the initialisation.")] = 0,
    batch_size: Annotated[int, typer.Option(help="Images at a time.")] = 32,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    broken: Annotated[Broken, one_of(Broken, "What is done about broken images.")] = "raise",
    cache: Annotated[
        Optional[Path], typer.Option(help="Folder of finished batches; by default the user's cache.")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no batches.")] = False,
    thingsvision: Annotated[
        Optional[Path],
        typer.Option(help="Folder for features.npy and file_names.txt, as thingsvision writes them, too."),
    ] = None,
    progress: Annotated[bool, typer.Option(help="Show a progress bar.")] = True,
) -> None:
    """Read images or texts with a network. Run again after an interruption, it goes on where it was.

    Example: gwrsa extract images --model timm/resnet50.a1_in1k --out resnet50.npz
    """
    import json
    import warnings

    from gwrsa.extraction.run import extract as run

    check_archive(out)
    if no_cache and cache is not None:
        raise ValueError(f"--cache must not be given with --no-cache, got {str(cache)!r}")
    try:
        stated: Any = preprocessing if preprocessing in (None, "registry") else json.loads(str(preprocessing))
    except ValueError as error:
        raise ValueError(f"--preprocessing must be JSON or 'registry', got {preprocessing!r}: {error}") from error
    with warnings.catch_warnings():
        # Each is named below.
        warnings.filterwarnings("ignore", message=".* in images are left out")
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
        f"{made!r}: {_count(len(made.meta['broken']), 'broken image')}, "
        f"{_count(len(made.meta['not_images']), 'other file')}; "
        f"written to {made.save(out)}"
    )
    if thingsvision is not None:
        typer.echo(f"written to {made.to_thingsvision(thingsvision)}")


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def models(
    show: Annotated[
        Optional[str],
        typer.Option(help="A model: its preprocessing and modules. Only a sentence encoder's weights are fetched."),
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
