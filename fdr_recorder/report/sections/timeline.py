# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The section with the time line: a lane each for segments, for what is missing, for alerts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
import re
from typing import Final

from fdr_recorder.flights.info import SegmentInfo
from fdr_recorder.flights.notes import Note
from fdr_recorder.flights.verify import Loss
from fdr_recorder.record.kinds import AlertRecord, ClockStep, SegmentRollover
from fdr_recorder.record.record_parts import DroppedAlert
from fdr_recorder.report.gather import Report
from fdr_recorder.report.html import h, Html
from fdr_recorder.report.states import Band
from fdr_recorder.report.svg import Drawing, plot
from fdr_recorder.units import (
    format_size,
    NS_PER_S,
    plural,
    precise_duration,
    short,
    time_into_flight,
    time_of_day,
    time_span,
)

_MOST_BARS: Final = 120
_MOST_MARKS: Final = 400
_LONGEST_NAME: Final = 60
_LONGEST_NOTE: Final = 300
_NUMBERED: Final = re.compile(r'segment_(\d+)\.mcap')
_HINT: Final = (
    'Point at a chart, tap it, or focus it and use the arrow keys: all charts show that moment. '
    'Drag, turn the wheel or pinch to look closer; double click to see the whole flight.'
)
_LEVELS: Final = {1: 'warn', 2: 'bad'}

_SIGNS: Final = {
    'diamond': 'M0-5 5 0 0 5-5 0Z',
    'triangle': 'M0-5 5 4H-5Z',
    'square': 'M-4-4H4V4H-4Z',
    'circle': 'M0-4.5A4.5 4.5 0 1 1-.01-4.5Z',
}
"""Shapes of marks: they must differ by more than colour."""
_HEIGHT: Final = 24
_CHARACTER_SHARE: Final = 0.011
"""Width of a character, as a share of a narrow screen."""
_MOST_DESCRIBED: Final = 50
_MOST_LANES: Final = 24
"""Of states of the vehicle."""


@dataclass(frozen=True)
class Mark:
    """
    Something that lasted from one time to another.

    Attributes:
        from_s: When it began.
        to_s: When it ended.
        words: What it was.
        style: CSS class, for the colour.
        label: Text to write on it, if there is room.

    """

    from_s: float
    to_s: float
    words: str
    style: str
    label: str = ''


def timeline_section(report: Report, drawing: Drawing) -> Html:
    """Show the time line, one lane below the other."""
    losses = report.verification.losses
    lanes = [
        *_states(report, drawing),
        *_images(report, drawing),
        _lane(drawing, 'Segments' if report.is_flight else 'Files', _segments(report, drawing)),
        *(
            _lane(drawing, title, marks, sign)
            for title, sign, marks in (
                ('Lost in transport', 'diamond', _losses(drawing, losses, 'transport')),
                ('Refused: ring full', 'triangle', _losses(drawing, losses, 'overrun')),
                ('Refused: disk', 'square', _losses(drawing, losses, 'write_error')),
            )
            if marks or report.is_flight  # no other recording tells of losses
        ),
        _lane(drawing, 'No message at all', _quiet(report, drawing)),
    ]
    late = _losses(drawing, losses, 'before_match')
    if late:
        lanes.insert(2, _lane(drawing, 'Sent before heard', late, 'diamond'))
    invalid = _losses(drawing, losses, 'invalid')
    if invalid:
        lanes.insert(-1, _lane(drawing, 'Cannot be encoded', invalid, 'square'))
    unreadable = _unreadable(report, drawing)
    if unreadable:
        lanes.append(_lane(drawing, 'Cannot be read', unreadable))
    steps = _clock_steps(report, drawing)
    if steps:
        lanes.append(_lane(drawing, 'Clock was set', steps, 'triangle'))
    notes = _notes(report, drawing)
    if notes:
        lanes.append(_lane(drawing, 'Notes', notes, 'diamond'))
    changed = _parameters(report, drawing)
    if changed:
        lanes.append(_lane(drawing, 'Parameters changed', changed, 'square'))
    alerts = _alerts(report, drawing)
    if not alerts and report.is_flight:
        lanes.append(_lane(drawing, 'Alerts', []))
    lanes += [_lane(drawing, f'Alert: {code}', marks, 'circle') for code, marks in alerts.items()]
    events = h('output', _HINT, class_='events', data_hint=_HINT)
    return h(
        'section',
        h('h2', 'Time line'),
        h('div', lanes, drawing.time_labels(), events, class_='card lanes'),
        id='timeline',
    )


