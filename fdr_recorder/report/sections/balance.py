# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Where every message and every byte is; alerts; who recorded, with what configuration."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from fdr_recorder.config import FdrConfig
from fdr_recorder.flights.info import SegmentDetails
from fdr_recorder.record.kinds import AlertRecord, FlightFooter, FlightHeader, ProducerCounters
from fdr_recorder.report.account import Account
from fdr_recorder.report.gather import Report
from fdr_recorder.report.html import Child, h, Html
from fdr_recorder.report.sections.topics import fact_list
from fdr_recorder.report.svg import Drawing
from fdr_recorder.report.verdict import config_options
from fdr_recorder.units import format_size, plural, short, time_into_flight, time_of_day
import yaml

_MOST_ROWS: Final = 500
_MOST_NAMED: Final = 10
_MINUS: Final = '\N{MINUS SIGN}'
_LEVELS: Final = {1: ('warn', 'WARN'), 2: ('bad', 'ERROR')}


def accounts(report: Report) -> Html:
    """Return the section on both identities, with the numbers of this flight."""
    footer, account = report.details.footer, report.account
    if footer is None or account is None:
        counted = sum(topic.messages for topic in report.topics)
        content: Child = h(
            'p',
            f'This flight has no footer, so there is no account that could be balanced. '
            f'{plural(counted, "message")} can be read.',
        )
    else:
        content = [_messages(account, footer), _bytes(report, footer)]
    return h(
        'section', h('h2', 'Accounts'), h('div', content, class_='card ledgers'), id='accounts'
    )


def _messages(account: Account, footer: FlightFooter) -> Html:
    rows: list[tuple[str, int, str]] = [
        ('', account.published, 'published, as far as sequence numbers tell'),
        (_MINUS, account.lost_transport, 'never reached the recorder'),
        ('=', account.offered, 'reached the recorder'),
        (_MINUS, account.dropped_overrun, 'refused, because a ring was full'),
        (_MINUS, account.dropped_write_error, 'discarded, because the disk refused them'),
        ('+', account.repeated, 'latched messages, repeated at the start of segments'),
        ('=', account.written, 'written'),
        (_MINUS, account.dropped, 'in segments that were dropped to free space'),
        ('=', account.present, 'in this recording'),
    ]
    wrong = [item for item in footer.producers if not _balances(item)]
    named = ', '.join(short(item.topic) for item in wrong[:_MOST_NAMED])
    said = [
        _check(
            not wrong,
            f'For each of {plural(len(footer.producers), "producer")}: offered = written '
            f'{_MINUS} repeated + refused by its ring + refused by the disk.'
            + (f' Not for {named}.' if wrong else ''),
        ),
        _check(
            account.written - account.repeated + account.dropped_overrun
            + account.dropped_write_error == account.offered
            and account.written - account.dropped == account.present,
            'The sum above is right, and what the footer counts is in the files.',
        ),
    ]  # fmt: skip
    own = f'Beside them, {plural(account.own, "record")} of the recorder itself.'
    return _ledger('Every message', rows, [*said, h('p', own)])


def _balances(item: ProducerCounters) -> bool:
    accounted = (
        item.written - item.repeated + item.dropped_overrun + item.dropped_write_error
    )
    return item.offered == accounted


def _bytes(report: Report, footer: FlightFooter) -> Html:
    here = report.verification.bytes
    rows = [
        ('', here, f'in {plural(report.verification.segments, "segment")} that are here'),
        ('+', footer.bytes_dropped, f'in {plural(footer.segments_dropped, "segment")} dropped'),
        ('=', footer.bytes_written, 'bytes written'),
    ]
    is_right = here + footer.bytes_dropped == footer.bytes_written
    return _ledger(
        'Every byte',
        rows,
        [
            _check(is_right, f'The sum is right: {format_size(footer.bytes_written)}.'
                   if is_right else 'The sum is wrong.'),
            h('p', f'{plural(footer.rollover_count, "segment")} closed because they were full.'),
        ],
    )  # fmt: skip


def _ledger(title: str, rows: Iterable[tuple[str, int, str]], said: Child) -> Html:
    lines = [
        h(
            'tr',
            h('td', sign),
            h('td', f'{count:,}', class_='num'),
            h('td', words),
            class_='sum' if sign == '=' else None if count or not sign else 'nil',
        )
        for sign, count, words in rows
    ]
    return h('div', h('h3', title), h('table', lines, class_='ledger'), said)


def _check(is_right: bool, words: str) -> Html:
    sign = '✓' if is_right else '✕'
    return h('p', h('b', f'{sign} '), words, class_='check good' if is_right else 'check bad')


def alert_list(report: Report, drawing: Drawing) -> Html:
    """Return the section on alerts, in order."""
    alerts = [
        (event.time_ns, event.payload)
        for event in report.details.events
        if isinstance(event.payload, AlertRecord)
    ]
    rows = [_alert(drawing, time_ns, alert) for time_ns, alert in alerts[:_MOST_ROWS]]
    content: Child = h('p', 'None.')
    if rows:
        titles = ('UTC', 'Into flight', 'Level', 'Alert', 'Message')
        head = h('tr', [h('th', title) for title in titles])
        content = h('table', h('thead', head), h('tbody', rows), class_='alerts')
    more = len(alerts) - len(rows)
    is_partial = report.details.overview.segments_dropped > 0
    return h(
        'section',
        h('h2', 'Alerts ', h('small', f'{len(alerts):,}')),
        h('div', content, class_='card scroll'),
        h('p', f'And {more:,} more.') if more else None,
        h('p', 'Those in segments that were dropped are not here.', class_='source')
        if is_partial
        else None,
        id='alerts',
    )


