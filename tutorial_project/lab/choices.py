"""A question with its options: buttons in a live JupyterLab, the same words as text everywhere else."""

import html
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def in_kernel() -> bool:
    """Whether this Python is a notebook's kernel (and not a script, a test or a terminal)."""
    with suppress(ImportError):
        from IPython.core.getipython import get_ipython

        return hasattr(get_ipython(), "kernel")
    return False


def display_choice(
    text: str,
    question: str,
    labels: Sequence[str],
    on_click: Callable[[int], tuple[str, int]],
    *,
    said: str = "",
    chosen: int | None = None,
    locked: bool = False,
    stacked: bool = False,
) -> None:
    """Show `text`, and in a live notebook in its place `question` with a button for each of `labels`.

    A click calls `on_click(index)`, which returns the sentence to show below the buttons and the index of the option
    that then stands; `said` is that sentence at the start. `chosen` marks a button, `locked` makes all of them
    unusable, `stacked` puts each on a line of its own.
    """
    if not in_kernel():
        print(text)
        return
    from IPython.display import display

    bundle: dict[str, Any] = {"text/plain": text}
    with suppress(Exception):  # without working widgets the text, and the argument it names, still do
        box = _box(question, labels, on_click, said, chosen, locked, stacked)
        bundle |= {WIDGET_VIEW: box.get_view_spec()}
    display(bundle, raw=True)


def rich(text: str) -> str:
    """`text` as HTML: escaped, `code` between backticks as code, line ends kept."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text)).replace("\n", "<br>")


def _box(
    question: str,
    labels: Sequence[str],
    on_click: Callable[[int], tuple[str, int]],
    said: str,
    chosen: int | None,
    locked: bool,
    stacked: bool,
) -> Any:
    import ipywidgets as widgets  # type: ignore[import-untyped]

    heading = widgets.HTML(f'{_WRAPPED}<div style="{_FONT} font-weight: 600">{rich(question)}</div>')
    answer = widgets.HTML(_said(said))
    size = {"width": "auto", "max_width": "calc(100% - 4px)", "height": "auto"}
    buttons = [widgets.Button(disabled=locked, layout=size) for _ in labels]

    def mark(chosen: int | None) -> None:
        for index, button in enumerate(buttons):
            button.description = ("✓ " if index == chosen else "") + labels[index].replace("`", "")
            button.style.font_weight = "bold" if index == chosen else ""

    def clicked(index: int) -> None:
        text, stands = on_click(index)
        answer.value = _said(text)
        mark(stands)

    mark(chosen)
    for index, button in enumerate(buttons):
        button.on_click(lambda _, index=index: clicked(index))
    line = widgets.Layout(display="flex", flex_flow="column" if stacked else "row wrap", align_items="flex-start")
    box = widgets.VBox([heading, widgets.Box(buttons, layout=line), answer])
    box.add_class("tutorial-choice")
    return box


# A button keeps its label on one line and cuts what is too long; here it takes the lines it needs.
_WRAPPED = (
    "<style>.tutorial-choice button.jupyter-button { white-space: normal; text-align: left; line-height: 1.4; "
    "padding: 5px 10px; min-height: 30px }</style>"
)
_FONT = "color: var(--jp-content-font-color1, inherit); font-size: var(--jp-content-font-size1, 14px);"


def _said(text: str) -> str:
    # role="status": a screen reader speaks the new sentence without losing its place.
    return f'<div role="status" style="{_FONT}">{rich(text)}</div>' if text else ""
