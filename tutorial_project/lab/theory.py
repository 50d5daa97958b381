"""The closed forms behind the figures: what a cache does to a load, before anything is run.

Rates are per second, times in seconds, shares and ratios between 0 and 1, results floats. `math.inf` as a lifetime
means "never expires". Every formula names its assumptions and where it comes from, and tests/test_theory.py holds each
against a million requests of a vectorised simulation and a hundred thousand through the bench's own engine.

Unless a docstring says otherwise: one key; readers arrive as a Poisson process and do not know of each other; changes
to the row (`writes`) come as a Poisson process of their own; a miss reads the row and stores it in no time; nothing but
its lifetime ends an entry. A miss, and the answer it gives, is fresh.

Here: lifetimes (TTL), ages and stale answers. Beside it, and offered under this name too: changes in bursts
(theory_bursts), room (theory_room), stampedes (theory_stampedes), and what a hit ratio is worth (theory_worth).
"""

from __future__ import annotations

import math

from .theory_arguments import checked, times
from .theory_bursts import stale_share_bursts as stale_share_bursts
from .theory_room import best_hit_ratio as best_hit_ratio
from .theory_room import fifo_hit_ratios as fifo_hit_ratios
from .theory_room import locmem_room as locmem_room
from .theory_room import lru_hit_ratios as lru_hit_ratios
from .theory_room import overall_hit_ratio as overall_hit_ratio
from .theory_room import zipf as zipf
from .theory_stampedes import early_alone as early_alone
from .theory_stampedes import early_lead as early_lead
from .theory_stampedes import early_recomputations as early_recomputations
from .theory_stampedes import herd as herd
from .theory_stampedes import herd_shared as herd_shared
from .theory_stampedes import jitter_peak as jitter_peak
from .theory_worth import break_even as break_even
from .theory_worth import cold_misses as cold_misses
from .theory_worth import hit_ratio_needed as hit_ratio_needed
from .theory_worth import mean_latency as mean_latency
from .theory_worth import moved_by_modulo as moved_by_modulo
from .theory_worth import moved_by_ring as moved_by_ring
from .theory_worth import page_ratio as page_ratio
from .theory_worth import server_ratio as server_ratio


def hit_ratio(rate: float, ttl: float, seconds: float = 0.0) -> float:
    """Share of requests that hit, when an entry lives `ttl` seconds from when a miss stored it: λT ÷ (1 + λT).

    One miss opens each lifetime and λT hits follow in it. Source: Jung, Berger and Balakrishnan, "Modeling TTL-based
    Internet Caches", IEEE INFOCOM 2003, for requests that are Poisson. If it takes `seconds` = Δ from the miss to its
    storing, λΔ more miss in them: λT ÷ (1 + λΔ + λT). That is for get_or_set, whose add keeps what the first stored;
    with get and set the last one's counts, and its entry ends up to Δ later.
    """
    checked(rate=rate, ttl=ttl, seconds=seconds)
    hits, more = times(rate, ttl), times(rate, seconds)
    if math.isinf(hits):
        return 1.0 if math.isinf(ttl) else ttl / (ttl + seconds)
    return 0.0 if math.isinf(more) else hits / (1.0 + more + hits)


def workers_hit_ratio(rate: float, ttl: float, workers: float) -> float:
    """The same for a local memory in each of `workers` processes that share the load evenly: λT ÷ (W + λT).

    Each sees a W-th of the requests, and a W-th of a Poisson process is one again. The same holds for a key that is
    split W ways: by user, by tenant, by language, if each asks equally often.
    """
    checked(rate=rate, ttl=ttl)
    checked(above=0, workers=workers)
    hits = times(rate, ttl)
    return 1.0 if math.isinf(hits) else hits / (workers + hits)


