"""The closed forms: beside a million requests of a vectorised simulation, at their limits, and on bad arguments."""

import math
from functools import cache
from typing import Any

import numpy as np
import pytest

from theory_cases import Case, vectorised_cases
from tutorial_project.lab import theory

INF = math.inf


@cache
def cases() -> list[Case]:
    return list(vectorised_cases())


@pytest.mark.slow
def test_every_formula_agrees_with_a_million_requests():
    off = [str(case) for case in cases() if case.off > case.tolerance]
    assert not off, "\n".join(off)


@pytest.mark.slow
def test_no_tolerance_hides_a_wrong_formula():
    wide = [str(case) for case in cases() if case.tolerance > 0.05 * case.predicted]
    assert len(wide) < len(cases()) / 10, "\n".join(wide)
    assert all(case.tolerance < 0.15 * case.predicted for case in cases()), "\n".join(wide)


def test_every_formula_is_among_the_cases():
    """One that is offered and held against nothing would be believed."""
    formulas = {name for name, value in vars(theory).items() if callable(value) and not name.startswith("_")}
    elsewhere = {"checked", "times", "oldest", "locmem_room", "zipf", "stale_of_uniform"}
    elsewhere |= {"server_ratio", "page_ratio", "hit_ratio_needed", "lru_hit_ratios", "fifo_hit_ratios"}
    said = " ".join(case.name for case in cases())
    missing = {name for name in formulas - elsewhere if name not in said}
    assert missing == {"overall_hit_ratio"}


@pytest.mark.parametrize(
    ("formula", "arguments", "result"),
    [
        # No requests, or entries that never live: nothing hits. Endless lives or requests: everything does.
        *[(theory.hit_ratio, at, 0.0) for at in ((0, 60), (0, INF), (5, 0), (INF, 0), (0, 0))],
        *[(theory.hit_ratio, at, 1.0) for at in ((5, INF), (INF, 60))],
        *[(theory.hit_ratio_sliding, at, 0.0) for at in ((0, 60), (0, INF), (5, 0))],
        *[(theory.hit_ratio_sliding, at, 1.0) for at in ((5, INF), (INF, 60))],
        (theory.hit_ratio, (1, 1), 0.5),
        (theory.hit_ratio, (1, 2, 1), 0.5),
        (theory.hit_ratio, (INF, 3, 1), 0.75),
        (theory.hit_ratio, (5, INF, 1), 1.0),
        (theory.hit_ratio, (5, 60, INF), 0.0),
        (theory.workers_hit_ratio, (1, 8, 8), 0.5),
        (theory.origin_rate, (INF, 60, 4), 4 / 60),
        (theory.origin_rate, (5, INF), 0.0),
        (theory.origin_rate, (5, 0), 5.0),
        (theory.origin_rate, (INF, 0), INF),
        (theory.hit_ratio_invalidated, (3, 1), 0.75),
        (theory.hit_ratio_invalidated, (3, 0), 1.0),
        (theory.hit_ratio_invalidated, (3, INF), 0.0),
        (theory.hit_ratio_invalidated, (3, 0, 1), 0.75),
        # Ages.
        (theory.age_cdf, (-1, 5, 60), 0.0),
        (theory.age_cdf, (0, 1, 1), 0.5),
        (theory.age_cdf, (60, 5, 60), 1.0),
        (theory.age_cdf, (1e9, 5, INF), 0.0),
        (theory.age_cdf, (0, 5, 0), 1.0),
        (theory.age_cdf, (0, 0, 60), 1.0),
        (theory.age_quantile, (0.5, 1, 1), 0.0),
        (theory.age_quantile, (1, 5, 60), 60.0),
        (theory.age_quantile, (0.9, 5, 0), 0.0),
        (theory.age_quantile, (0.9, 5, INF), INF),
        (theory.age_mean, (1, 1), 0.25),
        (theory.age_mean, (0, INF), 0.0),
        (theory.age_mean, (5, INF), INF),
        (theory.oldest, (600, 600), 1200.0),
        (theory.oldest, (), 0.0),
        # Stale answers: none without changes or lives, all hits when the row never rests.
        *[(theory.stale_share, at, 0.0) for at in ((5, 0, 60), (5, 0, INF), (0, 1, 60), (5, 1, 0), (INF, 1, 0))],
        (theory.stale_share, (1, INF, 1), 0.5),
        (theory.stale_share, (5, 1, INF), 1.0),
        (theory.stale_longer_than, (60, 5, 1, 60), 0.0),
        (theory.stale_longer_than, (60, 5, 1, INF), 1.0),
        (theory.stale_longer_than, (INF, 5, 1, INF), 0.0),
        *[(theory.stale_share_sliding, at, 0.0) for at in ((5, 0, INF), (0, 1, 60), (5, 1, 0))],
        *[(theory.stale_share_sliding, at, 1.0) for at in ((5, 1, INF), (INF, 1, 60), (5, 1, 1e6))],
        (theory.stale_share_regular, (1, INF, 1), 0.5),
        (theory.stale_share_bursts, (5, 0, 60, 100, 10), 0.0),
        (theory.stale_share_bursts, (5, 1, 0, 100, 10), 0.0),
        (theory.stale_share_bursts, (5, 1, INF, 100, 10), 1.0),
        (theory.stale_share_bursts, (1, INF, 1, 100, 100), 0.5),
        (theory.stale_share_regular, (1, 1, 1), 0.25),
        (theory.stale_share_regular, (5, 0, INF), 0.0),
        *[(theory.behind_mean, at, 0.0) for at in ((5, 0, 60), (5, 0, INF), (0, 1, 60), (5, 1, 0))],
        (theory.behind_mean, (1, INF, 1), 0.25),
        (theory.behind_mean, (5, 1, INF), INF),
        (theory.stale_of_uniform, (0,), 0.0),
        (theory.stale_of_uniform, (INF,), 1.0),
        # Stampedes.
        (theory.herd, (0, INF), 1.0),
        (theory.herd, (50, 0), 1.0),
        (theory.herd_shared, (0, 1, 4), 1.0),
        (theory.herd_shared, (2, 1, 1), math.e**2),
        (theory.herd_shared, (50, 0.4, 10_000), 21.0),
        (theory.herd_shared, (INF, 1, 4), INF),
        (theory.herd_shared, (1e6, 1, 1), INF),
        (theory.early_recomputations, (INF,), 1.0),
        (theory.early_recomputations, (1e-9,), INF),
        (theory.early_alone, (INF,), 1.0),
        (theory.jitter_peak, (1000, 600, 0), INF),
        (theory.jitter_peak, (0, 600, 0), 0.0),
        (theory.jitter_peak, (1000, 500, 0.1), 10.0),
        # What it is worth.
        (theory.break_even, (0.001, 0.1), 0.01),
        (theory.break_even, (0, 0), 0.0),
        (theory.break_even, (0.001, 0), INF),
        (theory.break_even, (0.2, 0.1), 2.0),
        (theory.hit_ratio_needed, (100, 0.1, 5), 0.5),
        (theory.hit_ratio_needed, (10, 0.1, 5), 0.0),
        (theory.server_ratio, (0,), 0.5),
        (theory.server_ratio, (1,), 1.0),
        (theory.page_ratio, (0,), 0.0),
        (theory.page_ratio, (1,), 1.0),
        (theory.cold_misses, ([1, 2, 0], 5, INF), 2.0),
        (theory.cold_misses, ([1, 2, 0], 5, 0), 0.0),
        (theory.moved_by_modulo, (4, 4), 0.0),
        (theory.moved_by_ring, (4, 5), 0.2),
        (theory.moved_by_ring, (5, 4), 0.2),
        (theory.locmem_room, (300,), 250.0),
        (theory.locmem_room, (300, 0), 150.0),
    ],
)
def test_limits_and_round_numbers(formula, arguments, result):
    assert formula(*arguments) == pytest.approx(result, rel=1e-12)


