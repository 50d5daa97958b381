"""Whatever an answer does, its learner reads one message, and the bench can be used on."""

import signal
import time
from typing import Any

import pytest

from learner import Bench, cell, fresh_bench, kept, said  # noqa: F401
from small_shop import shop_database  # noqa: F401
from tutorial_project.lab.errors import LabError
from tutorial_project.lab.exercises import NotAttempted, attempt, exercise
from tutorial_project.lab.judging import check
from tutorial_project.lab.starters import untouched

pytestmark = pytest.mark.usefixtures("bench")
STARTER = "def price(region):\n    return 1\n"


NOT_ATTEMPTED = {
    "nothing": "answer = ...",
    "an empty function": "def answer(n): ...",
    "a docstring alone": "def answer(n):\n    'Doubles.'",
    "a function that returns nothing yet": "def answer(n):\n    # your turn\n    return ...",
    "pass": "def answer(n):\n    pass",
    "a lambda": "answer = lambda n: ...",
    "half a list": "answer = [1, ...]",
    "half a dict": "answer = {'a': ...}",
    "found when called": "def answer(n):\n    todo = ...\n    return todo",
    "printing and returning nothing yet": "def answer(n):\n    print('hm')\n    return ...",
}


@pytest.mark.parametrize("source", NOT_ATTEMPTED.values(), ids=NOT_ATTEMPTED.keys())
def test_a_starter_is_not_attempted(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, cell(source)) == "x.1 not attempted yet."
    assert kept() is None


@pytest.mark.parametrize(
    ("source", "same"),
    [
        ("def price(region):\n    return 1", True),
        ("def price(region):   # a comment\n\n    return 1", True),
        ("def price(region):\n    return 2", False),
        ("from functools import cache\n@cache\ndef price(region):\n    return 1", False),
        ("def price(region):\n    region\n    return 1", False),
    ],
)
def test_a_starter_that_works_is_not_attempted_until_it_is_changed(source: str, same: bool) -> None:
    assert untouched(cell(source, "price"), STARTER) is same


DECORATED = "from functools import lru_cache, wraps\ndef loud(f): return wraps(f)(lambda n: f(n))\n"


@pytest.mark.parametrize(
    ("around", "same"),
    [("", True), ("price = loud(price)", False), ("price = lru_cache(loud(price))", False)],
)
@pytest.mark.parametrize("starter", ["def price(n):\n    return n", "@loud\ndef price(n):\n    return n"])
def test_a_starter_that_was_wrapped_is_an_answer(starter: str, around: str, same: bool) -> None:
    assert untouched(cell(f"{DECORATED}{starter}\n{around}", "price"), starter) is same


