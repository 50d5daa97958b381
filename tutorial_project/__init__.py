"""Django Caching, Measured. This file must be readable by every Python 3, to say to an old one that it is too old."""

import sys


def refuse_old_python(found=None):  # type: ignore[no-untyped-def]
    """Stop with one clear line on a Python older than 3.11; `found` is the version, that of this Python by default."""
    version = tuple(found or sys.version_info[:3])
    if version >= (3, 11):
        return
    line = (
        "This course needs Python 3.11 or newer, and this is Python {} ({}). Run `make lab`, or choose another kernel."
    )
    line = line.format(".".join(map(str, version)), sys.executable)
    if "IPython" not in sys.modules:
        sys.exit(line)

    class OldPython(ImportError):
        """Shown by IPython as its message alone."""

        def _render_traceback_(self):  # type: ignore[no-untyped-def]
            return [str(self)]

    raise OldPython(line)


refuse_old_python()
