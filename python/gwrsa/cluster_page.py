"""A page of Dask's dashboard, `/gwrsa`: starts done, starts failed and lowest loss of every pair, and about how long the rest takes."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

from distributed import SchedulerPlugin
from tornado.web import RequestHandler

from gwrsa.study_compute import Job, Outcome, Progress, duration

if TYPE_CHECKING:
    from distributed import Client, Scheduler

TOPIC = "gwrsa"
"""Of the events by which a driver tells the page."""
_MOST_STUDIES = 8
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:52rem;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%}th,td{padding:.25rem .6rem;border-bottom:1px solid #ddd;text-align:left}"
    ".n{text-align:right;font-variant-numeric:tabular-nums}h1{font-size:1.3rem;margin:1.5rem 0 0}p{margin:.3rem 0 1rem}"
)

Tell: TypeAlias = Callable[[Progress, Job, Outcome], None]


class Page(SchedulerPlugin):  # type: ignore[misc]  # distributed has no types
    """On the scheduler: what drivers told of their studies, the last few."""

    name = "gwrsa"
    # The page of a driver before knows its study: it stays.
    idempotent = True

    def __init__(self) -> None:
        self.studies: dict[str, dict[str, Any]] = {}

    async def start(self, scheduler: Scheduler) -> None:
        """Serve the page beside the others of the dashboard, below whatever they are below."""
        scheduler.http_application.add_handlers(r".*", [(r".*/gwrsa/?", _Shown, {"page": self})])

    def log_event(self, topic: str, msg: Any) -> None:  # noqa: ANN401
        """Count what a driver told."""
        if topic != TOPIC:
            return
        study = self.studies.pop(msg["run"], {"pairs": {}})
        self.studies[msg["run"]] = study
        study |= {name: msg[name] for name in ("study", "units", "of", "left")}
        if msg["pair"] is not None:
            starts, failed, lowest = study["pairs"].get(msg["pair"], (0, 0, math.inf))
            lowest = min(lowest, math.inf if msg["lowest"] is None else msg["lowest"])
            study["pairs"][msg["pair"]] = starts + msg["starts"], failed + msg["failed"], lowest
        for oldest in list(self.studies)[:-_MOST_STUDIES]:
            del self.studies[oldest]

    def html(self) -> str:
        """The page."""
        shown = "".join(map(_study, reversed(self.studies.values()))) or "<p>No unit of a study is done yet.</p>"
        return (
            '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="2">'
            '<meta name="viewport" content="width=device-width"><title>gwrsa studies</title>'
            f"<style>{_STYLE}</style><body>{shown}</body></html>"
        )


class _Shown(RequestHandler):
    def initialize(self, page: Page) -> None:
        self.page = page

    def get(self) -> None:
        self.write(self.page.html())


def _study(study: dict[str, Any]) -> str:
    """One study of the page; its names are text."""
    starts, failed = (sum(pair[i] for pair in study["pairs"].values()) for i in (0, 1))
    left = "" if study["left"] is None else f", about {duration(study['left'])} left"
    rows = "".join(
        f"<tr><td>{html.escape(name)}</td>"
        + "".join(f'<td class="n">{value}</td>' for value in (done, lost, f"{lowest:.6g}" if lowest < math.inf else ""))
        + "</tr>"
        for name, (done, lost, lowest) in sorted(study["pairs"].items())
    )
    return (
        f"<h1>{html.escape(study['study'])}</h1>"
        f"<p>{study['units']} of {study['of']} units, {starts} starts, {failed} failed{left}. Counted from where this run began.</p>"
        '<table><thead><tr><th>pair</th><th class="n">starts done</th><th class="n">failed</th>'
        f'<th class="n">lowest loss</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def page_of(client: Client) -> tuple[str | None, Tell]:
    """Put the page on the scheduler of a client; its address, and what tells it of a job that is done.

    A scheduler that does not take it, as one without gwrsa, has no page; the study goes on without.
    """
    run = uuid4().hex
    try:
        client.register_plugin(Page())
        link = client.dashboard_link
    except OSError:
        raise
    except Exception:  # noqa: BLE001  # whatever another version of Dask or gwrsa says there
        return None, lambda *_: None

    def tell(shown: Progress, job: Job, outcome: Outcome) -> None:
        told = {
            "run": run,
            "study": shown.name,
            "units": shown.n_done,
            "of": shown.n_units,
            "left": shown.left(),
            "pair": job[0].names if job[0].what == "align" else None,
            "starts": outcome.starts,
            "failed": outcome.failed,
            "lowest": outcome.lowest if math.isfinite(outcome.lowest) else None,
        }
        with suppress(OSError):  # that the scheduler is gone, the jobs tell
            client.log_event(TOPIC, told)

    return link.removesuffix("/status") + "/gwrsa" if link else None, tell
