"""A breaker that leaves a dead server alone, slots for what is done instead, and which errors mean that it is away."""

import threading
from typing import Any

from django.core.cache.backends.locmem import LocMemCache
from django.core.cache.backends.redis import RedisCache
from django.test import SimpleTestCase

from tutorial_project.caching import resilience, runtime
from tutorial_project.caching.resilience import (
    Breaker,
    InvalidationLost,
    Overloaded,
    Slots,
    StillComputing,
    failures,
)


class Clock(runtime.Runtime):
    """A clock that the test sets."""

    time = 1_000_000.0

    def now(self) -> float:
        return self.time


class BreakerTests(SimpleTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        block = runtime.using(self.clock)
        block.__enter__()
        self.addCleanup(block.__exit__, None, None, None)
        self.breaker = Breaker(after=3, pause=2.0)

    def fail(self, times: int = 1) -> None:  # type: ignore[override]
        for _ in range(times):
            self.breaker.failed(OSError("refused"))

    def opened(self) -> None:
        with self.assertLogs(resilience.logger, "WARNING") as logs:
            self.fail(3)
        self.assertIn("3 failures in a row, the last: OSError('refused'). It is tried every 2 seconds", logs.output[0])

    def test_open_after_so_many_failures_in_a_row(self) -> None:
        self.fail(2)
        self.assertTrue(self.breaker.closed)
        self.breaker.worked()
        self.fail(2)
        self.assertTrue(self.breaker.closed)
        self.breaker.worked()
        self.opened()
        self.assertFalse(self.breaker.closed)

    def test_one_caller_tries_when_the_pause_is_over(self) -> None:
        self.opened()
        self.clock.time += 1.9
        self.assertFalse(self.breaker.closed)
        self.clock.time += 0.2
        self.assertEqual([self.breaker.closed for _ in range(3)], [True, False, False])
        self.clock.time += 2.1
        self.assertEqual([self.breaker.closed for _ in range(3)], [True, False, False])

    def test_closed_again_when_it_has_worked(self) -> None:
        self.opened()
        with self.assertLogs(resilience.logger, "WARNING") as logs:
            self.breaker.worked()
        self.assertIn("answers again", logs.output[0])
        self.assertEqual([self.breaker.closed for _ in range(3)], [True] * 3)

    def test_a_try_that_fails_begins_the_pause_anew(self) -> None:
        self.opened()
        self.clock.time += 2.1
        self.assertTrue(self.breaker.closed)
        self.clock.time += 1.0
        self.fail()
        self.clock.time += 1.5
        self.assertFalse(self.breaker.closed)

    def test_a_clock_that_is_set_back_does_not_keep_it_open(self) -> None:
        self.opened()
        self.clock.time -= 86_400
        self.assertTrue(self.breaker.closed)

    def test_what_cannot_be_meant(self) -> None:
        for after, pause in ((0, 1.0), (3, 0.0), (3, float("nan"))):
            with self.subTest((after, pause)), self.assertRaisesRegex(ValueError, "Breaker"):
                Breaker(after, pause)


class SlotTests(SimpleTestCase):
    def test_so_many_and_no_more(self) -> None:
        slots, inside, most = Slots(2), 0, 0
        lock, let_go = threading.Lock(), threading.Event()
        self.addCleanup(let_go.set)  # where this test fails, nobody goes on waiting

        def work() -> None:
            nonlocal inside, most
            with slots.taken(60):
                with lock:
                    inside += 1
                    most = max(most, inside)
                let_go.wait(10)
                with lock:
                    inside -= 1

        threads = [threading.Thread(target=work, daemon=True) for _ in range(6)]
        for thread in threads:
            thread.start()
        self.assertTrue(runtime.wait(lambda: inside >= 2, 10))
        said = "2 computations run in this process, and none has ended in 0.05 s"
        with self.assertRaisesRegex(Overloaded, said), slots.taken(0.05):
            self.fail("a third one")
        let_go.set()
        for thread in threads:
            thread.join(10)
        self.assertEqual(most, 2)

    def test_a_slot_is_given_back_after_an_error(self) -> None:
        slots = Slots(1)
        for _ in range(3):
            with self.assertRaises(ZeroDivisionError), slots.taken(0):
                raise ZeroDivisionError

    def test_what_cannot_be_meant(self) -> None:
        for many in (0, -1):
            with self.subTest(many), self.assertRaisesRegex(ValueError, "at least one"):
                Slots(many)


class FailureTests(SimpleTestCase):
    def test_a_server_that_refuses_is_among_them(self) -> None:
        cache: Any = RedisCache("redis://127.0.0.1:1/0", {"OPTIONS": {"socket_connect_timeout": 0.5}})
        with self.assertRaises(failures(cache)):
            cache.get("menu")

    def test_a_value_that_cannot_be_pickled_is_not(self) -> None:
        cache: Any = RedisCache("redis://127.0.0.1:1/0", {})
        for error in (TypeError("cannot pickle"), ValueError("key"), AttributeError("gone")):
            self.assertNotIsInstance(error, failures(cache))

    def test_local_memory_is_never_away(self) -> None:
        self.assertEqual(failures(LocMemCache(self.id(), {})), (OSError,))

    def test_what_they_say(self) -> None:
        self.assertIn("'menu' is being computed by another request", str(StillComputing("menu", 30.0)))
        self.assertIn("could not be told to forget menu, rates", str(InvalidationLost(("menu", "rates"))))
        self.assertEqual(InvalidationLost(("menu",)).keys, ("menu",))
