"""A process of its own that changes a price and is killed between the commit and what was to run on commit."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal

from .errors import LabError

SECONDS = 30.0
KILLED = 137  # as a shell reports a process that was ended by SIGKILL

# The first callback ends the process as a kill does: no `finally`, no atexit, no flush. The receivers' come after it.
CODE = """
import os, sys
import django
django.setup()
from django.db import transaction
from tutorial_project.shop.invalidation import TOUCHES
from tutorial_project.shop.models import Product
with TOUCHES.connected(), transaction.atomic():
    transaction.on_commit(lambda: os._exit({killed}))
    product = Product.objects.get(pk={pk})
    product.price = "{price}"
    product.save()
"""


def killed_after_commit(pk: int, price: Decimal) -> str:
    """Let another process save the price, with the shop's receivers on, and die at the commit.

    It has the notebook's own database and cache server. Returns in words how it ended. Raises LabError where it did not
    come that far.
    """
    code = CODE.format(pk=pk, price=price, killed=KILLED)
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_ALLOW_ASYNC_UNSAFE"}
    command = [sys.executable, "-c", code]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"The other process could not be run: {error}.") from None
    if done.returncode != KILLED:
        last = (done.stderr.strip().splitlines() or ["it ended by itself"])[-1]
        raise LabError(f"The other process was to die at its commit, and did not: {last}.")
    return "killed between its commit and its callbacks"
