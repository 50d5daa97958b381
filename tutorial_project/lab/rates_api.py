"""The slow outside service that the shop asks for exchange rates: `python -m tutorial_project.lab.rates_api PORT-FILE`.

It stands for somebody else's API: every answer takes 50 ms, which no index and no faster database of yours will change.

- `GET /rate/USD` answers `{"base": "EUR", "currency": "USD", "rate": "1.0843"}`; an unknown currency is a 404;
- `GET /calls` answers `{"calls": n}`, how often a rate was asked for.

It takes a free port by itself and writes its number into PORT-FILE, so that nobody can take the port in between.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

RATES = {"EUR": "1.0000", "USD": "1.0843", "GBP": "0.8571", "CHF": "0.9412"}
DELAY = 0.05  # seconds


class Rates(BaseHTTPRequestHandler):
    """One request for a rate, or for the number of calls so far."""

    protocol_version = "HTTP/1.1"
    calls = 0
    lock = threading.Lock()

    def do_GET(self) -> None:
        """Answer `/rate/<currency>` slowly and `/calls` at once."""
        currency = self.path.removeprefix("/rate/")
        if self.path == "/calls":
            self.answer(200, {"calls": Rates.calls})
            return
        with Rates.lock:
            Rates.calls += 1
        time.sleep(DELAY)
        if currency in RATES:
            self.answer(200, {"base": "EUR", "currency": currency, "rate": RATES[currency]})
        else:
            self.answer(404, {"error": f"no rate for {currency!r}"})

    def answer(self, status: int, content: dict[str, object]) -> None:
        """Send `content` as JSON."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing: nobody reads this server's log."""


def calls() -> int:
    """How often the service that this project asks was asked for a rate so far."""
    from urllib.request import ProxyHandler, build_opener

    from django.conf import settings  # here, for the service itself runs without Django

    with build_opener(ProxyHandler({})).open(f"{settings.RATES_URL}/calls", timeout=settings.RATES_TIMEOUT) as answer:
        return int(json.load(answer)["calls"])


def main(port_file: Path) -> None:
    """Serve on a free port of 127.0.0.1 until killed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Rates)
    server.daemon_threads = True
    half_written = port_file.with_suffix(".new")
    half_written.write_text(str(server.server_address[1]))
    os.replace(half_written, port_file)
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
