# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Makes the rows of the catalogue of one flight, whose files lie on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from fdr_recorder.alerts import AlertLevel
from fdr_recorder.fleet.catalogue.columns import empty_rows, Rows
from fdr_recorder.fleet.catalogue.places import read_track, Track
from fdr_recorder.fleet.manifest import Manifest
from fdr_recorder.flights.info import FlightInfo, read_info
from fdr_recorder.flights.verify import Verification
from fdr_recorder.record.kinds import AlertRecord, FlightHeader, FlightRemoved
from fdr_recorder.record.requested import RECORDED
from fdr_recorder.units import NS_PER_S, short

MOST_ROWS: Final = 10_000
"""Of one flight in one table; of more losses and alerts sums are kept, other rows are left out."""

BAD_UPLOAD: Final = 'bad_upload'
"""The verdict of a flight that is not in the store as its manifest says."""

_LATEST_US: Final = (1 << 63) // 1000 - 1
_LONGEST: Final = 2000
_FIRMWARE: Final = 'firmware'

Times = Callable[[int], 'int | None']
"""Returns microseconds of UTC, given a log time; None for 0, which is unknown."""


def rows_of(flight: Path, verification: Verification, manifest: Manifest) -> Rows:
    """
    Return the rows of a flight.

    Raises:
        NoFlightError: It has no segment.
        OSError: A file cannot be read.

    """
    info = read_info(flight)
    utc = info.listed.utc

    def times(log_time_ns: int) -> int | None:
        return microseconds(utc.at(log_time_ns)) if log_time_ns > 0 else None

    rows = empty_rows()
    track = read_track(flight, info)
    _add_flight(rows, info, verification, manifest, track, times)
    _add_topics(rows, info, verification, times)
    _add_losses(rows, verification, times)
    _add_alerts(rows, info, times)
    for time_ns, lat, lon, alt in track.points:
        place = {'topic': track.topic, 'time': times(time_ns), 'lat': lat, 'lon': lon}
        _add(rows, 'places', **place, alt=_known(alt))
    return rows


def rows_of_bad_upload(manifest: Manifest | None, why: str, stored_bytes: int = 0) -> Rows:
    """Return the row of a flight that could not be looked into: what its manifest says."""
    rows = empty_rows()
    told: dict[str, Any] = {'bytes': stored_bytes}
    if manifest is not None:
        told = {
            'flight_id': manifest.flight_id,
            'flight_number': manifest.flight_number or None,
            'started': microseconds(manifest.started_ns),
            'bytes': manifest.size,
        }
    _add(rows, 'flights', verdict=BAD_UPLOAD, upload=short(why, _LONGEST), sentence='', **told)
    return rows


