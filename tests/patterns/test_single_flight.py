"""One computation at a time for each key and process, shared only with those who asked before it began."""

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any
from unittest import mock

from django.test import SimpleTestCase

from tutorial_project.caching import runtime
from tutorial_project.caching.single_flight import SingleFlight


class Barrier:
    """A computation that tells when it has begun, and goes on when it is let go."""

    def __init__(self, outcome: Callable[[], Any]) -> None:
        self.outcome, self.runs = outcome, 0
        self.began, self.let_go = threading.Event(), threading.Event()

    def __call__(self) -> Any:
        self.runs += 1
        self.began.set()
        self.let_go.wait(10)
        return self.outcome()


class Menu:
    """A value of which a test sees whether anybody still has it."""


class SingleFlightTests(SimpleTestCase):
    def setUp(self) -> None:
        self.flights = SingleFlight()
        self.answers: list[Any] = []
        self.threads: list[threading.Thread] = []

    def ask(self, compute: Callable[[], Any], key: str = "menu") -> threading.Thread:
        """Ask in a thread of its own, which notes the answer, or the error."""

        def work() -> None:
            try:
                self.answers.append(self.flights.run(key, compute, patience=10))
            except BaseException as error:
                self.answers.append(error)

        thread = threading.Thread(target=work, daemon=True)
        self.threads.append(thread)
        thread.start()
        return thread

    def all_answered(self) -> list[Any]:
        for thread in self.threads:
            thread.join(10)
        self.assertFalse(any(thread.is_alive() for thread in self.threads))
        self.assertEqual(self.flights._flights, {})  # nothing is left behind
        return self.answers

    def waiting(self, many: int) -> None:
        """Until so many numbers were drawn: each who asks draws one, and each computation that begins."""
        drawn = lambda: int(repr(self.flights._numbers)[6:-1]) >= many  # noqa: E731
        self.assertTrue(runtime.wait(drawn, 10))

    def test_who_asks_while_it_runs_gets_the_next_one_and_shares_it(self) -> None:
        old, new = Barrier(lambda: "old"), Barrier(lambda: "new")
        self.ask(old)
        self.assertTrue(old.began.wait(10))
        for _ in range(7):
            self.ask(new)
        self.waiting(2 + 7)
        old.let_go.set()
        new.let_go.set()
        self.assertCountEqual(self.all_answered(), ["old"] + ["new"] * 7)
        self.assertEqual((old.runs, new.runs), (1, 1))

    def test_an_error_is_shared_in_the_same_way(self) -> None:
        old, new = Barrier(lambda: "old"), Barrier(lambda: 1 / 0)
        self.ask(old)
        self.assertTrue(old.began.wait(10))
        for _ in range(3):
            self.ask(new)
        self.waiting(2 + 3)
        old.let_go.set()
        new.let_go.set()
        kinds = [type(answer).__name__ for answer in self.all_answered()]
        self.assertCountEqual(kinds, ["str"] + ["ZeroDivisionError"] * 3)
        self.assertEqual(new.runs, 1)

    def test_an_interrupt_is_nobody_elses(self) -> None:
        interrupted = Barrier(mock.Mock(side_effect=KeyboardInterrupt))
        self.ask(interrupted)
        self.assertTrue(interrupted.began.wait(10))
        self.ask(lambda: "soup")
        self.waiting(2 + 1)
        interrupted.let_go.set()
        self.assertCountEqual([repr(answer) for answer in self.all_answered()], ["KeyboardInterrupt()", "'soup'"])

    def test_nor_is_it_for_those_who_asked_before_it_began(self) -> None:
        asked, (flight, _) = self.flights.ask(), self.flights.join("menu")
        with self.assertRaises(KeyboardInterrupt), flight:
            flight.begin()
            raise KeyboardInterrupt
        self.assertFalse(flight.serves(asked))

    def test_another_key_does_not_wait(self) -> None:
        slow = Barrier(lambda: "soup")
        self.ask(slow)
        self.assertTrue(slow.began.wait(10))
        self.assertEqual(self.flights.run("rates", lambda: 1.08), 1.08)
        slow.let_go.set()
        self.all_answered()

    def test_a_computation_that_asks_for_its_own_key_is_told_so(self) -> None:
        with self.assertRaisesRegex(RuntimeError, "'menu' asks for 'menu': it would wait for itself"):
            self.flights.run("menu", lambda: self.flights.run("menu", lambda: "soup"))
        self.assertEqual(self.flights.run("menu", lambda: "soup"), "soup")

    def test_nobody_waits_for_longer_than_its_patience(self) -> None:
        hung = Barrier(lambda: "soup")
        self.ask(hung)
        self.assertTrue(hung.began.wait(10))
        with self.assertRaisesRegex(TimeoutError, "'menu' has been computed by another thread for 0.05 seconds"):
            self.flights.run("menu", lambda: "never", patience=0.05)
        hung.let_go.set()
        self.all_answered()

    def test_a_dropped_flight_holds_nobody_up(self) -> None:
        hung = Barrier(lambda: "old")
        self.ask(hung)
        self.assertTrue(hung.began.wait(10))
        waits = self.ask(lambda: "new")
        self.waiting(2 + 1)
        self.flights.drop("menu")
        waits.join(10)
        self.assertEqual(self.answers, ["new"])
        hung.let_go.set()
        self.assertEqual(self.all_answered(), ["new", "old"])

    def test_one_that_hangs_keeps_no_more_than_the_last_of_those_after_it(self) -> None:
        """Two of them hang; who waited for the first is given the last one, not a chain of all."""
        kept: list[weakref.ref[Menu]] = []

        def compute() -> Menu:
            menu = Menu()
            kept.append(weakref.ref(menu))
            return menu

        hung = [Barrier(lambda: "old") for _ in range(2)]
        for each in hung:
            self.ask(each)
            self.assertTrue(each.began.wait(10))
            for _ in range(5):
                self.flights.drop("menu")
                self.flights.run("menu", compute)
        gc.collect()
        self.assertEqual([menu() is not None for menu in kept], [False] * 9 + [True])
        for each in hung:
            each.let_go.set()
        self.all_answered()
        self.threads.clear()
        gc.collect()
        self.assertIsNone(kept[-1]())

    def test_who_waited_for_one_that_was_dropped_is_given_the_last_after_it(self) -> None:
        asked, (first, _) = self.flights.ask(), self.flights.join("menu")
        self.flights.drop("menu", first)
        for value in ("second", "third"):
            flight, mine = self.flights.join("menu")
            self.assertTrue(mine)
            with flight:
                flight.begin()
                flight.end(value)
        flight, mine = self.flights.join("menu", first)
        self.assertEqual((mine, flight.serves(asked), flight.result()), (False, True, "third"))

    def test_what_was_under_way_at_a_fork_is_nothing_to_wait_for_in_the_child(self) -> None:
        slow = Barrier(lambda: "soup")
        self.ask(slow)
        self.assertTrue(slow.began.wait(10))
        with mock.patch("os.getpid", return_value=-1):  # its thread has not come along
            self.assertEqual(self.flights.run("menu", lambda: "child", patience=0), "child")
        slow.let_go.set()
        self.assertEqual(self.all_answered(), ["soup"])

    def test_in_the_background_once(self) -> None:
        done: list[Callable[[], object]] = []
        with mock.patch.object(runtime, "spawn", done.append):
            self.flights.in_background("menu", mock.Mock())
            self.flights.in_background("menu", mock.Mock(side_effect=AssertionError))
        self.assertEqual(len(done), 1)
        done[0]()
        self.assertEqual(self.flights._flights, {})

    def test_no_thread_to_be_had_leaves_no_flight(self) -> None:
        no_thread = mock.patch.object(runtime, "spawn", side_effect=RuntimeError("can't start new thread"))
        with no_thread, self.assertRaisesRegex(RuntimeError, "new thread"):
            self.flights.in_background("menu", mock.Mock())
        self.assertEqual(self.flights._flights, {})
