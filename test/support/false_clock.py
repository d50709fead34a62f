# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A system clock that a test may set, for the code of this process."""

from __future__ import annotations

import time


class FalseClock:
    """A system clock of the test's own: the real one, and an error that it may change."""

    def __init__(self) -> None:
        self._real = time.time_ns
        self.error_ns = 0

    def __call__(self) -> int:
        return self._real() + self.error_ns
