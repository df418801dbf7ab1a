"""The verbs align and demo."""

from __future__ import annotations

import time
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional

import typer

from gwrsa import _validate as check
from gwrsa.cli.options import Backend, Items, Kind, MetricName, as_rdm, check_folder, load_pair, one_of, say_unused

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

    from gwrsa.alignment import Alignment
    from gwrsa.loaders import Categories
    from gwrsa.memberships import Uncategorised

Search = Literal["anneal", "multistart"]
Category = Literal["exclude", "category", "miss"]
Kernel = Literal["mixed", "float64"]


def align(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(help="Embedding or RDM.")],
    target: Annotated[Path, typer.Argument(help="Embedding or RDM of the same objects.")],
    metric: Annotated[MetricName, one_of(MetricName, "Dissimilarity of embeddings.")] = "cosine",
    match_histogram: Annotated[
        bool, typer.Option("--match-histogram", help="Give the target the source's distribution of dissimilarities.")
    ] = False,
    search: Annotated[Search, one_of(Search, "How the starts are made.")] = "anneal",
    epsilon: Annotated[
        Optional[str], typer.Option(help="A value or LOW,HIGH, in units of the pair's critical epsilon.")
    ] = None,
    absolute: Annotated[bool, typer.Option("--absolute", help="Epsilon is absolute, as in POT.")] = False,
    starts: Annotated[
        Optional[int], typer.Option(help="How many (n_starts in Python); by default 8 (anneal) or 20 (multistart).")
    ] = None,
    kicks: Annotated[
        int, typer.Option(help="Further starts, each from the lowest plan so far (anneal; n_kicks in Python).")
    ] = 0,
    seed: Annotated[int, typer.Option(help="Of all random draws.")] = 0,
    workers: Annotated[Optional[int], typer.Option(help="Threads; by default one a core.")] = None,
    categories: Annotated[Optional[Path], typer.Option(help="Categories of the objects (.csv or .tsv).")] = None,
    drop_category: Annotated[
        Optional[list[str]], typer.Option(help="A column of the categories that is none, such as 'others'.")
    ] = None,
    uncategorised: Annotated[Category, one_of(Category, "What an object without a category counts as.")] = "exclude",
    precision: Annotated[Kernel, one_of(Kernel, "Of the kernel.")] = "mixed",
    backend: Annotated[Backend, one_of(Backend, "What solves; auto: torch where a CUDA device is named.")] = "auto",
    device: Annotated[Optional[str], typer.Option(help="cpu, cuda or cuda:N; by default the CPU.")] = None,
    polish: Annotated[
        bool,
        typer.Option("--polish", help="Follow the start chosen without labels down to a permutation, without entropy."),
    ] = False,
    items: Items = None,
    kind: Annotated[
        Kind, one_of(Kind, "What the files hold; auto: a symmetric square of zero diagonal is an RDM.")
    ] = "auto",
    out: Annotated[Optional[Path], typer.Option(help="Folder for the table, the summary and the best plans.")] = None,
    figures: Annotated[
        Optional[Path],
        typer.Option(help="Folder for the plan and the starts as figures, where matplotlib is installed."),
    ] = None,
    progress: Annotated[bool, typer.Option(help="Show a progress bar.")] = True,
) -> None:
    """Align two representations without labels, from many starts.

    Example: gwrsa align human.npy clip.npy --items names.txt --match-histogram --categories categories.tsv --out results
    """
    from gwrsa import aligning
    from gwrsa.loaders import load_categories

    began = time.perf_counter()
    check_folder(out)
    check_folder(figures, "--figures")
    if figures is not None and find_spec("matplotlib") is None:
        raise ImportError("--figures needs matplotlib: pip install 'gwrsa[plot]'")
    if absolute and epsilon is None:
        raise ValueError("--absolute needs --epsilon, the value that is absolute")
    a, b = load_pair(context, (source, target), items, kind)
    groups = load_categories(categories) if categories else None
    if groups is None:
        say_unused(context, "uncategorised", "there are no categories")
    for name in drop_category or []:
        if groups is None:
            raise ValueError("--drop-category needs --categories")
        groups = groups.without(check.choice("--drop-category", name, groups.names))
    if match_histogram:
        a = as_rdm(a, metric)
        b = as_rdm(b, metric).match_histogram(a)
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
        backend=backend,
        device=device,
        polish="permutation" if polish else None,
        progress=progress,
    )
    members = aligning.members(groups, a)
    _report(found, members, uncategorised)
    if out is not None:
        if (out / "results.csv").is_file():
            warnings.warn(f"{out} held an earlier result, which is written over", stacklevel=2)
        typer.echo(f"written to {found.save(out)}; figures are drawn by --figures, a report by gwrsa study")
    if figures is not None:
        _draw(found, figures, members, groups)
    typer.echo(f"{time.perf_counter() - began:.1f} s in all")


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the figures.")] = Path("gwrsa-demo"),
    seed: Annotated[int, typer.Option(help="Of all random draws.")] = 0,
    progress: Annotated[bool, typer.Option(help="Show progress bars.")] = True,
) -> None:
    """Run the main job on built-in input: fourteen real colours, and a simulated study of 1,854 objects.

    Example: gwrsa demo --out figures
    """
    from gwrsa import demo as demonstration

    check_folder(out)
    began = time.perf_counter()
    demonstration.run(out, seed=seed, progress=progress, say=typer.echo)
    typer.echo(f"\n{time.perf_counter() - began:.1f} s in all\n\n{demonstration.NEXT}")


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
    best = [("without labels", found.lowest_loss)]
    paired = bool(found.starts[0].matching)
    if paired:
        typer.echo(f"RSA {found.rsa:.4f} (told the correspondence)")
        best.append(("highest matching", found.highest_matching()))
    head = f"{'':<18}{'start':>6}{'GW loss':>11}{'epsilon':>11}"
    for k in (1, 5, 10):
        head += f"{f'top-{k}':>9}" if paired else ""
    for k in (1, 5, 10):
        head += f"{f'cat. {k}':>9}" if members is not None else ""
    typer.echo(head)
    for name, start in best:
        rates = [*start.matching.values(), *start.category.values()]
        typer.echo(
            f"{name:<18}{start.number:>6}{start.gw_loss:>11.6f}{start.epsilon:>11.5g}"
            + "".join(f"{r:>9.2%}" for r in rates)
        )
    if found.polished is not None:
        end = found.polished
        rates = [*end.matching.values(), *end.category.values()]
        typer.echo(
            f"{'polished':<18}{end.start:>6}{end.gw_loss:>11.6f}{'none':>11}" + "".join(f"{r:>9.2%}" for r in rates)
        )
    n, m = len(found.source), len(found.target)
    ks = [min(k, m) for k in (1, 5, 10)]
    chances = [chance_level(m, k).exact for k in ks] if paired else []
    if members is not None and n == m:
        chances += [chance_level(n, k, members, uncategorised=uncategorised).exact for k in ks]
    typer.echo(f"{'chance':<46}" + "".join(f"{c:>9.2%}" for c in chances))
    typer.echo("\n" + choice_in_words(found))
    ended = found.table["status"].value_counts()
    typer.echo(
        f"{len(found.starts)} start{'s' if len(found.starts) > 1 else ''}: "
        + ", ".join(f"{count} {status}" for status, count in ended.items())
    )


