"""Running a learner's answer before its judge: whatever it does, there is one message, and the bench stays usable."""

import io
import linecache
import sysconfig
import textwrap
import traceback
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from ..caching.time_limit import TimeUp, within
from .errors import LabError
from .exercises import Exercise, NotAttempted, Wrong, find
from .progress_file import Entry, record
from .starters import untouched

LINE = 90  # characters; JupyterLab breaks longer lines in the middle of a word
KEPT_OUTPUT = 2000  # characters of what the learner's code prints; a loop that prints for ever fills no memory
ENDLESS = "Does it wait, or loop, for ever?"
UNUSABLE = "Is it of the right kind, with the right arguments?"


@dataclass(frozen=True)
class Verdict:
    """How a check ended ("right", "wrong", "not attempted", "error", "late" or "interrupted") and what it says."""

    kind: str
    message: str


def check(id: str, answer: Any) -> None:
    """Judge your `answer` to the exercise `id`, and print what was seen.

    Right or wrong is kept for `progress()`. Afterwards the cache is empty, the database as it was before, and mounted
    and swapped is what was so before.
    """
    known = find(id)
    verdict = judge(known, answer)
    for line in f"{id} {verdict.message}".splitlines():
        print(textwrap.fill(line, LINE, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False))
    if verdict.kind in ("not attempted", "interrupted"):
        return

    def change(old: Entry) -> Entry:
        return {
            "title": known.title,
            "passed": verdict.kind == "right" or old.get("passed", False),
            "tries": old.get("tries", 0) + 1,
        }

    if notice := record("exercises", id, change):
        print(notice)


def judge(exercise: Exercise, answer: Any) -> Verdict:
    """Run the exercise's judge on `answer`. Raises LabError before boot(), and nothing that the answer raises."""
    if untouched(answer, exercise.starter):
        return Verdict("not attempted", "not attempted yet.")
    from .bench import current

    lab = current()
    printed = _Printed()
    trouble: list[str] = []
    verdict = _on_bench(lab, exercise, lambda: _run(exercise, answer, lab, printed), trouble)
    extra = [f'Your code printed: "{printed.start()}".'] if printed.getvalue().strip() else []
    if verdict.kind == "not attempted":
        extra = []
    return Verdict(verdict.kind, "\n".join([verdict.message, *extra, *trouble]))


def _on_bench(lab: Any, exercise: Exercise, run: Callable[[], Verdict], trouble: list[str]) -> Verdict:
    """What `run()` returns, with the bench put back before and after; what could not be goes to `trouble`, in words."""
    from django.db import Error, transaction
    from django.utils import translation

    def put_back(what: str, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception as error:
            line = f"The bench could not {what} ({_first_line(error)}): run boot() again."
            if line not in trouble:
                trouble.append(line)

    language, clients = translation.get_language(), dict(lab._clients)
    arrangement = ExitStack()
    arrangement.enter_context(lab.arrangement_kept())
    verdict = Verdict("error", "could not be judged.")
    put_back("empty the cache", lab.empty_cache)
    try:
        if exercise.commits:
            verdict = run()
        else:
            with transaction.atomic():
                verdict = run()
                transaction.set_rollback(True)
    except Error as error:
        trouble.append(f"The bench could not roll the database back ({error}): run boot() again.")
    finally:
        lab._clients.clear()
        if exercise.commits:
            put_back("end the transaction", _leave_transactions)
            put_back("put the database back", lab.restore_database)
        else:
            lab._clients.update(clients)  # who signed in during the check has no session any more
        put_back("restore what was swapped", arrangement.close)
        put_back("empty the cache", lab.empty_cache)
        translation.activate(language) if language else translation.deactivate_all()
    return verdict


def _leave_transactions() -> None:
    """Forget a connection on which an answer has begun a transaction and never ended it."""
    from django.db import connections

    for alias in connections:
        if connections[alias].in_atomic_block:
            connections[alias].close()
            del connections[alias]


def _run(exercise: Exercise, answer: Any, lab: Any, printed: io.StringIO) -> Verdict:
    def where(error: BaseException) -> str:
        return _their_line(error.__traceback__, exercise.judge.__code__.co_filename)

    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            line = within(exercise.seconds, lambda: exercise.judge(answer, lab))
    except NotAttempted:
        return Verdict("not attempted", "not attempted yet.")
    except Wrong as wrong:
        return Verdict("wrong", f"Not yet: {wrong}")
    except TimeUp as stop:
        return Verdict("late", f"Not yet: stopped after {exercise.seconds:g} s{where(stop)}. {ENDLESS}")
    except KeyboardInterrupt:
        return Verdict("interrupted", "Interrupted: nothing was judged.")
    except SystemExit as stop:
        return Verdict("error", f"Not yet: your code calls exit(){where(stop)}. Return instead.")
    except LabError as error:
        return Verdict("error", f"Not yet: {error}")
    except BaseException as error:
        raised = _first_line(error)
        if line := where(error):
            return Verdict("error", f"Not yet: your code raises {raised}{line}.")
        return Verdict("error", f"Not yet: the check could not use your answer: {raised}. {UNUSABLE}")
    return Verdict("right", f"Right: {line}" if line else "Right.")


def _first_line(error: BaseException) -> str:
    try:
        text = str(error).strip()
    except Exception:
        text = ""
    name = type(error).__name__
    return f"{name}: {text.splitlines()[0][:200]}" if text else name


def _their_line(where: TracebackType | None, judges: str) -> str:
    """The innermost line of the learner's own code, as ", in line 3: `return 1 / 0`"; "" if none of theirs ran."""
    theirs = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(where)]
    theirs = [place for place in theirs if place[0] != judges and _is_theirs(place[0])]
    if not theirs:
        return ""
    filename, line = theirs[-1]
    source = linecache.getline(filename, line).strip()
    return f", in line {line}" + (f": `{source}`" if source else "")


_NOT_THEIRS = {Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")}
_NOT_THEIRS |= {Path(__file__).resolve().parent.parent}


def _is_theirs(filename: str) -> bool:
    """Whether code is the learner's: from a cell or a file of theirs, not Python's, a library's or this project's."""
    if filename.startswith(("<frozen", "<string>")):
        return False
    return not any(Path(filename).resolve().is_relative_to(folder) for folder in _NOT_THEIRS)


class _Printed(io.StringIO):
    """Keeps the first characters of what is written to it, and drops the rest."""

    def write(self, text: str) -> int:
        super().write(text[: max(0, KEPT_OUTPUT - self.tell())])
        return len(text)

    def start(self) -> str:
        """The first line, shortened."""
        lines = self.getvalue().strip().splitlines()
        return lines[0][:80] + ("…" if len(lines) > 1 or len(lines[0]) > 80 else "")
