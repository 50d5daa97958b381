"""Django's test client, as a browser is: without a cookie it sends no Cookie header.

The test client sends an empty one, and the page cache tells an empty header from none: it would keep a page for
strangers that no real one finds.

Guarantee: a request without cookies has no Cookie header; all else is the test client's. Limit: it is for tests.
"""

from __future__ import annotations

from typing import Any

from django.test import Client


class Browser(Client):
    """A test client whose requests carry a Cookie header only where there is a cookie."""

    def _base_environ(self, **request: Any) -> dict[str, Any]:
        environ: dict[str, Any] = super()._base_environ(**request)  # type: ignore[misc]  # not in the stubs
        if not environ.get("HTTP_COOKIE"):
            environ.pop("HTTP_COOKIE", None)
        return environ
