"""Time, sleeping, waiting and background work: on threads and the wall clock, and on a clock that a test moves."""

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from unittest import mock

from django.db import connections
from django.test import SimpleTestCase, override_settings
from django.utils import translation

from tutorial_project.caching import runtime
from tutorial_project.caching.runtime import Runtime, now, sleep, spawn, using, wait

mark: ContextVar[str] = ContextVar("mark", default="none")


class Moved(Runtime):
    """A clock that only sleeping moves, and background work that is done at once."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def spawn(self, function: Callable[[], object]) -> None:
        function()


class RuntimeTests(SimpleTestCase):
    """The four functions, and what they leave behind."""

    def background(self, function: Callable[[], object]) -> None:
        """Spawn it and wait until its thread is gone."""
        before = set(threading.enumerate())
        spawn(function)
        for thread in set(threading.enumerate()) - before:
            self.assertTrue(thread.daemon)
            thread.join(10)

    def test_now_is_the_wall_clock_that_other_machines_share(self) -> None:
        before = time.time()
        self.assertTrue(before <= now() <= time.time())

    def test_sleep_sleeps(self) -> None:
        before = time.monotonic()
        sleep(0.02)
        self.assertGreaterEqual(time.monotonic() - before, 0.015)

    def test_wait_returns_as_soon_as_it_is_true(self) -> None:
        answers = iter([False, False, True])
        with mock.patch.object(runtime.current(), "sleep") as slept:
            self.assertIs(wait(lambda: next(answers), 60), True)
        self.assertEqual(slept.call_args_list, [mock.call(runtime.PAUSE)] * 2)

    def test_wait_gives_up_after_its_timeout_and_not_much_later(self) -> None:
        before = time.monotonic()
        self.assertIs(wait(lambda: False, 0.05), False)
        self.assertTrue(0.05 <= time.monotonic() - before < 5)

    def test_what_is_true_already_is_not_waited_for(self) -> None:
        with mock.patch.object(runtime.current(), "sleep") as slept:
            self.assertIs(wait(lambda: True, 0), True)
        slept.assert_not_called()

    def test_background_work_is_done_in_another_thread(self) -> None:
        seen: list[object] = []
        self.background(lambda: seen.append(threading.current_thread()))
        self.assertEqual(len(seen), 1)
        self.assertIsNot(seen[0], threading.current_thread())

    @override_settings(LANGUAGE_CODE="en", USE_I18N=True)
    def test_it_speaks_the_language_of_whoever_began_it(self) -> None:
        seen: list[object] = []
        with translation.override("de"):
            self.background(lambda: seen.append(translation.get_language()))
        self.assertEqual(seen, ["de"])

    def test_it_sees_the_context_of_whoever_began_it(self) -> None:
        seen: list[object] = []
        moved, token = Moved(), mark.set("mine")
        moved.spawn = Runtime().spawn  # type: ignore[method-assign]
        with using(moved):
            self.background(lambda: seen.extend([mark.get(), runtime.current()]))
        mark.reset(token)
        self.assertEqual(seen, ["mine", moved])

    def test_what_it_raises_is_logged_and_reaches_nobody(self) -> None:
        with self.assertLogs(runtime.logger, "ERROR") as logged:
            self.background(lambda: 1 / 0)
        self.assertIn("ZeroDivisionError", logged.output[0])

    def test_its_database_connections_are_closed(self) -> None:
        with mock.patch.object(type(connections), "close_all") as closed:
            self.background(lambda: None)
        closed.assert_called_once_with()

    def test_another_runtime_is_in_force_in_its_block_alone(self) -> None:
        moved, seen = Moved(), []
        with using(moved):
            sleep(60)
            spawn(lambda: seen.append(now()))
            self.assertEqual((now(), seen), (60.0, [60.0]))
        self.assertGreater(now(), 60.0)

    def test_and_in_this_thread_alone(self) -> None:
        seen: list[object] = []
        with using(Moved()):
            thread = threading.Thread(target=lambda: seen.append(type(runtime.current())))
            thread.start()
            thread.join()
        self.assertEqual(seen, [Runtime])
