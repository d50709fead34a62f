# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Waiting for something to become true, with a deadline: the only way in which tests wait."""

from __future__ import annotations

from collections.abc import Callable
import time
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
