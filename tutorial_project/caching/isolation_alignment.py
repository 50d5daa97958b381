"""Part of `isolation`: which words of two answers are the same ones, found in bounded time."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

SMALL = 10_000  # pairs of words that difflib may look at: beyond, only words that stand once on each side are aligned


def aligned(a: Sequence[str], b: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of places at which `a` and `b` hold the same word, rising in both; as many as can be found at little cost.

    Common ends first, then the words that stand once on both sides (the "patience" diff), then difflib between them.
    """
    pairs: list[tuple[int, int]] = []
    open_: list[tuple[int, int, int, int]] = [(0, len(a), 0, len(b))]
    while open_:
        i, n, j, m = open_.pop()
        while i < n and j < m and a[i] == b[j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        while i < n and j < m and a[n - 1] == b[m - 1]:
            n, m = n - 1, m - 1
            pairs.append((n, m))
        if (n - i) * (m - j) <= SMALL:
            for x, y, size in SequenceMatcher(None, a[i:n], b[j:m], autojunk=False).get_matching_blocks():
                pairs.extend((i + x + k, j + y + k) for k in range(size))
        elif anchors := _anchors(a, b, i, n, j, m):
            cuts = [(i, j), *anchors, (n, m)]
            open_.extend((x, x2, y, y2) for (x, y), (x2, y2) in zip(cuts, cuts[1:], strict=False))
    return sorted(pairs)


def _anchors(a: Sequence[str], b: Sequence[str], i: int, n: int, j: int, m: int) -> list[tuple[int, int]]:
    """The longest rising row of words that stand once in a[i:n] and once in b[j:m]."""
    once_a, once_b = Counter(a[i:n]), Counter(b[j:m])
    place = {b[y]: y for y in range(j, m) if once_b[b[y]] == 1}
    pairs = [(x, place[a[x]]) for x in range(i, n) if once_a[a[x]] == 1 and a[x] in place]
    piles: list[tuple[int, int]] = []  # (place in b, index of the pair) on top of each pile, rising
    before: list[int] = []
    for index, (_, y) in enumerate(pairs):
        low = bisect_left(piles, (y,))
        before.append(piles[low - 1][1] if low else -1)
        piles[low : low + 1] = [(y, index)]
    row, index = [], piles[-1][1] if piles else -1
    while index >= 0:
        row.append(pairs[index])
        index = before[index]
    return row[::-1]
