"""A slider over a function: what it shows for one value, and in a live notebook for every other.

`slide(show, ttl=[1, 10, 60])` calls `show(ttl=…)` and shows what that prints, draws or returns. Where there are no
widgets (on the web, in print, in CI) the output for the value at the start stands alone, as if `show` had been called.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from .choices import WIDGET_VIEW, in_kernel
from .errors import LabError

PICTURE = ("image/png", "text/html")


def slide(show: Callable[..., Any], *, start: Any = None, unit: str = "", **values: Sequence[Any]) -> None:
    """Show `show(name=value)` for the values of one name, at `start` first (or the first of them), with a slider.

    The slider has a label, `name` and `unit`; it moves by mouse, finger and arrow keys. An error that `show` raises
    while somebody slides is shown as one line, and the slider stays usable. Raises LabError where the values are not
    those of one name, are fewer than two, or do not hold `start`; and whatever `show` raises at the start.
    """
    if len(values) != 1:
        raise LabError("slide wants the values of one name, as in slide(show, ttl=[1, 10, 60]).")
    ((name, options),) = values.items()
    options = list(options)
    start = options[0] if start is None and options else start
    if len(options) < 2 or start not in options:
        raise LabError(f"slide wants two values of {name} or more, and one of them as the start.")
    if not in_kernel():
        _plain(show(**{name: start}))
        return
    from IPython.display import display

    text, parts = _captured(lambda: show(**{name: start}))
    bundle: dict[str, Any] = {"text/plain": text, **parts}
    with suppress(Exception):  # without working widgets the output at the start still stands
        box = _box(show, name, options, start, unit, _as_html(text, parts))
        bundle |= {WIDGET_VIEW: box.get_view_spec()}
    display(bundle, raw=True)


def _plain(result: Any) -> None:
    if result is not None:
        print(result)


def _box(show: Callable[..., Any], name: str, options: list[Any], start: Any, unit: str, shown: str) -> Any:
    import ipywidgets as widgets  # type: ignore[import-untyped]

    slider = widgets.SelectionSlider(
        options=[(f"{option:g} {unit}".strip() if _is_number(option) else str(option), option) for option in options],
        value=start,
        description=f"{name}:",
        continuous_update=False,  # when the handle is let go: each value is a run of its own
        style={"description_width": "initial"},
        layout={"width": "min(100%, 540px)"},
    )
    picture = widgets.HTML(shown)

    def moved(change: dict[str, Any]) -> None:
        try:
            picture.value = _as_html(*_captured(lambda: show(**{name: change["new"]})))
        except Exception as error:
            picture.value = f'<div role="alert">{html.escape(_one_line(error))}</div>'

    slider.observe(moved, names="value")
    return widgets.VBox([slider, picture])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _one_line(error: Exception) -> str:
    said = str(error).strip()
    return f"{type(error).__name__}: {said.splitlines()[0]}" if said else type(error).__name__


def _captured(call: Callable[[], Any]) -> tuple[str, dict[str, Any]]:
    """What a call prints, displays and returns, as text; and its last picture or table, by MIME type."""
    from IPython.utils.capture import capture_output

    with capture_output() as captured:
        result = call()
    texts = [captured.stdout.rstrip("\n")]
    parts: dict[str, Any] = {}
    for output in captured.outputs:
        texts.append(output.data.get("text/plain", ""))
        parts = {kind: output.data[kind] for kind in PICTURE if kind in output.data} or parts
    if result is not None:
        texts.append(str(result))
        table = getattr(result, "_repr_html_", lambda: None)()
        parts = {"text/html": table} if table else parts
    return "\n".join(text for text in texts if text), parts


def _as_html(text: str, parts: dict[str, Any]) -> str:
    return parts.get("text/html") or f"<pre>{html.escape(text)}</pre>"
