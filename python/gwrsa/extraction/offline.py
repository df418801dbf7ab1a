"""A hub of weights that does not answer is found out at once; its own client would try again for a minute and a half."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

# Seconds for the hub to answer.
_PATIENCE = 5.0


@contextmanager
def at_once() -> Iterator[str]:
    """Ask the hub before its client does; where it does not answer, the block finds only what is on disk, and else fails at once.

    Yields
    ------
    str
        What is to be said where something is missing; empty where the hub answers, or there is no client that asks it.
    """
    try:
        from huggingface_hub import constants
    except ImportError:
        yield ""
        return
    known: Any = constants
    if known.HF_HUB_OFFLINE:
        yield "HF_HUB_OFFLINE is set"
    elif _answers(known.ENDPOINT):
        yield ""
    else:
        known.HF_HUB_OFFLINE = True
        try:
            yield f"{known.ENDPOINT} does not answer"
        finally:
            known.HF_HUB_OFFLINE = False


def _answers(endpoint: str) -> bool:
    """Whether there is any answer, through whatever proxy is set; also one that this is not how to ask."""
    try:
        with urlopen(Request(endpoint, method="HEAD"), timeout=_PATIENCE):  # noqa: S310  # the client's own address
            return True
    except HTTPError:
        return True
    except URLError as error:
        return isinstance(error.reason, ssl.SSLError)
    except OSError:
        return False
