"""A report as one HTML page that needs nothing else: no network, no script, styles and drawings inside."""

from __future__ import annotations

import re
from typing import Any

from spak.tuner.errors import TunerError
from spak.tuner.report.document import Document

_PERCENT = re.compile(r"(?<=\d) %")
_CODE = re.compile(r"`([^`]*)`")


def page(document: Document) -> str:
    """`document` as an HTML page.

    Raises:
        TunerError: If jinja2 is not installed.
    """
    try:
        import jinja2  # noqa: PLC0415 - of the `report` extra, needed by this command alone
        import markupsafe  # noqa: PLC0415
    except ImportError:
        raise TunerError("a report needs jinja2; install it with: pip install 'spak[report]'") from None

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("spak.tuner.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )

    def inline(text: str) -> Any:
        """Escaped text with `code` marked up, numbers kept with their percent sign."""
        text = _PERCENT.sub("\u00a0%", text)
        return markupsafe.Markup(_CODE.sub(r"<code>\1</code>", str(markupsafe.escape(text))))  # noqa: S704 - escaped first

    environment.filters["inline"] = inline
    environment.filters["drawing"] = markupsafe.Markup
    environment.filters["kind"] = lambda block: type(block).__name__.lower()
    return environment.get_template("page.html.j2").render(document=document)
