"""One self-contained HTML page of a study: `write`. Needs `gwrsa[study]`.

The page asks nothing of any other place: styles, script, figures and data are inside, and its content security policy forbids the rest.
"""

from gwrsa.report.page import write

__all__ = ["write"]
