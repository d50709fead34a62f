# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr info`: topics, segments, losses and events of a flight."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TYPE_CHECKING

from fdr_recorder.cli.colours import tone_of, Toned
from fdr_recorder.cli.console import print_json, reading_progress, say, table
from fdr_recorder.cli.exit_codes import EXIT_OK
from fdr_recorder.cli.flight_arguments import add_flight, find_flight
from fdr_recorder.cli.tables import brief
from fdr_recorder.errors import UsageError
from fdr_recorder.units import (
    format_duration,
    format_size,
    format_time,
    NS_PER_S,
    plural,
    precise_duration,
)

if TYPE_CHECKING:
    from fdr_recorder.flights.info import Event, FlightInfo, SegmentInfo
    from fdr_recorder.flights.listing import ListedFlight
    from fdr_recorder.flights.topic_info import TopicInfo
    from fdr_recorder.topics.names import TopicType

SUMMARY: Final = 'Show what is in a flight: topics, segments, losses, alerts'
EXAMPLES: Final = """\
  fdr info flight_20261122T110505Z_1aef
  fdr info flight_20261122T110505Z_1aef --parameters /controller
  fdr info flight_20261122T110505Z_1aef --json | jq '.topics[] | {name, messages, rate_hz}'

A gap is the longest time without a message of a topic, that before its first and behind its last
included, if it is above a second. `?` means that losses in transport cannot be seen on a topic.
`fdr info` reads indexes, not messages; use `fdr verify` to check the messages themselves.
"""
_TOPIC_COLUMNS: Final = (
    '~topic', '&type', '>publishers', '>messages', '>rate', '>size', '>longest gap', '>lost'
)
_SEGMENT_COLUMNS: Final = ('~segment', '>size', '>records', '>from', '>to', 'state')
_EVENT_COLUMNS: Final = ('>at', 'what', '~of', '&in words')
_EVENT_FIELDS: Final = (
    'why', 'cause', 'flight_number', 'records', 'bytes', 'file_name', 'error_name',
    'before_ns', 'after_ns', 'system_ns', 'source',
)
_LEVELS: Final = {1: 'WARN', 2: 'ERROR'}
_MOST_LINES: Final = 40
"""Of segments and of events, on the screen; JSON has all."""
_MOST_YAML: Final = 256 * 1024
_MOST_LATE: Final = 10
"""Topics that are named for what was sent before it was heard, or left out."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flight."""
    add_flight(parser)
    parser.add_argument(
        '--parameters',
        metavar='NODE',
        nargs='?',
        const='',
        help="show the parameters of the vehicle's nodes, where they were recorded "
        '(record_parameters), or of one node, instead of topics, segments and events',
    )


def run(args: argparse.Namespace) -> int:
    """Show the flight."""
    from fdr_recorder.flights.info import read_info

    flight = find_flight(args.flight)
    with reading_progress('reading', flight, quiet=args.json) as advance:
        found = read_info(flight, advance)
    if args.json:
        print_json('info', {**found.to_dict(), 'damage': found.damage})
    elif args.parameters is not None:
        _show_parameters(found, args.parameters)
    else:
        _show(found)
    return EXIT_OK


def _show(found: FlightInfo) -> None:
    for name, text in _facts(found):
        say(f'{name:<10}', text)
    by_name = sorted(found.topics.values(), key=lambda topic: topic.key)
    topics = [topic for topic in by_name if not topic.is_own]
    if topics:
        print()
        table(_TOPIC_COLUMNS, (_topic_row(found.listed, topic) for topic in topics))
    own = sum(topic.messages for topic in found.topics.values() if topic.is_own)
    is_flight = found.listed.kind == 'flight'
    if own or is_flight:
        say(f'and {plural(own, "record")} of the recorder itself, on /fdr/...')
    print()
    columns = _SEGMENT_COLUMNS if is_flight else ('~file', *_SEGMENT_COLUMNS[1:])
    table(columns, _some([_segment_row(found.listed, item) for item in found.segments]))
    events = [*_dropped_rows(found), *(_event_row(found.listed, item) for item in found.events)]
    if events:
        print()
        table(_EVENT_COLUMNS, [tuple(map(brief, row)) for row in _some(events)])
    for text in found.damage:
        say(f'damaged: {text}')


def _show_parameters(found: FlightInfo, node: str) -> None:
    """Show the last value of each parameter, and what changed in flight."""
    wanted = node and f'/{node.lstrip("/")}'
    known = [item for item in found.parameters if not wanted or item.node == wanted]
    rows = []
    for item in known:
        told = [f'{_offset(found.listed, at_ns)}: {text}' for at_ns, text in item.values]
        rows.append((item.node, item.name, item.last, '; '.join(told) if told[1:] else ''))
    if rows:
        table(('~node', '~parameter', '&value', '&changed in flight'), rows)
    failures = found.parameters.failures.items()
    for name, why in sorted(failures):
        if not wanted or name == wanted:
            say(f'{name}: {why}')
    if not found.parameters:
        say(f'{found.listed.name} has no parameters: record_parameters was off')
    elif not known and wanted and wanted not in found.parameters.failures:
        raise UsageError(f'{found.listed.name} has no parameters of a node {wanted}')


