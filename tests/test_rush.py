"""Several visitors at once."""

import _thread
import threading

import pytest
from django.http import HttpRequest, HttpResponse

from real_shop import fresh_lab, running_lab  # noqa: F401
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.errors import LabError


def test_every_visitor_asks_all_the_time_and_at_once(lab: Lab) -> None:
    together = threading.Barrier(3)

    def meet(request: HttpRequest) -> HttpResponse:
        together.wait(timeout=5)  # broken, unless three are in here at the same time
        return HttpResponse()

    run = lab.rush(lab.mount("meet/", meet), visitors=3, seconds=0.0001)
    assert list(run.columns) == ["visitor", "t", "ms", "status"]
    assert set(run["visitor"]) == {0, 1, 2} and set(run["status"]) == {200}


def test_a_rush_lasts_as_long_as_told_and_each_visitor_waits_for_the_answer(lab: Lab) -> None:
    run = lab.rush("/search/?q=lamp", visitors=2, seconds=0.3)
    assert len(run) > 4 and run["t"].between(0, 0.3).all() and (run["ms"] > 0).all()
    for _, own in run.groupby("visitor"):
        own = own.sort_values("t")
        assert (own["t"].shift(-1) * 1000 >= own["t"] * 1000 + own["ms"])[:-1].all()


def test_what_goes_wrong_in_a_thread_comes_out(lab: Lab) -> None:
    def crash(request: HttpRequest) -> HttpResponse:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        lab.rush(lab.mount("crash/", crash), visitors=2, seconds=0.1)


@pytest.mark.parametrize(("visitors", "seconds"), [(0, 1), (-1, 1), (33, 1), (1, 0), (1, 31)])
def test_a_rush_that_cannot_be_is_one_line(lab: Lab, visitors: int, seconds: float) -> None:
    with pytest.raises(LabError, match="A rush has 1 to 32 visitors and lasts at most 30 seconds"):
        lab.rush("/", visitors, seconds)


def test_an_interrupted_rush_leaves_no_visitor_behind(lab: Lab) -> None:
    threading.Timer(0.3, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        lab.rush("/search/?q=lamp", visitors=3, seconds=20)
    assert [thread.name for thread in threading.enumerate() if "_visit" in thread.name] == []
