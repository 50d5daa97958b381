"""The contract executed: ages follow the data, the shop keeps its promises, and one that is broken is seen."""

import time

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.template import engines
from django.views.decorators.cache import cache_page

from real_shop import fresh_lab, running_lab  # noqa: F401
from tutorial_project.caching.metering import listening
from tutorial_project.lab.bench import Lab
from tutorial_project.lab.freshness import Ages, busy, executed
from tutorial_project.lab.recorded_time import recorded_time
from tutorial_project.shop import kept
from tutorial_project.shop.models import Product


def test_the_shop_keeps_its_promises_under_traffic(lab: Lab) -> None:
    with lab.layered():
        started = time.perf_counter()
        t = busy()
        print(len(t))
        table, broken = executed(t)
        print(table.to_string(), broken, time.perf_counter() - started)
    assert broken == []
    assert (table["served"] > 0).all() and table["broken"].sum() == 0
