"""The command line. Every command reads files, calls one public function and prints or saves what it returns."""

from __future__ import annotations

import warnings
from typing import Any

import typer

from gwrsa.cli.align import align, demo
from gwrsa.cli.represent import extract, models, rdm, rsa, spose
from gwrsa.cli.studies import merge, report, study

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Compare representations of the same objects without being told which object is which.",
)
for verb in (rdm, rsa, align, spose, extract, models, study, merge, report, demo):
    app.command()(verb)


def main() -> None:
    """Entry point: an invalid argument ends with one line on stderr and exit status 2, an interrupt with 130."""
    warnings.showwarning = _say
    try:
        app()
    except (ValueError, OSError, ImportError) as error:
        typer.echo(f"gwrsa: {error}", err=True)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        typer.echo("gwrsa: interrupted", err=True)
        raise SystemExit(130) from None


def _say(message: Warning | str, *_: Any, **__: Any) -> None:  # noqa: ANN401
    """A warning in one line, without the line of code that gave it."""
    typer.echo(f"gwrsa: warning: {message}", err=True)