def _states(report: Report, drawing: Drawing) -> list[Html]:
    """Return a lane for each state of the vehicle: modes first, then what is bad or said."""
    names = Counter(lane.name for lane in report.lanes if not lane.is_merged)
    merged: dict[str, list[Mark]] = {}
    signs = {lane.name: 'circle' if lane.is_moment else '' for lane in report.lanes}
    for lane in sorted(report.lanes, key=lambda lane: (lane.rank, lane.name, lane.topic)):
        name = lane.name if names[lane.name] <= 1 else f'{lane.name} {short(lane.topic, 40)}'
        signs[name] = signs[lane.name]
        merged.setdefault(name, []).extend(
            Mark(band.from_s, band.to_s, f'{band.text}, {_span(drawing, band)}', band.style,
                 '' if lane.is_moment else band.text)
            for band in lane.bands(drawing.span_s)
        )
    shown = [(name, marks) for name, marks in merged.items() if marks]
    lanes = [
        _lane(drawing, name, _thinned(marks), signs[name]) for name, marks in shown[:_MOST_LANES]
    ]
    if len(shown) > _MOST_LANES:
        others = [mark for _, marks in shown[_MOST_LANES:] for mark in marks]
        lanes.append(_lane(drawing, f'{len(shown) - _MOST_LANES} others', _thinned(others)))
    return lanes


def _images(report: Report, drawing: Drawing) -> list[Html]:
    """Return a lane of thumbnails for each camera."""
    lanes = []
    for topic in report.topic_data:
        name = short(topic.topic)
        if topic.thumbnails is None:
            continue
        images = [
            h(
                'img',
                src=item.source,
                width=item.width,
                height=item.height,
                data_t=f'{item.at_s:.3f}',
                alt=f'{name}, {time_into_flight(item.at_s)} into the flight',
            )
            for item in topic.thumbnails.found
        ]
        shown = h('div', images, class_='plot thumbs', data_thumbs=name)
        if not images and topic.thumbnails.too_large:
            shown = h('span', 'images too large for this page', class_='none')
        if images or topic.thumbnails.too_large:
            lanes.append(h('div', h('span', name, class_='name'), shown, class_='row lane'))
    return lanes


def _span(drawing: Drawing, band: Band) -> str:
    start_ns, end_ns = (
        drawing.start_ns + round(seconds * NS_PER_S) for seconds in (band.from_s, band.to_s)
    )
    return time_span(start_ns, end_ns)


def _clock_steps(report: Report, drawing: Drawing) -> list[Mark]:
    """Return where the vehicle's clock was set."""
    marks = []
    for time_ns, step in report.payloads(ClockStep):
        at, by_s = drawing.seconds(time_ns), (step.after_ns - step.before_ns) / NS_PER_S
        side = 'ahead' if by_s > 0 else 'back'
        words = f'the clock was set {side} by {precise_duration(abs(by_s))}'
        marks.append(Mark(at, at, f'{words}, at {time_of_day(time_ns)}', 'warn'))
    return _thinned(marks)


def _segments(report: Report, drawing: Drawing) -> list[Mark]:
    dropped = [
        Mark(
            drawing.seconds(item.first_log_time_ns),
            drawing.seconds(item.last_log_time_ns),
            f'segment {item.segment_index} was dropped to free space: '
            f'{plural(item.records, "record")}, {format_size(item.bytes)}',
            'gone',
            'dropped',
        )
        for _, item in report.payloads(SegmentRollover)
    ]
    segments = [segment for segment in report.info.segments if segment.records]
    first = segments[0].first_ns if segments else report.end_ns
    untold = report.info.listed.segments_dropped - len(dropped)
    if untold > 0:  # the records of these drops were dropped, too
        until_s = min([mark.from_s for mark in dropped], default=drawing.seconds(first))
        words = f'{plural(untold, "segment")} dropped to free space'
        dropped.insert(0, Mark(0.0, max(until_s, 0.0), words, 'gone', 'dropped'))
    return _thinned(dropped) + _bars(segments, drawing)


