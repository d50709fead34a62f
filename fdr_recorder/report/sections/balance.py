# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The balance of messages and of bytes: published, minus what is missing, is what is here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from fdr_recorder.record.kinds import FlightFooter
from fdr_recorder.record.payload import OWN_TOPIC_PREFIX
from fdr_recorder.record.record_parts import ProducerCounters
from fdr_recorder.report.gather import Report
from fdr_recorder.report.html import Child, h, Html
from fdr_recorder.units import format_size, plural, short

_MOST_NAMED: Final = 10
_MINUS: Final = '\N{MINUS SIGN}'


@dataclass(frozen=True)
class Balance:
    """
    What became of the vehicle's messages. Each number counts messages.

    Attributes:
        offered: Reached the recorder.
        lost_transport: Never reached it, as far as sequence numbers tell.
        before_match: Sent by publishers that came in flight, before they were heard.
        throttled: Left out, as options or a pause ask.
        dropped_overrun: Refused by a full ring.
        dropped_write_error: Discarded, because the disk refused them.
        written: Lie in segments, repeats and dropped segments included.
        repeated: Latched messages written again.
        dropped: Written, and dropped with their segment since.
        present: Lie in the segments that are here.

    """

    offered: int
    lost_transport: int
    before_match: int
    throttled: int
    dropped_overrun: int
    dropped_write_error: int
    written: int
    repeated: int
    dropped: int
    present: int

    @property
    def published(self) -> int:
        """How many messages are known of."""
        return self.offered + self.throttled + self.lost_transport + self.before_match

    @property
    def missing(self) -> int:
        """How many of them are not here."""
        on_the_way = self.lost_transport + self.before_match
        return on_the_way + self.dropped_overrun + self.dropped_write_error + self.dropped


def balance_of(report: Report) -> Balance | None:
    """Sum up the footer's counters; return None for a flight without footer."""
    footer = report.info.footer
    if footer is None:
        return None
    producers = [item for item in footer.producers if not item.topic.startswith(OWN_TOPIC_PREFIX)]

    def total(name: str) -> int:
        return sum(getattr(item, name) for item in producers)

    present, discarded = report.messages, total('dropped_write_error')
    written, repeated, offered = total('written'), total('repeated'), total('offered')
    if not footer.clean_shutdown:
        # A recovered flight was counted from what is there, and does not know whose records the
        # disk refused.
        gone = report.info.dropped
        in_dropped = gone.total('records') - gone.total('own_records')
        of_any = footer.records_dropped_write_error - discarded
        written += in_dropped
        repeated += gone.total('repeated')
        discarded += of_any
        offered += in_dropped - gone.total('repeated') + of_any
    return Balance(
        offered=offered,
        lost_transport=total('lost_transport'),
        before_match=total('before_match'),
        throttled=total('throttled'),
        dropped_overrun=total('dropped_overrun'),
        dropped_write_error=discarded,
        written=written,
        repeated=repeated,
        dropped=max(written - present, 0),
        present=present,
    )


def _is_balanced(item: Balance | ProducerCounters) -> bool:
    accounted = item.written - item.repeated + item.dropped_overrun + item.dropped_write_error
    return item.offered == accounted


# --- the section ----------------------------------------------------------------------------


def balance_section(report: Report) -> Html:
    """Show both balances with the numbers of this flight, and whether they are right."""
    footer, balance = report.info.footer, balance_of(report)
    if footer is None or balance is None:
        content: Child = h(
            'p',
            f'This flight has no footer, so there is no account that could be balanced. '
            f'{plural(report.messages, "message")} can be read.',
        )
    else:
        unseen = report.verification.unseen.sentence
        content = [_messages(balance, footer, unseen), _bytes(report, footer)]
    return h(
        'section', h('h2', 'Accounts'), h('div', content, class_='card ledgers'), id='accounts'
    )


def _messages(balance: Balance, footer: FlightFooter, unseen: str) -> Html:
    lost = (_MINUS, balance.lost_transport, 'never reached the recorder')
    left_out = (_MINUS, balance.throttled, 'left out, as asked for')
    rows: list[tuple[str, int, str]] = [
        ('', balance.published, 'published, as far as sequence numbers tell'),
        *([lost] if balance.lost_transport or not unseen else []),
        (_MINUS, balance.before_match, 'sent before their publishers were heard'),
        *([left_out] if balance.throttled else []),
        ('=', balance.offered, 'to be recorded' if balance.throttled else 'reached the recorder'),
        (_MINUS, balance.dropped_overrun, 'refused, because a ring was full'),
        (_MINUS, balance.dropped_write_error, 'discarded, because the disk refused them'),
        ('+', balance.repeated, 'latched messages, repeated at the start of segments'),
        ('=', balance.written, 'written'),
        (_MINUS, balance.dropped, 'in segments that were dropped to free space'),
        ('=', balance.present, 'in this recording'),
    ]
    wrong = [item for item in footer.producers if not _is_balanced(item)]
    named = ', '.join(short(item.topic) for item in wrong[:_MOST_NAMED])
    own = footer.records_written - balance.written
    producers = sum(item.folded or 1 for item in footer.producers)
    return _ledger(
        'Every message',
        rows,
        _check(
            not wrong,
            f'For each of {plural(producers, "producer")}: offered = written '
            f'{_MINUS} repeated + refused by its ring + refused by the disk.'
            + (f' Not for {named}.' if wrong else ''),
        ),
        _check(
            _is_balanced(balance) and balance.written - balance.dropped == balance.present,
            'The sum above is right, and what the footer counts is in the files.',
        ),
        h('p', f'{unseen} Beside them, {plural(own, "record")} of the recorder itself.'.strip()),
    )


def _bytes(report: Report, footer: FlightFooter) -> Html:
    here = report.verification.bytes
    rows = [
        ('', here, f'in {plural(report.verification.segments, "segment")} that are here'),
        ('+', footer.bytes_dropped, f'in {plural(footer.segments_dropped, "segment")} dropped'),
        ('=', footer.bytes_written, 'bytes written'),
    ]
    size = format_size(footer.bytes_written)
    is_right = here + footer.bytes_dropped == footer.bytes_written
    return _ledger(
        'Every byte',
        rows,
        _check(is_right, f'The sum is right: {size}.' if is_right else 'The sum is wrong.'),
        h('p', f'{plural(footer.rollover_count, "segment")} closed because they were full.'),
    )


def _ledger(title: str, rows: Iterable[tuple[str, int, str]], *checks: Html) -> Html:
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
    return h('div', h('h3', title), h('table', lines, class_='ledger'), checks)


def _check(is_right: bool, words: str) -> Html:
    sign = '✓' if is_right else '✕'
    return h('p', h('b', f'{sign} '), words, class_='check good' if is_right else 'check bad')