def _facts(found: FlightInfo) -> Iterator[tuple[str, str]]:
    flight, header, footer = found.listed, found.header, found.footer
    yield flight.kind, flight.name
    yield 'status', Toned(flight.status.sentence, tone_of(flight.status.verdict))
    if flight.vehicle_id:
        yield 'vehicle', flight.vehicle_id
    for name, text in _some([*flight.metadata.items()]):
        yield brief(name), brief(text)
    yield 'start', format_time(flight.utc_started_ns) if flight.utc_started_ns else 'unknown'
    yield 'duration', format_duration(flight.duration_s)
    if flight.utc.is_shifted:
        yield 'clock', _clock(found)
    size = format_size(flight.bytes - flight.kept_bytes)
    kept = f', and {format_size(flight.kept_bytes)} kept by recovery' if flight.kept_bytes else ''
    noun = 'segment' if flight.kind == 'flight' else 'file'
    yield 'size', f'{size} in {plural(flight.segments, noun)}{kept}'
    yield 'records', f'{flight.records:,}'
    losses = flight.status.losses
    yield 'missing', str(losses)
    if found.seals is not None:
        yield 'sealed', str(found.seals)
    if found.parameters:
        known = list(found.parameters)
        changes = sum(len(item.values) - 1 for item in known)
        words = f'{len(known):,} of {plural(found.parameters.nodes, "node")}'
        yield 'parameters', f'{words}, {plural(changes, "change")} in flight (--parameters)'
    if flight.pins:
        pinned = [segment for segment in found.segments if segment.pinned]
        size = format_size(sum(segment.bytes for segment in pinned))
        yield 'pinned', f'{plural(len(pinned), "segment")}, {size}: {brief(flight.pins.reasons)}'
    for note in flight.notes:
        yield 'note', brief(note)
    unseen = losses.unseen
    if unseen:
        yield 'unknown', str(unseen)
    if losses.before_match:
        yield 'late', _late(found)
    if losses.throttled:
        yield 'left out', _left_out(found)
    if rates := _rates(found):
        yield 'max_rate', rates
    if footer is not None:
        lost = f'{footer.records_lost_transport:,} lost in transport'
        if unseen:
            lost = f'at least {lost}' if footer.records_lost_transport else ''
        counters = (
            f'{footer.records_written:,} written',
            f'{footer.records_repeated:,} repeated',
            lost,
            f'{footer.records_dropped_overrun:,} refused by full rings',
            f'{footer.records_dropped_write_error:,} refused by the disk',
            f'{footer.records_throttled:,} left out' if footer.records_throttled else '',
            f'{plural(footer.rollover_count, "segment")} rolled over',
            f'{plural(footer.segments_dropped, "segment")} dropped',
        )
        yield 'counters', ', '.join(filter(None, counters))
    if header is not None:
        environment = (
            f'fdr_recorder {header.software_version}'.rstrip(),
            header.ros_distro,
            header.rmw_implementation,
            header.python_version and f'Python {header.python_version}',
            header.host_name and f'on {header.host_name}',
            header.host_platform,
        )
        yield 'recorder', ', '.join(filter(None, environment))
        for name, digest in header.manifest_content_hashes.items():
            yield 'manifest', f'{name} {digest}'


def _topic_row(flight: ListedFlight, topic: TopicInfo) -> tuple[str, ...]:
    rate = topic.rate_hz
    gap_ns, began_ns = topic.longest_gap
    gap = f'{gap_ns / NS_PER_S:.3f} s at {_offset(flight, began_ns)}'
    return (
        topic.name,
        topic.type,
        f'{len(topic.publishers) or ""}',
        f'{topic.messages:,}',
        f'{rate:.1f} Hz' if rate is not None else '',
        format_size(topic.bytes),
        gap if gap_ns else '',
        topic.lost_text,
    )


def _segment_row(flight: ListedFlight, segment: SegmentInfo) -> tuple[str, ...]:
    is_open = flight.status.ended.value == 'open'
    return (
        segment.name,
        format_size(segment.bytes),
        f'{segment.records:,}',
        _offset(flight, segment.first_ns),
        _offset(flight, segment.last_ns),
        ('closed' if segment.is_closed else 'open' if is_open else 'torn')
        + (f', pinned: {brief(segment.pinned)}' if segment.pinned else ''),
    )


