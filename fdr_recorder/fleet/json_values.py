# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Values of JSON that somebody else has written; what is none raises `TypeError`."""

from __future__ import annotations

from typing import Any


def text(value: Any) -> str:  # noqa: ANN401
    """Return a value that must be a text."""
    if not isinstance(value, str):
        raise TypeError(f'{value!r} is no text')
    return value


def count(value: Any) -> int:  # noqa: ANN401
    """Return a value that must be a whole number, not negative, of 64 bits at most."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise TypeError(f'{value!r} is no count')
    return value
