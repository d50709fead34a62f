# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The section on the flight header: who recorded, on what, and with what files."""

from __future__ import annotations

from typing import Final

from fdr_recorder.flights.sealed import is_opening
from fdr_recorder.record.kinds import FlightHeader
from fdr_recorder.report.gather import Report
from fdr_recorder.report.html import Child, fact_list, h, Html, table
from fdr_recorder.units import plural, short

_MOST_FILES: Final = 500
_UNFOLDED: Final = 20


def header_section(report: Report) -> Html:
    """Show the header's fields and the manifest; the configuration has a section of its own."""
    header = report.info.header
    if header is None:
        content: Child = h('p', 'This recording has no flight header that can be read.')
    else:
        facts = _identity(header)
        if report.info.seals is not None:
            facts.append(('Sealed', str(report.info.seals)))
        content = [fact_list(facts), _manifest(header)]
    return h('section', h('h2', 'Flight header'), h('div', content, class_='card'), id='header')


def _identity(header: FlightHeader) -> list[tuple[str, Child]]:
    facts = (
        ('Vehicle', header.vehicle_id),
        *header.metadata.items(),
        ('Flight', header.flight_id),
        ('Started', header.flight_started_at_iso),
        ('Recorder', f'fdr_recorder {header.software_version}' if header.software_version else ''),
        ('ROS', header.ros_distro),
        ('Middleware', header.rmw_implementation),
        ('Python', header.python_version),
        ('Host', header.host_name),
        ('Platform', header.host_platform),
        ('Process', str(header.process_id) if header.process_id else ''),
        ('Signing key event', '' if is_opening(header) else header.signing_key_rotation_event),
    )
    more = [(key, str(value)) for key, value in header.extra.items()]
    return [(short(name), short(value, 400)) for name, value in (*facts, *more) if value]


def _manifest(header: FlightHeader) -> Html | None:
    rows = [
        h('tr', h('td', short(name, 400)), h('td', h('code', short(digest, 128))))
        for name, digest in list(header.manifest_content_hashes.items())[:_MOST_FILES]
    ]
    if not rows:
        return None
    listed = h('div', table(('Manifest file', 'SHA-256'), rows), class_='scroll')
    if len(rows) <= _UNFOLDED:
        return listed
    return h('details', h('summary', f'{plural(len(rows), "manifest file")}'), listed)