def microseconds(time_ns: int) -> int | None:
    """Return a time as the catalogue has it; None if it is unknown (0)."""
    return min(time_ns // 1000, _LATEST_US) if time_ns > 0 else None


def _add(rows: Rows, table: str, **values: Any) -> None:  # noqa: ANN401
    """Add a row; what is not named is null."""
    columns = rows[table]
    assert values.keys() <= columns.keys(), values.keys() - columns.keys()
    for name, column in columns.items():
        value = values.get(name)
        column.append(short(value, _LONGEST) if isinstance(value, str) else value)


def _known(value: float) -> float | None:
    return value if abs(value) < 1e9 else None  # NaN is not


def _add_flight(
    rows: Rows,
    info: FlightInfo,
    verification: Verification,
    manifest: Manifest,
    track: Track,
    times: Times,
) -> None:
    listed, status, seals = info.listed, verification.status, verification.authentication
    header = info.header or FlightHeader()
    losses = status.losses.to_dict()
    metadata = {
        short(key, _LONGEST): short(value, _LONGEST) for key, value in header.metadata.items()
    }
    first = track.points[0] if track.points else None
    last = track.points[-1] if track.points else None
    removed = {
        (event.payload.flight_id, event.payload.flight_number)
        for event in info.events
        if isinstance(event.payload, FlightRemoved)
    }
    vehicle_topics = [topic for topic in info.topics.values() if not topic.is_own]
    _add(
        rows,
        'flights',
        flight_id=listed.flight_id,
        flight_number=listed.flight_number or None,
        started=times(listed.started_ns),
        ended=times(listed.ended_ns),
        how_ended=status.ended.value,
        duration_s=listed.duration_s,
        bytes=manifest.size,
        records=verification.records,
        messages=sum(topic.messages for topic in vehicle_topics),
        topics=len(vehicle_topics),
        segments=verification.segments,
        segments_dropped=listed.segments_dropped,
        verdict=verification.verdict.name.lower(),
        integrity=status.integrity.value,
        completeness=status.completeness.value,
        authenticity=status.authenticity.value,
        sentence=status.sentence,
        lost=status.losses.lost,
        **{f'lost_{name}': losses[name] for name in _LOST},
        **{f'dropped_{name}': losses[name] for name in ('capacity', 'removed')},
        unreadable_bytes=status.losses.unreadable_bytes,
        left_out=status.losses.throttled,
        recorder=header.software_version,
        firmware=metadata.get(_FIRMWARE),
        metadata=metadata,
        ros_distro=header.ros_distro,
        rmw=header.rmw_implementation,
        host=header.host_name,
        **_place('takeoff', first),
        **_place('landing', last),
        sealed_by=seals.fingerprint or None,
        previous_flight=seals.previous_flight or None,
        removed_flights=sorted({name for name, _ in removed})[:MOST_ROWS],
        removed_numbers=sorted({number for _, number in removed if number})[:MOST_ROWS],
        upload='',
    )


_LOST: Final = ('transport', 'overrun', 'write_error', 'before_match', 'unexplained')


def _place(what: str, point: tuple[int, float, float, float] | None) -> dict[str, Any]:
    lat, lon, alt = point[1:] if point is not None else (None, None, None)
    known = alt if alt is None else _known(alt)
    return {f'{what}_lat': lat, f'{what}_lon': lon, f'{what}_alt': known}


def _add_topics(
    rows: Rows, info: FlightInfo, verification: Verification, times: Times
) -> None:
    offered: dict[tuple[str, str], int] = {}
    for counters in info.footer.producers if info.footer is not None else ():
        key = counters.topic, counters.type
        offered[key] = offered.get(key, 0) + counters.offered
    for topic in sorted(info.topics.values(), key=lambda topic: topic.key)[:MOST_ROWS]:
        if topic.is_own:
            continue
        _add(
            rows,
            'topics',
            topic=topic.name,
            type=topic.type,
            outcome=RECORDED,
            messages=topic.messages,
            bytes=topic.bytes,
            rate_hz=topic.rate_hz,
            first=times(topic.first_ns),
            last=times(topic.last_ns),
            gap_s=topic.gap_ns / NS_PER_S,
            gap_at=times(topic.gap_at_ns),
            silence_s=topic.silence_ns / NS_PER_S,
            silence_at=times(topic.silence_at_ns),
            publishers=len(topic.publishers),
            offered=offered.get((topic.name, topic.type)),
            lost=topic.lost,
            lost_transport=topic.to_dict()['lost_transport'],
            lost_overrun=topic.dropped_overrun,
            lost_write_error=topic.dropped_write_error,
            lost_before_match=topic.before_match,
            left_out=topic.throttled,
            why_unseen=topic.why_unseen,
        )
    for name, outcome in list(verification.not_recorded.items())[:MOST_ROWS]:
        _add(rows, 'topics', topic=name, outcome=outcome, messages=0, bytes=0)


def _add_losses(rows: Rows, verification: Verification, times: Times) -> None:
    sums: dict[tuple[str, str, str], dict[str, int]] = {}
    for loss in verification.losses:
        key = loss.topic or loss.file_name, loss.publisher, loss.cause
        if key not in sums and len(sums) >= MOST_ROWS:
            key = '', '', loss.cause
        found = sums.setdefault(
            key, {'records': 0, 'bytes': 0, 'times': 0, 'first': 0, 'last': 0}
        )
        found['records'] += loss.records
        found['bytes'] += loss.bytes
        found['times'] += 1
        for name, best in (('first', min), ('last', max)):
            known = [time for time in (loss.first_ns, loss.last_ns, found[name]) if time]
            found[name] = best(known, default=0)
    for (topic, publisher, cause), found in sums.items():
        _add(
            rows,
            'losses',
            topic=topic,
            publisher=publisher,
            cause=cause,
            records=found['records'],
            bytes=found['bytes'],
            times=found['times'],
            first=times(found['first']),
            last=times(found['last']),
        )


def _add_alerts(rows: Rows, info: FlightInfo, times: Times) -> None:
    """Add a row for each time that an alert was present, and one for those in dropped segments."""
    for alert in list(info.dropped.alerts.values())[:MOST_ROWS]:
        _add(
            rows,
            'alerts',
            code=alert.code,
            level=_level(alert.level),
            subject=alert.subject,
            message=alert.message,
            raised=times(alert.first_ns),
            cleared=None if alert.is_present else times(alert.last_ns),
            times=alert.raised,
        )
    present: dict[tuple[str, str], int] = {}
    columns = rows['alerts']
    for event in info.events:
        said = event.payload
        if not isinstance(said, AlertRecord):
            continue
        key = said.code, said.subject
        if not said.raised and key in present:
            columns['cleared'][present.pop(key)] = times(event.time_ns)
        elif key not in present and len(columns['code']) < 2 * MOST_ROWS:
            when = {'raised' if said.raised else 'cleared': times(event.time_ns)}
            if said.raised:
                present[key] = len(columns['code'])
            _add(
                rows,
                'alerts',
                code=said.code,
                level=_level(said.level),
                subject=said.subject,
                message=said.message,
                times=1,
                **when,
            )


def _level(level: int) -> str:
    return {item.value: item.name.lower() for item in AlertLevel}.get(level, str(level))