def origin_rate(rate: float, ttl: float, workers: float = 1) -> float:
    """Recomputations a second that reach the origin: Wλ ÷ (W + λT), each miss being one. Never more than W ÷ T."""
    checked(rate=rate, ttl=ttl)
    checked(above=0, workers=workers)
    if math.isinf(rate):
        return math.inf if ttl == 0 else workers / ttl
    return times(rate, 1.0 - workers_hit_ratio(rate, ttl, workers))


def hit_ratio_sliding(rate: float, ttl: float) -> float:
    """Share of requests that hit, when every hit renews the lifetime: 1 − e^(−λT).

    A request hits if the one before it was less than `ttl` ago. Source: the TTL caches that are "reset at hits" in
    Choungmo Fofack, Nain, Neglia and Towsley, "Performance evaluation of hierarchical TTL-based cache networks",
    Computer Networks 65 (2014).
    """
    checked(rate=rate, ttl=ttl)
    return -math.expm1(-times(rate, ttl))


def hit_ratio_invalidated(rate: float, writes: float, ttl: float = math.inf) -> float:
    """Share of requests that hit, when each change deletes the entry at once: λL ÷ (1 + λL), L = (1 − e^(−μT)) ÷ μ.

    An entry lives until the first change or its TTL, L seconds on average, and λL hits follow the miss that opened it.
    Without a TTL that is λ ÷ (λ + μ). No answer is stale.
    """
    checked(rate=rate, writes=writes, ttl=ttl)
    if writes == 0:
        return hit_ratio(rate, ttl)
    life = 0.0 if math.isinf(writes) else -math.expm1(-times(writes, ttl)) / writes
    return hit_ratio(rate, life)


def age_cdf(age: float, rate: float, ttl: float) -> float:
    """Share of answers that are at most `age` seconds old: (1 + λa) ÷ (1 + λT) from 0 to T.

    Age is the time since the row was read. The miss of a lifetime answers at age 0, its hits fall evenly on (0, T): a
    Poisson process has no preferred moment. So a share 1 ÷ (1 + λT) stands at 0 and the rest is uniform.
    """
    checked(rate=rate, ttl=ttl)
    if math.isnan(age):
        raise ValueError("age is not a number: it must be seconds")
    if age < 0:
        return 0.0
    if age >= ttl:
        return 1.0
    hits = hit_ratio(rate, ttl)
    return (1.0 - hits) + hits * age / ttl


def age_quantile(share: float, rate: float, ttl: float) -> float:
    """The age, in seconds, that a `share` of all answers does not pass; the inverse of `age_cdf`."""
    checked(rate=rate, ttl=ttl)
    checked(upto=1, share=share)
    hits = hit_ratio(rate, ttl)
    beyond = share - (1.0 - hits)
    return 0.0 if beyond <= 0 else ttl * min(1.0, beyond / hits)


def age_mean(rate: float, ttl: float) -> float:
    """Mean age of all answers, misses too, in seconds: hit_ratio × T ÷ 2 (see `age_cdf`)."""
    checked(rate=rate, ttl=ttl)
    return times(hit_ratio(rate, ttl), ttl) / 2


def oldest(*ttls: float, reading: float = 0.0) -> float:
    """The oldest answer that layers can give, one stored in the next: the sum of their TTLs.

    At worst each layer takes the value from the one below in the last moment before it expires there. `reading` is the
    longest time between reading the row and storing it (a value is that old already when its lifetime begins).
    """
    checked(reading=reading, **{f"ttl {n}": ttl for n, ttl in enumerate(ttls, start=1)})
    return math.fsum(ttls) + reading


def stale_of_uniform(changes: float) -> float:
    """How likely a copy is stale at a moment chosen evenly in its life: 1 − (1 − e^(−x)) ÷ x for x expected changes.

    A copy of age a is stale with 1 − e^(−μa); this is its mean over a in (0, T), with x = μT. Source: one minus the
    freshness of Cho and Garcia-Molina, "Synchronizing a database to improve freshness", SIGMOD 2000.
    """
    checked(changes=changes)
    if math.isinf(changes):
        return 1.0
    if changes < 1e-4:  # the difference below would lose its digits
        return changes / 2 - changes**2 / 6
    return 1.0 + math.expm1(-changes) / changes


