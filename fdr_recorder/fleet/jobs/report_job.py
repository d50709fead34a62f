# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The job `report`: the page about each flight, and its numbers as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any, ClassVar, Final

from fdr_recorder.fleet.jobs.flight_job import FlightJob
from fdr_recorder.fleet.jobs.task import Work
from fdr_recorder.fleet.jobs.work import without
from fdr_recorder.fleet.store import Store
from fdr_recorder.report import gather, render
from fdr_recorder.report.html import text
from fdr_recorder.report.json_document import to_dict
from fdr_recorder.report.verdict import verdict

PAGE_SUFFIX: Final = '.html'
NUMBERS_SUFFIX: Final = '.report.json'


@dataclass(frozen=True)
class ReportJob(FlightJob):
    """
    Writes the page about a flight, and beside it what `fdr report --json` prints.

    What it finds, and its summary: `level` and `headline` of the page's verdict, and `page`, the
    page's key.
    """

    name: ClassVar[str] = 'report'

    def make(self, flight: Path, work: Work, out: Store, base: str) -> dict[str, Any]:
        """Write the page."""
        directory = work.scratch()
        report = gather(flight)
        said, numbers = verdict(report), without(directory, to_dict(report))
        page = render(report).replace(text(f'{directory}/'), '')
        out.put(base + NUMBERS_SUFFIX, json.dumps(numbers).encode(), 'application/json')
        out.put(base + PAGE_SUFFIX, page.encode('utf-8', 'replace'), 'text/html; charset=utf-8')
        return {
            'level': said.level.value, 'headline': said.headline, 'page': base + PAGE_SUFFIX
        }

    def summary(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Return all of it."""
        return {name: str(found.get(name, '')) for name in ('level', 'headline', 'page')}