@pytest.mark.parametrize("ttl", [1e-9, 1e-6, 1e-3, 0.01, 1.0])
def test_small_arguments_keep_their_digits(ttl):
    """Where the obvious way to compute a difference loses them: compared with the first terms of the series."""
    if ttl <= 1e-3:
        assert theory.stale_of_uniform(ttl) == pytest.approx(ttl / 2 - ttl**2 / 6, rel=1e-6)
        assert theory.behind_mean(1, 1, ttl) == pytest.approx(theory.hit_ratio(1, ttl) * ttl**2 / 6, rel=1e-3)
    assert 0 <= theory.stale_share_sliding(1, 1e-12, ttl) <= theory.stale_share_sliding(1, 1, ttl) < 1


def test_the_two_ways_to_compute_a_small_number_meet():
    for below, above in ((0.99e-4, 1.01e-4),):
        slope = theory.stale_of_uniform(above) / above - theory.stale_of_uniform(below) / below
        assert abs(slope) < 1e-6
    near = [theory.behind_mean(5, 1, ttl) / ttl**2 for ttl in (0.999e-3, 1.001e-3)]
    assert near[0] == pytest.approx(near[1], rel=1e-2)


@pytest.mark.parametrize(("rate", "writes", "ttl"), [(2, 0.3, 4), (0.1, 3, 10), (50, 0.01, 600), (1, 1, 0.1)])
def test_what_follows_from_what(rate, writes, ttl):
    """Each inequality the docstrings state, and one formula from another."""
    share = theory.stale_share(rate, writes, ttl)
    assert share <= theory.stale_share_regular(rate, writes, ttl) <= theory.hit_ratio(rate, ttl)
    assert theory.stale_share(rate, writes / 10, ttl) < share, "the same changes in bursts of ten"
    assert theory.stale_share_bursts(rate, writes, ttl, 100, 100) == pytest.approx(share), "bursts without a pause"
    for every in (ttl / 3, ttl, 20 * ttl):
        rare = theory.stale_share_bursts(rate, writes, ttl, every, every / 10)
        dense = theory.stale_share_bursts(rate, writes, ttl, every, every / 1000)
        bound = theory.stale_share_regular(rate, 1 / every, ttl)
        assert dense <= rare * 1.0001 and dense <= bound + 0.001, "a burst is one change, however many it holds"
    assert theory.stale_share_sliding(rate, writes, ttl) > share, "renewed by hits, it is staler"
    assert theory.hit_ratio_sliding(rate, ttl) > theory.hit_ratio(rate, ttl)
    assert theory.hit_ratio_invalidated(rate, writes, ttl) < theory.hit_ratio(rate, ttl)
    assert theory.origin_rate(rate, ttl, 4) <= 4 / ttl
    for q in (0.3, 0.9, 0.99):
        age = theory.age_quantile(q, rate, ttl)
        assert theory.age_cdf(age, rate, ttl) == pytest.approx(max(q, 1 - theory.hit_ratio(rate, ttl)))
    # The mean of a positive quantity is the area above its distribution function.
    late = np.linspace(0, ttl, 20_001)
    area = np.trapezoid([theory.stale_longer_than(b, rate, writes, ttl) for b in late], late)
    assert theory.behind_mean(rate, writes, ttl) == pytest.approx(area, rel=1e-6)
    old = np.trapezoid([1 - theory.age_cdf(a, rate, ttl) for a in late[:-1]], late[:-1])
    assert theory.age_mean(rate, ttl) == pytest.approx(old, rel=1e-3)


