"""The one kind of error that the bench raises on purpose."""


class LabError(Exception):
    """What happened, why, and what to do, in one or two lines. A notebook shows the message without a traceback."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows instead of a traceback: the message alone."""
        return [f"{type(self).__name__}: {self}"]
