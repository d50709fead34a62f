# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Jobs that go wrong; processes that do tasks import them by this name."""

from __future__ import annotations

from dataclasses import dataclass
import os
import signal

from fdr_recorder.fleet.jobs.task import Outcome, State, Work


@dataclass(frozen=True)
class DeadlyJob:
    """
    Kills its process over some flights.

    Attributes:
        flights: Over which, always.
        once: In this directory a file keeps in mind over which it has: there once.

    """

    flights: tuple[str, ...] = ()
    once: str = ''
    name: str = 'deadly'

    def do(self, work: Work) -> Outcome:
        flight = work.task.key.flight
        if flight in self.flights or (self.once and self._is_first(flight)):
            os.kill(os.getpid(), signal.SIGKILL)
        return Outcome(work.task.key, State.MADE, {'pid': os.getpid()})

    def _is_first(self, flight: str) -> bool:
        try:
            os.close(os.open(f'{self.once}/{flight}', os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True