def _event_row(flight: ListedFlight, event: Event) -> tuple[str, ...]:
    from fdr_recorder.flights.notes import Note
    from fdr_recorder.record.kinds import AlertRecord, ConfigChange

    said = event.payload
    if isinstance(said, AlertRecord):
        level = _LEVELS.get(said.level, str(said.level))
        begin = f'{level} {said.code}' if said.raised else f'over: {said.code}'
        return _offset(flight, event.time_ns), begin, said.subject, said.message
    if isinstance(said, Note):
        return _offset(flight, event.time_ns), said.KIND, said.topic, said.text
    if isinstance(said, ConfigChange):
        is_change = said.before != said.after
        words = f'{said.before} becomes {said.after}' if is_change else f'by {said.after}'
        for is_recorded, verb in ((True, 'begins'), (False, 'ends')):
            names = [item.topic for item in said.topics if item.is_recorded is is_recorded]
            words += f'; {verb}: {", ".join(names)}' if names else ''
        return _offset(flight, event.time_ns), said.KIND, said.option, words
    topic = getattr(said, 'topic', '')
    words = ', '.join(
        f'{name} {getattr(said, name)}' for name in _EVENT_FIELDS if hasattr(said, name)
    )
    if getattr(said, 'before_match', False):
        words += ', sent before it was heard'
    return _offset(flight, event.time_ns), said.KIND, topic, words


def _dropped_rows(found: FlightInfo) -> Iterator[tuple[str, ...]]:
    """Yield a row for each alert and each loss of which segments told that are gone, in sums."""
    flight, dropped = found.listed, found.dropped
    rows = []
    for alert in dropped.alerts.values():
        times = f'raised {plural(alert.raised, "time")}' if alert.raised != 1 else 'raised once'
        row = f'{_LEVELS.get(alert.level, alert.level)} {alert.code}', alert.subject
        rows.append((alert.first_ns, alert.last_ns, *row, f'{alert.message or "over"}; {times}'))
    for loss in dropped.losses:
        words = f'records {loss.records}, bytes {loss.bytes}, told {plural(loss.times, "time")}'
        rows.append((loss.first_ns, loss.last_ns, loss.cause, loss.topic, words))
    for first_ns, last_ns, what, of, words in sorted(rows):
        until = f' until {_offset(flight, last_ns)}' if last_ns > first_ns else ''
        yield _offset(flight, first_ns), what, of, f'{words}{until}, in segments that are gone'


def _late(found: FlightInfo) -> str:
    """Say what publishers that came in flight had sent before they were heard."""
    late = _by_topic({topic.key: topic.before_match for topic in found.topics.values()})
    return f'messages were sent before their publisher was heard: {late}'


def _left_out(found: FlightInfo) -> str:
    """Say what was left out."""
    by_topic = {topic.key: topic.throttled for topic in found.topics.values()}
    return f'messages that were not to be recorded (max_rate, topics): {_by_topic(by_topic)}'


def _rates(found: FlightInfo) -> str:
    """Say which rates were set when the flight began, and that they were changed."""
    from fdr_recorder.flights.untrusted_yaml import load_yaml
    from fdr_recorder.record.kinds import ConfigChange

    snapshot = found.header.config_snapshot if found.header is not None else ''
    options = load_yaml(snapshot, _MOST_YAML)
    rates = options.get('max_rate') if isinstance(options, dict) else None
    said = ', '.join(map(str, rates)) if isinstance(rates, list) else ''
    events = (event.payload for event in found.events)
    if any(isinstance(item, ConfigChange) and item.option == 'max_rate' for item in events):
        return f'{said or "none"}; changed in flight, see below'
    return said


def _by_topic(counts: Mapping[TopicType, int]) -> str:
    """Return the largest counts with their topics, in words."""
    largest = sorted(
        (-count, topic) for (topic, _), count in counts.items() if count
    )
    said = [f'{-count:,} of {topic}' for count, topic in largest[:_MOST_LATE]]
    if len(largest) > _MOST_LATE:
        said.append(f'and of {plural(len(largest) - _MOST_LATE, "more topic")}')
    return ', '.join(said)


def _clock(found: FlightInfo) -> str:
    """Say how the log times differ from true UTC."""
    from fdr_recorder.record.kinds import ClockStep

    flight = found.listed
    steps = sum(isinstance(event.payload, ClockStep) for event in found.events)
    late_s = flight.utc.offset_ns(flight.started_ns) / NS_PER_S
    was_set = f'set {plural(steps, "time")} in flight; ' if steps else ''
    begin = f'log times begin at {format_time(flight.started_ns)}'
    side = 'before' if late_s > 0 else 'after'
    return f'{was_set}{begin}, {precise_duration(abs(late_s))} {side} true UTC'


def _offset(flight: ListedFlight, time_ns: int) -> str:
    """Return a time as seconds into the flight."""
    return f'{(time_ns - flight.started_ns) / NS_PER_S:.3f} s'


def _some(rows: Sequence[tuple[str, ...]]) -> Sequence[tuple[str, ...]]:
    """Return the rows; of too many for a screen, the first and the last ones."""
    left_out = len(rows) - _MOST_LINES
    if left_out <= 0:
        return rows
    half = _MOST_LINES // 2
    note = (f'... {left_out:,} more (--json)', *('' for _ in rows[0][1:]))
    return [*rows[:half], note, *rows[-half:]]
