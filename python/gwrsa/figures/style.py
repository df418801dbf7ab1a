"""What all figures share: sizes, type, colours, how they are saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar
from zlib import crc32

from gwrsa.shards import replace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_P = ParamSpec("_P")
_R = TypeVar("_R")

# Widths in inches: one and two columns of a journal, 89 and 183 mm.
COLUMN, PAGE = 3.5, 7.2
FORMATS = ("png", "svg", "pdf")


class Look(NamedTuple):
    """How a family is drawn: its colour, and a marker for readers who do not see it."""

    colour: str
    marker: str
    area: float
    """Of the marker: those that fill less of their square are drawn larger."""


# Okabe & Ito's palette, which colour-blind readers tell apart: https://jfly.uni-koeln.de/color/
FAMILIES = {
    "supervised": Look("#0072B2", "o", 1.0),
    "self-supervised": Look("#009E73", "s", 0.9),
    "clip": Look("#D55E00", "^", 1.1),
    "language": Look("#CC79A7", "D", 0.7),
    "human": Look("#333333", "*", 2.2),
    "untrained": Look("#999999", "X", 1.2),
}
_SPARE = (Look("#E69F00", "v", 1.1), Look("#56B4E9", "P", 1.3), Look("#B8A800", "h", 1.1))
# More models than this, and a legend names their families only.
_MOST_NAMES = 12
INK, QUIET, PALE = "#222222", "#777777", "#C4C4C4"

_SETTINGS: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["Arial", "Helvetica", "Liberation Sans", "DejaVu Sans"],
    "font.size": 7,
    "axes.titlesize": 8,
    "axes.labelsize": 7,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "text.usetex": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "lines.linewidth": 1.0,
    "hatch.linewidth": 0.5,
    "savefig.dpi": 300,
    "figure.dpi": 150,
    # Text stays text, and ids in a file are not drawn at random.
    "svg.fonttype": "none",
    "svg.hashsalt": "gwrsa",
    "pdf.fonttype": 42,
}


@contextmanager
def style() -> Iterator[None]:
    """A context in which matplotlib draws in the style of these figures; each function here enters it by itself.

    Raises
    ------
    ImportError
        If matplotlib is missing.
    """
    try:
        import matplotlib as mpl
        from matplotlib import font_manager
    except ImportError as error:
        raise ImportError("figures need matplotlib: pip install 'gwrsa[plot]'") from error
    there = {font.name for font in font_manager.fontManager.ttflist}
    # Only the fonts that are there: each missing one would be a warning.
    fonts = [name for name in _SETTINGS["font.sans-serif"] if name in there]
    settings: dict[Any, Any] = {**_SETTINGS, "font.sans-serif": fonts or ["DejaVu Sans"]}
    with mpl.rc_context(settings):
        yield
        # The backend of a notebook turns interactive mode on with the first figure. That must not end with the style, or of all
        # figures of the notebook only the first would be shown.
        interactive = mpl.is_interactive()
    mpl.interactive(interactive)


def styled(draw: Callable[_P, _R]) -> Callable[_P, _R]:
    """Make a function draw in the style."""

    @wraps(draw)
    def inside(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with style():
            return draw(*args, **kwargs)

    return inside


def family_look(family: str) -> Look:
    """Colour and marker of a family, the same in every figure; one that is not known takes a spare look by its name."""
    name = family.lower()
    return FAMILIES.get(name) or _SPARE[crc32(name.encode()) % len(_SPARE)]


def family_colour(family: str) -> str:
    """Colour of a family, as #rrggbb."""
    return family_look(family).colour


def family_order(families: Iterable[str]) -> list[str]:
    """The distinct families, those of the study first and in its order."""
    known = list(FAMILIES)
    return sorted(
        set(families), key=lambda f: (known.index(f.lower()) if f.lower() in FAMILIES else len(known), f.lower())
    )


