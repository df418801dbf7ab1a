"""Objects and their most probable counterparts, with images where there are any."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gwrsa import _validate as check
from gwrsa.extraction.inputs import BrokenImageError, decode
from gwrsa.figures.style import COLUMN, INK, PAGE, QUIET, blank, plain, styled
from gwrsa.loaders_files import IMAGE_SUFFIXES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DOTS = 256  # of a thumbnail's side: enough for print
OWN, SAME = "#9BD4BF", "#D6E6F2"  # its own counterpart; the same category


@styled
def top_table(
    top: ArrayLike,
    items: Sequence[str],
    *,
    target_items: Sequence[str] | None = None,
    categories: ArrayLike | None = None,
    rows: Sequence[int] | None = None,
    k: int = 5,
    images: str | Path | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A row an object: itself, then its k most probable counterparts; green is its own, blue the same category.

    Parameters
    ----------
    top : array-like of int, shape (n, K)
        Most probable targets of each source item, most probable first.
    items : sequence of str, length n
        Labels of the source items.
    target_items : sequence of str, length m, optional
        None: the same as items.
    categories : array-like, shape (n, c), optional
        0/1 membership, of both sides. None: only the object's own counterpart is marked.
    rows : sequence of int, optional
        Which source items. None: ten, evenly taken.
    k : int
        1 to K.
    images : path, optional
        Folder with `<label>.jpg` (or another suffix that `gwrsa.extract` reads), or a folder `<label>` whose first image by name
        is taken. An object without one has its name only; one whose image is broken says so, and a warning counts and names
        them.
    ax : matplotlib Axes, optional
        None: a new figure.

    Raises
    ------
    ValueError
        If k, rows or lengths do not fit, or `images` is no folder.
    """
    from matplotlib.patches import Patch, Rectangle

    named = np.asarray(top)
    if named.ndim != 2 or named.dtype.kind not in "iu":
        raise ValueError(f"top must be integers of shape (n, K), got {named.dtype} of shape {named.shape}")
    k = check.integer("k", k, 1, named.shape[1])
    if len(items) != len(named):
        raise ValueError(f"items must have length {len(named)}, one a row of top, got {len(items)}")
    labels = items if target_items is None else target_items
    if named.max() >= len(labels):
        raise ValueError(f"top must hold indices of {len(labels)} targets, counted from 0, got {named.max()}")
    folder = None if images is None else Path(images)
    if folder is not None and not folder.is_dir():
        raise ValueError(f"images must be a folder, got {str(images)!r}")
    members = None if categories is None else check.array("categories", categories, 2) > 0
    chosen = (
        np.unique(np.linspace(0, len(named) - 1, min(10, len(named))).round().astype(int))
        if rows is None
        else [check.integer("rows", r, 0, len(named) - 1) for r in rows]
    )
    shown = dict.fromkeys(str(label) for i in chosen for label in (items[i], *(labels[j] for j in named[i, :k])))
    drawn = {} if folder is None else pictures(folder, shown)
    high = 1.0 if folder else 0.36
    axes = blank(ax, PAGE if k > 3 else COLUMN, 0.35 + len(chosen) * high * (0.62 if folder else 0.55))
    for y, i in enumerate(chosen):
        for x in range(k + 1):
            j = int(named[i, x - 1]) if x else int(i)
            label = str(labels[j] if x else items[i])
            own = bool(x) and label == str(items[i])
            same = bool(x) and members is not None and bool((members[i] & members[j]).any())
            left = x + (0.12 if x else 0.0)
            axes.add_patch(
                Rectangle(
                    (left + 0.02, y + 0.04),
                    0.96,
                    0.92,
                    facecolor=OWN if own else SAME if same else "#F4F4F4",
                    linewidth=0,
                )
            )
            if label in drawn:
                _show(axes, drawn[label], left + 0.5, y + 0.42, 0.66)
            axes.text(
                left + 0.5,
                y + (0.86 if label in drawn else 0.5),
                plain(label.replace("_", " ")),
                ha="center",
                va="center",
                fontsize=6.5 if len(label) < 18 else 5.5,
                weight="bold" if not x else "normal",
            )
    for x in range(k + 1):
        axes.text(x + 0.5 + (0.12 if x else 0), -0.12, str(x) if x else "object", ha="center", va="bottom", color=QUIET)
    axes.set_xlim(0, k + 1.12)
    axes.set_ylim(max(len(chosen), 1), -0.6 if not folder else -0.4)
    axes.set_axis_off()
    handles = [Patch(color=OWN, label="itself")]
    if members is not None:
        handles.append(Patch(color=SAME, label="shares a category"))
    axes.figure.legend(handles=handles, loc="outside lower right", ncols=2)
    axes.plot([1.06, 1.06], [0.04, len(chosen) - 0.04], color=INK, linewidth=0.6)
    return axes


def image_files(folder: Path, labels: Iterable[str]) -> dict[str, Path]:
    """The image of each object that has one."""
    entries = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    alone = {p.stem: p for p in reversed(entries) if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()}
    several = {p.name: p for p in entries if p.is_dir()}
    found = {}
    for label in labels:
        inside = sorted(several[label].iterdir()) if label in several and label not in alone else []
        first = (p for p in inside if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
        file = alone.get(label) or next(first, None)
        if file is not None:
            found[label] = file
    return found


def pictures(folder: Path, labels: Iterable[str]) -> dict[str, NDArray[np.uint8] | None]:
    """A square crop from the middle of each object's image; None where it is broken, which a warning says."""
    from PIL import ImageOps

    files = image_files(folder, labels)
    made: dict[str, NDArray[np.uint8] | None] = {}
    broken = []
    for label, file in files.items():
        try:
            picture = decode(str(file), file.read_bytes())
        except (BrokenImageError, OSError) as error:
            made[label] = None
            broken.append(str(error))
            continue
        side = min(_DOTS, *picture.size)
        made[label] = np.asarray(ImageOps.fit(picture, (side, side)))
    if broken:
        listed = "; ".join(broken[:10]) + ("; ..." if len(broken) > 10 else "")
        warnings.warn(
            f"images must be whole, got {len(broken)} of {len(files)} shown that are not: {listed}", stacklevel=4
        )
    return made


def _show(axes: Axes, picture: NDArray[np.uint8] | None, x: float, y: float, size: float) -> None:
    """A picture, or that it is broken, round a point."""
    inset = axes.inset_axes((x - size / 2, y - size / 2, size, size), transform=axes.transData)
    inset.set_axis_off()
    if picture is None:
        inset.text(0.5, 0.5, "broken\nimage", ha="center", va="center", fontsize=6, color=QUIET, style="italic")
    else:
        inset.imshow(picture)