def _alert(drawing: Drawing, time_ns: int, alert: AlertRecord) -> Html:
    style, level = _LEVELS.get(alert.level, ('note', str(alert.level)))
    values = [f'{short(key, 60)} {short(value, 80)}' for key, value in alert.values.items()]
    said: list[Child] = [short(alert.message, 400)]
    if values and alert.raised:
        said.append(h('small', ' · '.join(values[:_MOST_NAMED])))
    state = h('b', level, class_=f'tag {style}') if alert.raised else h('b', 'over', class_='tag')
    code = [h('code', short(alert.code, 60)), h('small', short(alert.subject))]
    return h(
        'tr',
        h('td', time_of_day(time_ns), class_='num'),
        h('td', time_into_flight(drawing.seconds(time_ns)), class_='num'),
        h('td', state),
        h('td', code),
        h('td', said),
    )


# --- header and configuration ----------------------------------------------------------------


def header_list(report: Report) -> Html:
    """Return the section on the flight header."""
    header = report.details.header
    if header is None:
        content: Child = h('p', 'This recording has no flight header that can be read.')
    else:
        content = [fact_list(_identity(header)), _manifest(header)]
    return h(
        'section', h('h2', 'Flight header'), h('div', content, class_='card'), id='header'
    )


def _identity(header: FlightHeader) -> list[tuple[str, Child]]:
    facts = (
        ('Vehicle', header.vehicle_id),
        ('Flight', header.flight_id),
        ('Started', header.flight_started_at_iso),
        ('Recorder', f'fdr_recorder {header.software_version}' if header.software_version else ''),
        ('ROS', header.ros_distro),
        ('Middleware', header.rmw_implementation),
        ('Python', header.python_version),
        ('Host', header.host_name),
        ('Platform', header.host_platform),
        ('Process', str(header.process_id) if header.process_id else ''),
        ('Signing key event', header.signing_key_rotation_event),
    )
    more = [(key, str(value)) for key, value in header.extra.items()]
    return [(short(name), short(value, 400)) for name, value in (*facts, *more) if value]


def _manifest(header: FlightHeader) -> Html | None:
    rows = [
        h('tr', h('td', short(name, 400)), h('td', h('code', short(digest, 128))))
        for name, digest in list(header.manifest_content_hashes.items())[:_MOST_ROWS]
    ]
    if not rows:
        return None
    head = h('tr', h('th', 'Manifest file'), h('th', 'SHA-256'))
    return h('div', h('table', h('thead', head), h('tbody', rows)), class_='scroll')


def configuration(report: Report) -> Html | None:
    """Return the section on the configuration; what is not the default stands out."""
    header = report.details.header
    if header is None or not header.config_snapshot:
        return None
    options = config_options(header)
    if not options:
        content = h('pre', header.config_snapshot[:_MOST_ROWS * 100])
    else:
        defaults = FdrConfig().to_options()
        rows = [
            h(
                'div',
                h('dt', h('code', short(str(name)))),
                h('dd', h('code', _shown(value))),
                class_='changed' if _shown(value) != _shown(defaults.get(name)) else None,
            )
            for name, value in list(options.items())[:_MOST_ROWS]
        ]
        content = h('dl', rows, class_='options')
    return h(
        'section',
        h('h2', 'Configuration'),
        h('p', 'Options that are not the default of this version are in bold.', class_='source')
        if options
        else None,
        h('div', content, class_='card'),
        id='configuration',
    )


def _shown(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ', '.join(map(str, value)) or 'none'
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix('...\n')
    return short(text.strip(), 2000)


def segment_list(report: Report, drawing: Drawing) -> Html:
    """Return the section on the files."""
    segments = report.details.segments
    rows = [
        h(
            'tr',
            h('td', h('code', short(segment.name))),
            [h('td', text, class_='num') for text in (
                format_size(segment.bytes),
                f'{segment.records:,}',
                time_of_day(segment.first_ns) if segment.records else '',
                time_of_day(segment.last_ns) if segment.records else '',
            )],
            h('td', 'closed' if segment.is_closed else 'not closed'),
        )
        for segment in _ends(segments)
    ]  # fmt: skip
    titles = ('File', 'Size', 'Records', 'From', 'To', 'State')
    head = h('tr', [h('th', title) for title in titles])
    more = len(segments) - len(rows)
    return h(
        'section',
        h('h2', 'Segments ', h('small', f'{len(segments):,}')),
        h('details', h('summary', 'Files of this flight'),
          h('div', h('table', h('thead', head), h('tbody', rows)), class_='card scroll')),
        h('p', f'{more:,} in the middle are left out.') if more else None,
        id='segments',
    )  # fmt: skip


def _ends(segments: Sequence[SegmentDetails]) -> Sequence[SegmentDetails]:
    """Return the first and the last ones, if there are too many."""
    if len(segments) <= _MOST_ROWS:
        return segments
    return [*segments[: _MOST_ROWS // 2], *segments[-_MOST_ROWS // 2:]]
