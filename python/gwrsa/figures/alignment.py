"""The figures of one alignment, as those of a study are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gwrsa.figures.matrices import plan
from gwrsa.figures.scatter import local_optima, loss_against_epsilon
from gwrsa.figures.style import save

if TYPE_CHECKING:
    from gwrsa.alignment import Alignment


def draw(found: Alignment, out: str | Path, categories: Sequence[str | None] | None = None) -> list[Path]:
    """Draw the plan chosen without labels, loss against matching rate, and loss against epsilon, as far as there are these.

    Parameters
    ----------
    found : Alignment
        Without counterparts there are neither the first nor the second; the third is of several epsilons, or where there is no other.
    out : path
        Folder for them; it is made.
    categories : sequence, optional
        One an object of both sides, by which the plan is sorted, as `one_category` gives them. None: no sorting.

    Returns
    -------
    list of Path
        What was written, PNG, SVG and PDF of each figure.

    Raises
    ------
    ValueError
        If every start failed, or categories do not fit.
    ImportError
        If matplotlib is missing.
    """
    source, target, best = found.source.name, found.target.name, found.lowest_loss
    starts = found.table.assign(source=source, target=target, family=target)
    folder, written = Path(out), []
    if best.matching:
        written += save(plan(best.plan, categories, source=source, target=target), folder / "plan", close=True)
        written += save(local_optima(starts), folder / "local_optima", close=True)
    if not best.matching or starts["epsilon"].nunique() > 1:
        written += save(loss_against_epsilon(starts), folder / "loss_against_epsilon", close=True)
    return written