def stale_share(rate: float, writes: float, ttl: float) -> float:
    """Share of all answers that are stale: hit_ratio × (1 − (1 − e^(−μT)) ÷ μT), a newer version having been written.

    The misses are fresh, and the hits fall evenly on the life of a copy (see `stale_of_uniform`, `age_cdf`). Of the
    hits alone, the share depends on μT only: how often the row is read does not matter.
    """
    return stale_longer_than(0.0, rate, writes, ttl)


def stale_longer_than(seconds: float, rate: float, writes: float, ttl: float) -> float:
    """Share of all answers that have been stale for more than `seconds`: the first change they miss is that old.

    A copy of age a has been so for more than b with 1 − e^(−μ(a − b)); the mean over a in (b, T) weighs (T − b) ÷ T.
    """
    checked(seconds=seconds, rate=rate, writes=writes, ttl=ttl)
    if seconds >= ttl:
        return 0.0
    within = 1.0 if math.isinf(ttl) else 1.0 - seconds / ttl
    return hit_ratio(rate, ttl) * within * stale_of_uniform(times(writes, ttl - seconds))


def behind_mean(rate: float, writes: float, ttl: float) -> float:
    """Seconds by which answers lag behind the first change they miss, 0 for fresh ones, on average over all answers.

    hit_ratio × (T ÷ 2 − stale_of_uniform(μT) ÷ μ): the mean over a in (0, T) of a − (1 − e^(−μa)) ÷ μ.
    """
    checked(rate=rate, writes=writes, ttl=ttl)
    changes = times(writes, ttl)
    if math.isinf(ttl) and min(rate, writes) > 0:
        return math.inf
    if changes < 1e-3:  # the difference below would lose its digits
        return times(hit_ratio(rate, ttl), times(ttl, changes / 6 - changes**2 / 24))
    return hit_ratio(rate, ttl) * (ttl / 2 - stale_of_uniform(changes) / writes)


def stale_share_sliding(rate: float, writes: float, ttl: float) -> float:
    """Share of all answers that are stale when every hit renews the lifetime.

    With p = 1 − e^(−λT): p − λ(1 − e^(−(λ+μ)T)) ÷ (μe^(λT) + λe^(−μT)). After a miss the n-th hit comes if n gaps in a
    row are shorter than T, and is fresh if no change fell in any of them: φⁿ, with φ = λ(1 − e^(−(λ+μ)T)) ÷ (λ + μ).
    The sum over n, divided by the e^(λT) requests that a life has, is the share of fresh hits. A key asked for often
    enough is never read again: the share goes to 1.
    """
    checked(rate=rate, writes=writes, ttl=ttl)
    asked, changed = times(rate, ttl), times(writes, ttl)
    if asked == 0 or changed == 0:
        return 0.0
    hits = hit_ratio_sliding(rate, ttl)
    if asked > 700 or math.isinf(changed):  # e^(λT) is beyond a float, or every copy is stale at once: no hit is fresh
        return hits
    fresh = rate * -math.expm1(-asked - changed) / (writes * math.exp(asked) + rate * math.exp(-changed))
    return max(0.0, hits - fresh)


def stale_share_regular(rate: float, writes: float, ttl: float) -> float:
    """Share of all answers that are stale when the changes come evenly, one every 1 ÷ `writes` seconds.

    A copy of age a is stale with min(1, μa). That is the union bound, so **no pattern of changes at this rate makes
    more answers stale**, as long as the readers do not know the pattern: bursts make fewer.
    """
    checked(rate=rate, writes=writes, ttl=ttl)
    changes = times(writes, ttl)
    return hit_ratio(rate, ttl) * (changes / 2 if changes <= 1 else 1.0 - 1.0 / (2.0 * changes))
