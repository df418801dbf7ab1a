"""Built-in input, and the main job on it: fourteen real colours, and simulated studies whose ground truth is known.

What the documentation shows is made from it: `colours`, `simulated` and `write_study` give the same input anywhere, in seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from gwrsa import _colours, _simulate
from gwrsa import _validate as check
from gwrsa._simulate import Simulated
from gwrsa._validate import FloatArray
from gwrsa.aligning import align
from gwrsa.alignment import Alignment
from gwrsa.chance import chance_level
from gwrsa.embedding import Embedding
from gwrsa.figures.style import styled
from gwrsa.rdm import RDM

COLOUR_EPSILON = 0.01
COLOUR_STARTS = 100
SIMULATION_STARTS = 3
NEXT = """Next, with files of your own (README.md; after `make demo`, first: source .venv/bin/activate):
  gwrsa align human.npy model.npy --items names.txt --match-histogram --out results
  gwrsa study study.toml --out results      (many models, with report: docs/study.md)"""


def colours() -> tuple[RDM, Embedding]:
    """Fourteen spectral colours: as people judged them, and as colorimetry places them. Real data.

    Returns
    -------
    RDM
        1 - the mean similarity that 31 people gave to each pair (Ekman 1954, https://doi.org/10.1080/00223980.1954.9712953), in [0, 1].
    Embedding
        CIE 1976 u'v' of the same wavelengths, shape (14, 2), scaled so that the largest distance is 1; by the colour-matching functions of
        Wyman, Sloan & Shirley (2013), https://jcgt.org/published/0002/02/01/.

    Examples
    --------
    >>> judged, measured = gwrsa.demo.colours()
    >>> judged
    RDM('human colour similarity', 14 objects, 1 - judged similarity, labelled)
    >>> judged.items[:3]
    ('434 nm', '445 nm', '465 nm')
    """
    return _colours.human(), _colours.chromaticity()


def display_colours() -> FloatArray:
    """The fourteen colours of `colours` as a screen can show them: sRGB (14, 3), float64 in [0, 1]; white is added where it cannot.

    Examples
    --------
    >>> gwrsa.demo.display_colours().shape
    (14, 3)
    """
    return _colours.srgb()


def simulated(n_objects: int = 1854, n_categories: int = 27, seed: int = 0) -> Simulated:
    """A made-up human embedding and three models of it: fine and coarse structure kept, only the coarse, neither. Not data.

    Parameters
    ----------
    n_objects, n_categories : int
        At least 2 and 1.
    seed : int
        At least 0.

    Returns
    -------
    Simulated
        `human` (n_objects, 40), `models`, three of (n_objects, 128), and `categories`, one an object.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> made_up = gwrsa.demo.simulated(n_objects=100, n_categories=8)
    >>> made_up.human
    Embedding('simulated human', 100 objects x 40, labelled)
    >>> [model.name for model in made_up.models]
    ['fine and coarse kept', 'only coarse kept', 'neither kept']
    """
    n_objects, n_categories, seed = _checked(n_objects, n_categories, seed)
    return _simulate.study(seed, n_objects, n_categories)


def write_study(folder: str | Path, *, n_objects: int = 150, n_categories: int = 12, seed: int = 0) -> Path:
    """Write the files of a small study in the shape of the reference study: made-up models of four families. Not data.

    Parameters
    ----------
    folder : path
        Where; it is made. Files of the same names are replaced.
    n_objects, n_categories, seed : int
        As in `simulated`.

    Returns
    -------
    Path
        Its study.toml, for `Study.from_toml` or `gwrsa study`: random starts over a range of epsilon, seconds of work.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> path = gwrsa.demo.write_study("simulated-study")
    >>> gwrsa.Study.from_toml(path)
    Study('simulated study', 7 models against 'simulated human')
    """
    n_objects, n_categories, seed = _checked(n_objects, n_categories, seed)
    return _simulate.write(Path(folder), seed, n_objects, n_categories)


def _checked(n_objects: int, n_categories: int, seed: int) -> tuple[int, int, int]:
    return (
        check.integer("n_objects", n_objects, 2),
        check.integer("n_categories", n_categories, 1),
        check.integer("seed", seed, 0),
    )


def run(out: Path | None = None, *, seed: int = 0, progress: bool = True, say: Callable[[str], object] = print) -> None:
    """Print both parts; draw and save them in `out`, where matplotlib is there. None: nothing is written."""
    colours = colour_alignment(seed=seed, progress=progress)
    best = colours.lowest_loss
    own = best.top[:, 0] == range(len(best.top))
    say("Ekman (1954): 14 spectral colours, judged by 31 people, against their CIE u'v' chromaticities")
    say("(real data; the alignment is not told which colour is which)")
    say("")
    labels = [f"{nm}" for nm in _colours.WAVELENGTHS]
    say("  colour (nm)   " + " ".join(labels))
    say("  coupled with  " + " ".join(labels[j] for j in best.top[:, 0]))
    say("  right         " + " ".join("yes" if right else " - " for right in own))
    say("")
    say(
        f"  {own.sum()} of {len(own)} colours meet themselves; RSA {colours.rsa:.3f}, GW loss {best.gw_loss:.5f}, "
        f"epsilon {best.epsilon:g}, best of {len(colours.starts)} random starts"
    )
    say("")
    simulated = _simulate.study(seed)
    n = len(simulated.human)
    say(
        f"SIMULATION, not data: a made-up human embedding of {n} objects in {_simulate.N_CATEGORIES} categories, and three"
    )
    say("made-up models whose relation to it is known. RSA is told the correspondence, the alignment is not.")
    say("")
    alignments = simulation_alignments(simulated, seed=seed, progress=progress)
    say(f"  {'model':<24}{'RSA':>8}{'top-1':>9}{'top-5':>9}{'category':>10}{'GW loss':>10}{'seconds':>9}")
    for a in alignments:
        s = a.lowest_loss
        say(
            f"  {a.target.name:<24}{a.rsa:>8.3f}{s.matching[1]:>9.1%}{s.matching[5]:>9.1%}{s.category[1]:>10.1%}"
            f"{s.gw_loss:>10.5f}{sum(x.solution.seconds for x in a.starts):>9.1f}"
        )
    members = simulated.categories.members
    chance = {k: chance_level(n, k).exact for k in (1, 5)}
    category = chance_level(n, 1, members).exact
    say(f"  {'chance':<24}{'0':>8}{chance[1]:>9.1%}{chance[5]:>9.1%}{category:>10.1%}")
    if out is None:
        return
    if find_spec("matplotlib") is None:
        say("\nNo figures: they need matplotlib (pip install 'gwrsa[plot]')")
        return
    for path in draw(
        out, colours, alignments, simulated, {"top-1": chance[1], "top-5": chance[5], "category": category}
    ):
        say(f"\nfigure: {path}" if path.name.startswith("colours") else f"figure: {path}")


def colour_alignment(*, seed: int = 0, progress: bool = False) -> Alignment:
    """Align judged with measured colours, at the literature's protocol: random starts at one epsilon."""
    return align(
        _colours.human(),
        _colours.chromaticity().rdm("euclidean"),
        search="multistart",
        epsilon=COLOUR_EPSILON,
        absolute=True,
        n_starts=COLOUR_STARTS,
        seed=seed,
        progress=progress,
        precision="float64",
    )


def simulation_alignments(study: _simulate.Simulated, *, seed: int = 0, progress: bool = False) -> list[Alignment]:
    """Align each simulated model with the simulated human."""
    return [
        align(study.human, model, n_starts=SIMULATION_STARTS, seed=seed, progress=progress, categories=study.categories)
        for model in study.models
    ]


@styled
def draw(
    out: Path,
    colours: Alignment,
    alignments: list[Alignment],
    study: _simulate.Simulated,
    chance: dict[str, float],
) -> list[Path]:
    """Save both figures as PNG; returns their paths."""
    from matplotlib.figure import Figure

    from gwrsa import figures

    out.mkdir(parents=True, exist_ok=True)
    best = colours.lowest_loss
    first = Figure(figsize=(4.2, 4.2), layout="constrained")
    axes = first.subplots()
    figures.plan_in_colours(best.plan, _colours.srgb(), [str(nm) for nm in _colours.WAVELENGTHS], ax=axes)
    axes.set_title("Judged similarity against chromaticity, aligned without labels\n")
    first.savefig(out / "colours.png", dpi=200)

    table = {
        a.target.name: {
            "RSA": a.rsa,
            "top-1": a.lowest_loss.matching[1],
            "top-5": a.lowest_loss.matching[5],
            "category": a.lowest_loss.category[1],
        }
        for a in alignments
    }
    second = Figure(figsize=(10.0, 5.8), layout="constrained")
    above = second.subplots(2, 1, height_ratios=(1.0, 1.1))
    figures.rates(table, chance, ax=above[0])
    second.suptitle("SIMULATION: three made-up models against a made-up human embedding of 1,854 objects", fontsize=9)
    grid = above[1].get_subplotspec().subgridspec(1, len(alignments))
    above[1].remove()
    names = [study.categories.names[c] for c in study.categories.members.argmax(axis=1)]
    for i, a in enumerate(alignments):
        below = second.add_subplot(grid[0, i])
        figures.plan_by_category(a.lowest_loss.plan, names, ax=below)
        below.set_title(a.target.name)
    second.savefig(out / "simulation.png", dpi=200)
    return [out / "colours.png", out / "simulation.png"]
