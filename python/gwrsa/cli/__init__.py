"""The command line. Every command reads files, calls one public function and prints or saves what it returns."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated, Any

import typer

from gwrsa.cli.align import align, demo
from gwrsa.cli.machine import bench, doctor
from gwrsa.cli.represent import extract, models, rdm, rsa, spose
from gwrsa.cli.stored import check, results
from gwrsa.cli.studies import merge, report, study

_INTERRUPTED = 130

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Compare representations of the same objects without being told which object is which.",
)
for verb in (rdm, rsa, align, spose, extract, models, study, merge, results, check, report, demo, doctor, bench):
    app.command()(verb)


def _print_version(wanted: bool) -> None:
    if wanted:
        from gwrsa import __version__

        typer.echo(f"gwrsa {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and leave.")
    ] = False,
) -> None:
    """Before any verb; typer takes the help of the whole from above."""


def main() -> None:
    """Entry point: an invalid argument, or a file or machine that fails, ends with one line and status 2, an interrupt with 130."""
    said: set[str] = set()

    def say(message: Warning | str, *_: Any, **__: Any) -> None:  # noqa: ANN401
        if str(message) not in said:  # whichever line of code gave it
            said.add(str(message))
            typer.echo(f"gwrsa: warning: {message}", err=True)

    warnings.showwarning = say
    warnings.simplefilter("always", UserWarning)
    try:
        app()
    except (ValueError, OSError, ImportError, MemoryError) as error:
        what = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        typer.echo(f"gwrsa: {what}", err=True)
        raise SystemExit(2) from None
    except (KeyboardInterrupt, SystemExit) as end:
        # typer makes an exit of 130 of an interrupt, and says nothing.
        if isinstance(end, SystemExit) and end.code != _INTERRUPTED:
            raise
        resumes = sys.argv[1:2] in (["study"], ["extract"]) and "--no-cache" not in sys.argv
        again = "; run the same command to go on" if resumes else ""
        typer.echo(f"\ngwrsa: interrupted{again}", err=True)
        raise SystemExit(_INTERRUPTED) from None