MESSAGES = {
    "def answer(n):\n    return 2 * n": "x.1 Right: 42.",
    "answer = lambda n: n + n": "x.1 Right: 42.",
    "answer = int('42').__radd__": "x.1 Not yet: of 21 it makes 63, not 42.",
    "def answer(n):\n    return n": "x.1 Not yet: of 21 it makes 21, not 42.",
    "def answer(n):\n    n * 2": (
        "x.1 Not yet: what it returns should be a whole number, and is None (is a return missing?)."
    ),
    "answer = 42": "x.1 Not yet: your answer should be a function, and is 42 (int).",
    "def answer(n):\n    return 'x'": "x.1 Not yet: what it returns should be a whole number, and is 'x' (str).",
    "def answer(n):\n    return True": "x.1 Not yet: what it returns should be a whole number, and is True (bool).",
    "def answer(n):\n    return print": (
        "x.1 Not yet: what it returns should be a whole number, and is the function print (should it be called?)."
    ),
    "def answer(n):\n    m = n\n    return m / 0": (
        "x.1 Not yet: your code raises ZeroDivisionError: division by zero, in line 3: `return m / 0`."
    ),
    "def answer(n):\n    return inner(n)\ndef inner(n):\n    return {}[n]": (
        "x.1 Not yet: your code raises KeyError: 21, in line 4: `return {}[n]`."
    ),
    "import json\ndef answer(n):\n    return json.loads('{')": (
        "x.1 Not yet: your code raises JSONDecodeError: Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1), in line 3: `return json.loads('{')`."
    ),
    "def answer():\n    return 1": (
        "x.1 Not yet: the check could not use your answer: TypeError: answer() takes 0 positional arguments but 1 was "
        "given. Is it of the right kind, with the right arguments?"
    ),
    "class E(Exception):\n    def __str__(self): raise E\ndef answer(n):\n    raise E": (
        "x.1 Not yet: your code raises E, in line 4: `raise E`."
    ),
    "def answer(n):\n    exit()": "x.1 Not yet: your code calls exit(), in line 2: `exit()`. Return instead.",
    "import sys\ndef answer(n):\n    sys.exit(1)": (
        "x.1 Not yet: your code calls exit(), in line 3: `sys.exit(1)`. Return instead."
    ),
    "def answer(n):\n    raise GeneratorExit": (
        "x.1 Not yet: your code raises GeneratorExit, in line 2: `raise GeneratorExit`."
    ),
    "def answer(n):\n    while True:\n        pass": "x.1 Not yet: stopped after 0.3 s, in line",
    "def answer(n):\n    while True:\n        try:\n            n\n        except:\n            pass": (
        "x.1 Not yet: stopped after 0.3 s, in line"
    ),
    "def answer(n):\n    while True:\n        print('on and on')": (
        'Does it wait, or loop, for ever? Your code printed: "on and on…".'
    ),
    "import time\ndef answer(n):\n    time.sleep(60)": (
        "x.1 Not yet: stopped after 0.3 s, in line 3: `time.sleep(60)`. Does it wait, or loop, for ever?"
    ),
    "def answer(n):\n    print(n)\n    return 2 * n": 'x.1 Right: 42. Your code printed: "21".',
    "import sys\ndef answer(n):\n    print('oh', file=sys.stderr)\n    return n": (
        'x.1 Not yet: of 21 it makes 21, not 42. Your code printed: "oh".'
    ),
    "def answer(n):\n    return answer(n)": "x.1 Not yet: your code raises RecursionError: maximum recursion depth",
}


@pytest.mark.parametrize(("source", "message"), MESSAGES.items())
def test_every_answer_gets_one_message(
    source: str, message: str, bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    start = time.monotonic()
    assert message in said(capsys, cell(source))
    assert time.monotonic() - start < 5
    assert kept() == {"title": "double it", "passed": message.startswith("x.1 Right"), "tries": 1}
    assert bench.calls == ["empty_cache", "rearranged", "empty_cache"]
    assert said(capsys, lambda n: n + 21) == "x.1 Right: 42."


def test_the_users_interrupt_is_no_answer(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(n: int) -> int:
        signal.raise_signal(signal.SIGINT)
        return 2 * n

    assert said(capsys, answer) == "x.1 Interrupted: nothing was judged."
    assert kept() is None and bench.calls[-1] == "empty_cache"


def test_passed_once_is_passed(capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, lambda n: 42)
    said(capsys, lambda n: 43)
    assert kept() == {"title": "double it", "passed": True, "tries": 2}


def test_what_is_printed_fills_no_memory() -> None:
    from tutorial_project.lab.judging import KEPT_OUTPUT, _Printed

    printed = _Printed()
    for _ in range(10_000):
        assert printed.write("on and on\n") == 10
    assert len(printed.getvalue()) == KEPT_OUTPUT


def test_an_unknown_exercise_names_those_there_are() -> None:
    with pytest.raises(LabError, match=r"no exercise 'y.9'.*x\.1"):
        check("y.9", ...)


def test_one_judge_an_exercise() -> None:
    def elsewhere(answer: Any, lab: Any) -> None: ...

    elsewhere.__module__ = "another.lesson"
    with pytest.raises(ValueError, match=r"x\.1 is judged in"):
        exercise("x.1")(elsewhere)


def test_a_lab_error_is_said_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    def answer(n: int) -> int:
        raise LabError("The shop has no such thing.")

    assert said(capsys, answer) == "x.1 Not yet: The shop has no such thing."


def test_attempt_passes_results_on() -> None:
    assert attempt(lambda a, b: (a, b), 1, b=None) == (1, None)
    with pytest.raises(NotAttempted):
        attempt(lambda: ...)
