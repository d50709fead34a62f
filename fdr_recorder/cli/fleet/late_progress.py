# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""A progress bar for work whose size is known only after it was begun."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, ExitStack

from fdr_recorder.cli import console


class LateBar:
    """The bar. It is shown once it is known how much there is to do."""

    def __init__(self, description: str, *, quiet: bool) -> None:
        self._description = description
        self._quiet = quiet
        self._shown = ExitStack()

    def begin(self, total: int) -> None:
        """Say how much there is to do."""
        self.end()
        bar = console.progress(self._description, total, quiet=self._quiet)
        self._advance = self._shown.enter_context(bar)

    def advance(self, count: int) -> None:
        """Say that so much more is done."""
        self._advance(count)

    def end(self) -> None:
        """Take the bar away."""
        self._shown.close()


@contextmanager
def progress(description: str, *, quiet: bool) -> Iterator[LateBar]:
    """Yield a bar; see `console.progress`."""
    bar = LateBar(description, quiet=quiet)
    try:
        yield bar
    finally:
        bar.end()