def _draw(found: Alignment, folder: Path, members: ArrayLike | None, groups: Categories | None) -> None:
    from gwrsa.figures import one_category
    from gwrsa.figures.alignment import draw

    by = None if groups is None or members is None else one_category(members, groups.names)
    drawn = [str(path) for path in draw(found, folder, by) if path.suffix == ".png"]
    typer.echo(f"figures: {', '.join(drawn)}; as SVG and PDF, too")


def choice_in_words(found: Alignment) -> str:
    """By what the row without labels was chosen, and which starts have a lower GW loss all the same; then what needs a note."""
    best = found.lowest_loss
    among = "converged" if best.solution.converged else "have a plan"
    chosen = f"start of lowest objective, GW loss - epsilon x entropy of the plan, of those that {among}"
    if len({s.epsilon for s in found.starts}) == 1:
        said = f"without labels: the {chosen}"
    else:
        said = f"without labels: at each epsilon the {chosen};\nof these, one an epsilon, the one of lowest GW loss"
    lower = [s for s in found.starts if s.gw_loss < best.gw_loss * (1 - _SAME_LOSS)]
    for eligible, why in ((True, "the lowest objective at its epsilon"), (False, "converged")):
        some = [str(s.number) for s in lower if (s.solution.converged == best.solution.converged) == eligible]
        if some:
            more = f" and {len(some) - _MOST_NAMED} more" if len(some) > _MOST_NAMED else ""
            said += f"\nlower GW loss, but not {why}: start {', '.join(some[:_MOST_NAMED])}{more}"
    if found.polished is not None and found.polished.permutation is not None and found.polished.matching:
        said += (
            "\npolished: a permutation names one target an object; all others are tied for the further places of top-5\n"
            "and top-10, and count by their chance of one"
        )
    return said


def _percent(value: float) -> str:
    return f"{value:.2%}"


# Relative: two starts at one plan differ by the tolerance of a solve.
_SAME_LOSS = 1e-4
_MOST_NAMED = 5
_SHOWN: dict[str, Callable[..., str]] = {
    "start": "{:d}".format,
    "init": str,
    "epsilon": "{:.5g}".format,
    "epsilon_ratio": "{:.3f}".format,
    "gw_loss": "{:.6f}".format,
    "objective": "{:.6f}".format,
    "status": str,
    "n_outer": "{:d}".format,
    "top1": _percent,
    "top5": _percent,
    "top10": _percent,
    "category": _percent,
    "seconds": "{:.1f}".format,
}
