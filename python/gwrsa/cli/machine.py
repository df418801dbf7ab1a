"""The verbs doctor and bench: this installation on this machine."""

from __future__ import annotations

from typing import Annotated

import typer


def doctor(
    speed: Annotated[bool, typer.Option(help="Measure, too: about five seconds.")] = True,
) -> None:
    """Say what is installed, test it, and measure whether this machine does what it should; status 1 if an answer is wrong.

    Example: gwrsa doctor
    """
    from gwrsa import doctor as examination

    if not examination.run(typer.echo, speed=speed):
        raise typer.Exit(1)


def bench(
    objects: Annotated[int, typer.Option(help="Of the solve that is compared, 10 to 1854.")] = 300,
    rounds: Annotated[int, typer.Option(help="How often each solves, in turn.")] = 3,
    search: Annotated[bool, typer.Option(help="Also align all 1,854 objects.")] = True,
) -> None:
    """Time a solve of the built-in simulation, and POT's beside it where it is installed, with the loss reached.

    Example: gwrsa bench --objects 500
    """
    from gwrsa import quick_bench

    quick_bench.run(typer.echo, n=objects, rounds=rounds, search=search)
