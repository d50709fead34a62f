# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The job `verify`: what `fdr verify --json` says of each flight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from fdr_recorder.fleet.jobs.flight_job import FlightJob
from fdr_recorder.fleet.jobs.task import Work
from fdr_recorder.fleet.store import Store
from fdr_recorder.flights.verify import verify


@dataclass(frozen=True)
class VerifyJob(FlightJob):
    """
    Verifies flights.

    What it finds is what `fdr verify --json` prints; its summary: `verdict`, and `sentence`.

    Attributes:
        keys: The text of a file of allowed signers; empty for not asking whose seals these are.

    """

    name: ClassVar[str] = 'verify'
    keys: str = ''

    def options(self) -> dict[str, Any]:
        """Return the keys, if there are any."""
        return {'keys': self.keys} if self.keys else {}

    def make(self, flight: Path, work: Work, out: Store, base: str) -> dict[str, Any]:
        """Verify the flight."""
        del out, base
        signers = None
        if self.keys:
            signers = work.scratch() / 'allowed_signers'
            signers.write_text(self.keys, encoding='utf-8')
        result = verify(flight, keys=signers)
        return {**result.to_dict(), 'sentence': result.status.sentence}

    def summary(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Return the verdict."""
        return {name: str(found.get(name, '')) for name in ('verdict', 'sentence')}