def test_room():
    weights = theory.zipf(500, 0.8)
    for formula in (theory.lru_hit_ratios, theory.fifo_hit_ratios):
        assert formula(weights, 50).sum() == pytest.approx(50)
        assert formula(weights, 0).tolist() == [0.0] * 500
        assert formula(weights, 500).tolist() == formula(weights, INF).tolist() == [1.0] * 500
        assert formula([3, 1, 0], 2).tolist() == [1.0, 1.0, 0.0], "who is never asked for never hits"
        assert formula([1.0] * 8, 2).tolist() == pytest.approx([0.25] * 8)
        assert formula(weights * 1000, 50) == pytest.approx(formula(weights, 50)), "in any unit"
    lru = theory.overall_hit_ratio(weights, theory.lru_hit_ratios(weights, 50))
    fifo = theory.overall_hit_ratio(weights, theory.fifo_hit_ratios(weights, 50))
    assert fifo < lru < theory.best_hit_ratio(weights, 50)


BAD = [-1, math.nan, None, "5", -INF, True, [1]]


@pytest.mark.parametrize("bad", BAD, ids=repr)
def test_bad_arguments_are_refused_in_one_line(bad):
    for name, formula, others in (
        ("rate", theory.hit_ratio, {"ttl": 60}),
        ("ttl", theory.hit_ratio, {"rate": 5}),
        ("writes", theory.stale_share, {"rate": 5, "ttl": 60}),
        ("workers", theory.workers_hit_ratio, {"rate": 5, "ttl": 60}),
        ("share", theory.age_quantile, {"rate": 5, "ttl": 60}),
        ("seconds", theory.herd, {"rate": 5}),
        ("beta", theory.early_recomputations, {}),
        ("jitter", theory.jitter_peak, {"keys": 5, "ttl": 60}),
        ("hit_ratio", theory.server_ratio, {}),
        ("capacity", theory.lru_hit_ratios, {"weights": [1, 2]}),
    ):
        with pytest.raises(ValueError, match=f"^{name} is .*; it must be a number") as told:
            formula(**{name: bad}, **others)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("weights", [[], [0, 0], [1, -1], [1, math.nan], [[1], [2]], [INF]], ids=repr)
def test_bad_weights_are_refused(weights):
    with pytest.raises(ValueError, match="^weights must be a list of numbers"):
        theory.lru_hit_ratios(weights, 1)


def test_what_is_out_of_bounds_says_the_bound():
    number = "it must be a number, 0 or more"
    anything: list[Any] = [None, 2.5]
    for call, said in (
        (lambda: theory.server_ratio(1.5), f"hit_ratio is 1.5; {number} and at most 1"),
        (lambda: theory.early_recomputations(0), "beta is 0; it must be a number, more than 0"),
        (lambda: theory.hit_ratio(5, anything[0]), f"ttl is None; {number}: math.inf means never expires"),
        (lambda: theory.herd_shared(5, 1, anything[1]), "at_once is 2.5; it must be a whole number of queries"),
        (lambda: theory.oldest(600, -1), f"ttl 2 is -1; {number}"),
        (lambda: theory.age_cdf(math.nan, 5, 60), "age is not a number: it must be seconds"),
    ):
        with pytest.raises(ValueError) as told:
            call()
        assert str(told.value) == said
