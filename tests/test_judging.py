"""After a check, whatever the answer did, the bench is as before."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from learner import Bench, fresh_bench, said  # noqa: F401
from small_shop import shop_database  # noqa: F401
from tutorial_project.lab.exercises import exercise

pytestmark = pytest.mark.usefixtures("bench")
ROOT = Path(__file__).resolve().parent.parent


def rows() -> int:
    from tutorial_project.shop.models import Tag

    return Tag.objects.count()


def adds_a_tag(_: int = 0) -> int:
    from tutorial_project.shop.models import Tag

    Tag.objects.create(slug="new", name_en="new", name_de="neu")
    return 42


def adds_a_tag_and_loops(_: int = 0) -> int:
    adds_a_tag()
    while True:
        pass


def adds_it_twice(_: int = 0) -> int:
    return adds_a_tag() + adds_a_tag()  # an IntegrityError inside the transaction


@pytest.mark.parametrize("answer", [adds_a_tag, adds_a_tag_and_loops, adds_it_twice])
def test_the_database_is_rolled_back(answer: Callable[[int], int], capsys: pytest.CaptureFixture[str]) -> None:
    before = rows()
    said(capsys, answer)
    assert rows() == before


def test_a_judge_that_commits_gets_its_database_back_from_the_file(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    from django.db import connection

    @exercise("x.2", commits=True)
    def judge(answer: Any, lab: Any) -> None:
        assert not connection.in_atomic_block

    assert said(capsys, 1, "x.2") == "x.2 Right."
    assert "restore_database" in bench.calls


def test_the_language_and_the_signed_in_are_as_before(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    from django.utils import translation

    def answer(n: int) -> int:
        translation.activate("de")
        bench._clients["bob"] = "signed in during the check"
        return 42

    with translation.override("en"):
        said(capsys, answer)
        assert translation.get_language() == "en"
    assert bench._clients == {"alice": "before"}


def test_what_cannot_be_put_back_is_said(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    def gone() -> None:
        raise ConnectionError("refused")

    bench.empty_cache = gone  # type: ignore[method-assign]
    assert said(capsys, lambda n: 42) == (
        "x.1 Right: 42. The bench could not empty the cache (ConnectionError: refused): run boot() again."
    )


REAL = """
from django.core.cache import cache
from tutorial_project.lab.booting import boot
from tutorial_project.lab.exercises import exercise
from tutorial_project.lab.judging import check
lab = boot("01_why_cache")
from tutorial_project.shop import selectors
from tutorial_project.shop.models import Customer, Tag
@exercise("x.9", seconds=30)
def judge(answer, lab):
    answer(lab)
    assert lab.client("alice").get("/").status_code == 200
def answer(lab):
    lab.swap("navigation", lambda: [])
    lab.mount("mine/", lambda request: None)
    cache.set("mine", 1)
    Tag.objects.all().delete()
    Customer.objects.exclude(user__username="alice").delete()
    raise LookupError("mine")
def state():
    return Tag.objects.count(), Customer.objects.count(), cache.get("mine"), selectors.navigation.__name__
before = state()
check("x.9", answer)
check("x.9", lambda lab: cache.set("mine", 1))
assert state() == before, (state(), before)
assert b"alice" in lab.client("alice").get("/").content.lower()
assert lab.client().get("/mine/").status_code == 404
"""


@pytest.mark.slow
def test_the_real_bench_is_as_before(tmp_path: Path) -> None:
    environment = {**os.environ, "TUTORIAL_PROGRESS": str(tmp_path / "progress.json")}
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    ran = subprocess.run(
        [sys.executable, "-c", REAL], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert "x.9 Not yet: your code raises LookupError: mine" in ran.stdout or "could not use" in ran.stdout
    assert ran.stdout.splitlines()[-1] == "x.9 Right."
