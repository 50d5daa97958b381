"""fakeredis behind a port: the cache server of a machine that has no other.

`fake_server.py FILE` serves on the port, with the password, that stand in FILE.

It speaks the protocol and runs Lua, but knows nothing of memory limits, eviction, replication or `INFO`.
"""

from __future__ import annotations

import select
import sys
from pathlib import Path

from fakeredis import TcpFakeServer
from fakeredis._clients._tcp_server import TCPFakeRequestHandler  # the only place from which it can be subclassed


def serve(port: int, password: str) -> None:
    """Serve on 127.0.0.1 until killed. A client whose first words do not hold the password is turned away.

    Raises OSError when the port is taken.
    """

    class WithPassword(TCPFakeRequestHandler):
        def handle(self) -> None:
            select.select([self.connection], [], [], 5)
            if password.encode() in self.rfile.peek():  # type: ignore[attr-defined]
                super().handle()
            else:
                self.wfile.write(b"-NOAUTH Authentication required.\r\n")

    TcpFakeServer.allow_reuse_address = sys.platform != "win32"
    server = TcpFakeServer(("127.0.0.1", port))
    server.daemon_threads = True
    server.RequestHandlerClass = WithPassword
    server.fake_server.config[b"requirepass"] = password.encode()
    server.serve_forever()


if __name__ == "__main__":
    given_port, given_password = Path(sys.argv[1]).read_text().split()
    serve(int(given_port), given_password)