def family_handles(families: Iterable[str], *, markers: bool) -> list[Line2D]:
    """Legend entries of the families, squares unless each has its marker."""
    from matplotlib.lines import Line2D

    return [
        Line2D(
            [],
            [],
            linestyle="",
            marker=family_look(f).marker if markers else "s",
            color=family_colour(f),
            markersize=5 * family_look(f).area ** 0.5 if markers else 5,
            label="CLIP" if f.lower() == "clip" else plain(f),
        )
        for f in family_order(families)
    ]


def model_faces(models: Iterable[tuple[str, str]]) -> dict[str, tuple[float, float, float]]:
    """Colour of the inside of each model's marker, by (name, family): that of the family, and lighter for each further model of it."""
    from matplotlib.colors import to_rgb

    given = list(dict.fromkeys(models))
    faces = {}
    for family in {f for _, f in given}:
        of = [name for name, f in given if f == family]
        for nth, name in enumerate(of):
            share = nth / (len(of) - 1) if len(of) > 1 else 0.0
            r, g, b = (1 - (1 - share) * (1 - c) for c in to_rgb(family_colour(family)))
            faces[name] = (r, g, b)
    return faces


def model_handles(models: Iterable[tuple[str, str]]) -> list[Line2D]:
    """Legend entries: the models by name where a family has several and all can be listed, else the families."""
    from matplotlib.lines import Line2D

    given = list(dict.fromkeys(models))
    families = [f for _, f in given]
    if len(set(families)) == len(given) or len(given) > _MOST_NAMES:
        return family_handles(families, markers=True)
    faces = model_faces(given)
    return [
        Line2D(
            [],
            [],
            linestyle="",
            marker=family_look(family).marker,
            markerfacecolor=faces[name],
            markeredgecolor=family_colour(family),
            markeredgewidth=0.6,
            markersize=5 * family_look(family).area ** 0.5,
            label=plain(name),
        )
        for f in family_order(families)
        for name, family in given
        if family == f
    ]


def plain(name: str) -> str:
    """A name as matplotlib has to be given it to draw it as it is: between two dollar signs it would read mathematics."""
    return str(name).replace("$", r"\$")


def blank(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes given, or those of a new figure of this size in inches."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    axes: Axes = plt.subplots(figsize=(width, height), layout="constrained")[1]
    return axes


def owner(ax: Axes) -> Figure:
    """The figure that axes are part of."""
    from matplotlib.figure import SubFigure

    figure = ax.figure
    while isinstance(figure, SubFigure):
        figure = figure.figure
    return figure


@styled
def save(what: Axes | Figure, path: str | Path, formats: Sequence[str] = FORMATS, *, close: bool = False) -> list[Path]:
    """Write a figure, each file whole or not at all; one that is drawn again from the same numbers gives the same bytes.

    Parameters
    ----------
    what : Axes or Figure
        A figure, or any axes of it.
    path : str or Path
        Without a suffix, one file a format; its folder is made. A suffix of its own, such as .png, is the only format.
    formats : sequence of str
        Of "png" (300 dots an inch), "svg" (text stays text), "pdf".
    close : bool
        Close the figure, as a program has to that draws many.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    ValueError
        If a format has another name.
    """
    from matplotlib.axes import Axes

    out = Path(path)
    wanted = list(formats)
    if out.suffix[1:] in FORMATS:
        wanted, out = [out.suffix[1:]], out.with_suffix("")
    unknown = [f for f in wanted if f not in FORMATS]
    if unknown:
        raise ValueError(f"formats must be of {', '.join(FORMATS)}, got {unknown[0]!r}")
    figure = owner(what) if isinstance(what, Axes) else what
    undated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
    written = []
    for suffix in wanted:
        file = out.with_name(f"{out.name}.{suffix}")
        how: dict[str, Any] = {"metadata": undated[suffix], "bbox_inches": "tight", "pad_inches": 0.03}
        written.append(replace(file, lambda to, suffix=suffix, how=how: figure.savefig(to, format=suffix, **how)))  # type: ignore[misc]
    if close:
        import matplotlib.pyplot as plt

        plt.close(figure)
    return written


def percent(rate: float) -> str:
    """One decimal, below 1 % two digits."""
    return f"{100 * rate:.1f} %" if rate >= 0.01 or rate == 0 else f"{100 * rate:#.2g} %"
