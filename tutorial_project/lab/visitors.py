"""The test client, as a browser is: without a cookie it sends no Cookie header."""

from __future__ import annotations

from typing import Any

from django.test import Client


class Visitor(Client):
    """Django's test client sends an empty Cookie header where it has no cookies.

    The page cache tells an empty header from none, and would keep a page for strangers that no real one finds.
    """

    def _base_environ(self, **request: Any) -> dict[str, Any]:
        environ: dict[str, Any] = super()._base_environ(**request)  # type: ignore[misc]  # not in the stubs
        if not environ.get("HTTP_COOKIE"):
            environ.pop("HTTP_COOKIE", None)
        return environ