def _bars(segments: Sequence[SegmentInfo], drawing: Drawing) -> list[Mark]:
    """Return a bar for each segment; if there are very many, one for several."""
    step = -(-len(segments) // _MOST_BARS) or 1
    bars = []
    for place in range(0, len(segments), step):
        some = segments[place:place + step]
        first, last = _called(some[0].name), _called(some[-1].name)
        name = first if step == 1 else f'{first} to {last}'
        if _NUMBERED.fullmatch(some[0].name):
            name = f'segment {name}'
        records, count = sum(item.records for item in some), sum(item.bytes for item in some)
        torn = '' if all(segment.is_closed for segment in some) else ', not closed'
        bars.append(
            Mark(
                drawing.seconds(some[0].first_ns),
                drawing.seconds(max(segment.last_ns for segment in some)),
                f'{name}: {plural(records, "record")}, {format_size(count)}{torn}',
                ('torn' if torn else 'even' if place // step % 2 else 'odd'),
                first if step == 1 else '',
            )
        )
    return bars


def _called(name: str) -> str:
    """Return a segment's number; the name of a file that is not one of a flight."""
    numbered = _NUMBERED.fullmatch(name)
    return str(int(numbered[1])) if numbered else short(name, _LONGEST_NAME)


def _losses(drawing: Drawing, losses: Iterable[Loss], cause: str) -> list[Mark]:
    return _thinned(
        Mark(
            drawing.seconds(loss.first_ns),
            drawing.seconds(loss.last_ns),
            f'{plural(loss.records, "message")}'
            f'{f" of {short(loss.topic)}" if loss.topic else ""}, '
            f'{time_span(loss.first_ns, loss.last_ns)}',
            'bad',
        )
        for loss in losses
        if loss.cause == cause and loss.first_ns
    )


def _unreadable(report: Report, drawing: Drawing) -> list[Mark]:
    return _thinned(
        Mark(
            drawing.seconds(loss.first_ns or report.start_ns),
            drawing.seconds(loss.last_ns or report.end_ns),
            f'{format_size(loss.bytes)} of {loss.file_name} cannot be read',
            'bad',
        )
        for loss in report.verification.losses
        if loss.cause == 'unreadable' and loss.first_ns + loss.last_ns
    )


def _quiet(report: Report, drawing: Drawing) -> list[Mark]:
    return [
        Mark(
            drawing.seconds(start),
            drawing.seconds(end),
            f'no message of any topic for {precise_duration((end - start) / NS_PER_S)}, '
            f'{time_span(start, end)}',
            'quiet',
        )
        for start, end in report.rates.quiet_times()
    ]


def _notes(report: Report, drawing: Drawing) -> list[Mark]:
    """Return what somebody has noted in flight."""
    found = [(drawing.seconds(at_ns), at_ns, note) for at_ns, note in report.payloads(Note)]
    return _thinned(
        Mark(at, at, f'{short(note.text, _LONGEST_NOTE)}, at {time_of_day(at_ns)}', 'note')
        for at, at_ns, note in found
    )


def _parameters(report: Report, drawing: Drawing) -> list[Mark]:
    """Return what was changed of the parameters of the vehicle's nodes in flight."""
    changes = [
        (time_ns, f'{short(item.node)} {short(item.name)} = {short(text, _LONGEST_NOTE)}')
        for item in report.info.parameters
        for time_ns, text in item.values[1:]
    ]
    found = [(drawing.seconds(time_ns), time_ns, words) for time_ns, words in changes]
    return _thinned(
        Mark(at, at, f'{words}, at {time_of_day(time_ns)}', 'note') for at, time_ns, words in found
    )


def _alerts(report: Report, drawing: Drawing) -> dict[str, list[Mark]]:
    """Return the marks of alerts by code; each lasts until the alert was cleared."""
    marks: dict[str, list[Mark]] = {}
    present: dict[tuple[str, str], tuple[int, AlertRecord | DroppedAlert]] = {}

    def close(key: tuple[str, str], end_ns: int) -> None:
        time_ns, alert = present.pop(key)
        about = f'{short(alert.subject)}: ' if alert.subject else ''
        words = f'{about}{short(alert.message)}, {time_span(time_ns, end_ns)}'
        style = _LEVELS.get(alert.level, 'warn')
        mark = Mark(drawing.seconds(time_ns), drawing.seconds(end_ns), words, style)
        marks.setdefault(alert.code, []).append(mark)

    for key, gone in report.info.dropped.alerts.items():
        present[key] = gone.first_ns, gone
        if not gone.is_present:
            close(key, gone.last_ns)
    for time_ns, alert in report.payloads(AlertRecord):
        key = (alert.code, alert.subject)
        if alert.raised:
            present.setdefault(key, (time_ns, alert))
        elif key in present:
            close(key, time_ns)
    for key in list(present):
        close(key, report.end_ns)
    return {short(code, 40): _thinned(found) for code, found in sorted(marks.items())}


def _thinned(marks: Iterable[Mark]) -> list[Mark]:
    """Merge neighbouring marks if there are too many to tell apart."""
    found = sorted(marks, key=lambda mark: mark.from_s)
    while len(found) > _MOST_MARKS:
        found = [
            Mark(
                pair[0].from_s,
                max(mark.to_s for mark in pair),
                pair[0].words if len(pair) == 1 else f'{short(pair[0].words)}, and others',
                pair[0].style,
            )
            for pair in (found[place:place + 2] for place in range(0, len(found), 2))
        ]
    return found


# --- a lane ----------------------------------------------------------------------------------


def _lane(drawing: Drawing, name: str, marks: Sequence[Mark], sign: str = '') -> Html:
    """
    Draw a lane of the time line.

    Args:
        drawing: The page's drawing.
        name: The lane's name.
        marks: What to draw.
        sign: The shape at the beginning of each mark; empty for bars only.

    """
    marks = [mark for mark in marks if mark.to_s >= 0 and mark.from_s <= drawing.span_s]
    title = h('span', name, class_='name')
    if not marks:
        return h('div', title, h('span', 'none', class_='none'), class_='row lane')
    key = drawing.new_id()
    events = [
        [round(mark.from_s, 6), round(mark.to_s, 6), mark.words, mark.style, mark.label]
        for mark in marks
    ]
    drawing.numbers.lanes.append({'id': key, 'name': name, 'sign': sign, 'events': events})
    picture = plot(
        drawing,
        title=name,
        described='; '.join(mark.words for mark in marks[:_MOST_DESCRIBED]),
        height=_HEIGHT,
        behind=drawing.time_grid(),
        shapes=[_shape(drawing, mark, 8 if sign else 4) for mark in marks],
        front=[_front(drawing, mark, sign) for mark in marks],
        data_lane=key,
    )
    return h('div', title, picture, class_='row lane')


def _shape(drawing: Drawing, mark: Mark, edge: int) -> Html:
    left, right = drawing.x(mark.from_s), drawing.x(mark.to_s)
    return h(
        'rect',
        class_=mark.style,
        x=f'{left:.2f}',
        width=f'{right - left:.2f}',
        y=edge,
        height=_HEIGHT - 2 * edge,
        vector_effect='non-scaling-stroke',
    )


def _front(drawing: Drawing, mark: Mark, sign: str) -> Html | None:
    """Return what must not be stretched: a mark's sign, or its label if there is room."""
    if sign:
        shape = h('path', class_=mark.style, d=_SIGNS[sign])
        return h('svg', shape, x=drawing.percent(mark.from_s), y=_HEIGHT // 2, class_='sign')
    room_s = _CHARACTER_SHARE * len(mark.label) * drawing.span_s
    if not mark.label or mark.to_s - mark.from_s < room_s:
        return None
    at = drawing.percent((max(mark.from_s, 0.0) + min(mark.to_s, drawing.span_s)) / 2)
    return h('text', mark.label, x=at, y=_HEIGHT // 2 + 4, text_anchor='middle')
