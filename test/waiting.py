"""Waiting for something to become true, with a deadline: the only way in which tests wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar('_T')

DEADLINE_S = 20.0
_POLL_S = 0.005


def wait_until(
    condition: Callable[[], _T], what: str = 'the condition', deadline_s: float = DEADLINE_S
) -> _T:
    """Return the first true value of `condition`; fail the test if there is none in time."""
    deadline = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            message = f'{what} did not come true within {deadline_s} s'
            raise AssertionError(message)
        time.sleep(_POLL_S)
