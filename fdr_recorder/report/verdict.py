# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The verdict: what a pilot must know about a flight, in sentences."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from fdr_recorder.flights.status import Authenticity, Ended, FlightStatus, Integrity, Verdict
from fdr_recorder.flights.verify import Loss
from fdr_recorder.record.kinds import ClockStep, FlightHeader, SegmentRollover
from fdr_recorder.record.loss_detection import Unseen
from fdr_recorder.report.gather import Report
from fdr_recorder.report.sections.balance import Balance, balance_of
from fdr_recorder.report.sections.configuration import config_options
from fdr_recorder.units import (
    are,
    format_size,
    NS_PER_S,
    plural,
    precise_duration,
    short,
    time_of_day,
    time_span,
    were,
)

_MOST_SENTENCES: Final = 8
_LONGEST: Final = 400
_LATE_S: Final = 5.0
_LATE_PERIODS: Final = 10.0
_FEW: Final = 10
_CLOCK_STEP_S: Final = 1.0


class Level(Enum):
    """Severity; the value is the CSS class."""

    GOOD = 'good'
    LIVE = 'live'
    LOSS = 'loss'
    WARN = 'warn'
    BAD = 'bad'


_LEVELS: Final = {
    Verdict.COMPLETE: Level.GOOD,
    Verdict.UNKNOWN: Level.WARN,
    Verdict.LOSSES: Level.LOSS,
    Verdict.NOT_AS_ASKED: Level.WARN,
    Verdict.UNCLOSED: Level.WARN,
    Verdict.PARTLY_AUTHENTIC: Level.WARN,
    Verdict.UNPROVED: Level.WARN,
    Verdict.DAMAGED: Level.BAD,
    Verdict.NOT_AUTHENTIC: Level.BAD,
}


@dataclass(frozen=True)
class Conclusion:
    """
    The conclusion about a flight.

    Attributes:
        level: Its severity.
        headline: One sentence.
        sentences: Details.

    """

    level: Level
    headline: str
    sentences: tuple[str, ...]


@dataclass
class LossGroup:
    """
    The losses with one cause on one topic.

    Attributes:
        cause: As in `Loss`.
        topic: The topic; empty for losses on any topic.
        records: Number of records.
        times: Number of losses.
        first_ns: When they began; 0 if unknown.
        last_ns: When they ended.

    """

    cause: str
    topic: str
    records: int = 0
    times: int = 0
    first_ns: int = 0
    last_ns: int = 0

    def add(self, loss: Loss) -> None:
        """Add a loss."""
        self.records += loss.records
        self.times += 1
        if loss.first_ns:
            self.first_ns = min(self.first_ns or loss.first_ns, loss.first_ns)
            self.last_ns = max(self.last_ns, loss.last_ns)

    def sentence(self, report: Report) -> str:
        """Return a sentence about it."""
        messages, topic = plural(self.records, 'message'), short(self.topic)
        verb = were(self.records)
        text = {
            'transport': f'{messages} of {topic} never reached the recorder',
            'before_match': f'{messages} of {topic} {verb} sent before their publisher was heard',
            'overrun': f'{messages} of {topic} {verb} refused, because the ring was full',
            'write_error': f'{messages} {verb} discarded, because the disk refused them',
            'invalid': f'{messages} of {topic} {verb} discarded, because '
            f'{"it" if self.records == 1 else "they"} cannot be encoded',
            'capacity': _capacity(report, self.records),
            'removed': f'{messages} went with segments that another program removed',
            'unclean': f'{messages} of {topic} {are(self.records)} missing, and the recorder was '
            'ended before it could say why',
        }.get(self.cause, f'{messages} {are(self.records)} missing ({self.cause})')
        when = time_span(self.first_ns, self.last_ns)
        if self.times > 1 and when.startswith('between'):
            when = f'{self.times:,} times {when}'
        return f'{text}, {when}.' if when else f'{text}.'


def _capacity(report: Report, records: int) -> str:
    dropped = report.info.listed.segments_dropped
    caps = [rollover.cap_bytes for _, rollover in report.payloads(SegmentRollover)]
    limit = f' (the limit was {format_size(caps[-1])})' if caps else ''
    segment = 'segment' if dropped == 1 else plural(dropped, 'segment')
    return f'{plural(records, "message")} went with the oldest {segment}, to free space{limit}'


def loss_groups(losses: Iterable[Loss]) -> list[LossGroup]:
    """Group losses by cause and topic, the largest group first."""
    groups: dict[tuple[str, str], LossGroup] = {}
    for loss in losses:
        if loss.records:
            key = (loss.cause, loss.topic)
            groups.setdefault(key, LossGroup(*key)).add(loss)
    return sorted(groups.values(), key=lambda group: -group.records)


def _of_files(loss: Loss) -> str:
    """Return a sentence about missing or unreadable bytes: the number of messages is unknown."""
    if loss.segments:
        return f'{loss.segments}: not on the disk when the recorder was ended.'
    text = f'{format_size(loss.bytes)} of {loss.file_name} cannot be read'
    when = time_span(loss.first_ns, loss.last_ns)
    return f'{text}, {when}.' if when else f'{text}.'


def verdict(report: Report) -> Conclusion:
    """Return what to conclude about a flight: its status, and details."""
    verification, status = report.verification, report.verification.status
    level = _LEVELS[status.verdict]
    if level is not Level.BAD:
        level = {Ended.OPEN: Level.LIVE, Ended.RECOVERED: Level.WARN}.get(status.ended, level)
    details = [*_seals(report), *_damage(report), *_account(report, status), *_losses(report)]
    if verification.unseen:
        details.append(verification.unseen.sentence)
    return Conclusion(level, status.sentence, tuple(details))


def _losses(report: Report) -> list[str]:
    """Return a sentence about each kind of loss, and about files that are not all there."""
    losses, balance = report.verification.losses, balance_of(report)
    groups = loss_groups(losses)
    if balance is not None:
        for group in groups:
            if group.cause == 'capacity':  # without the recorder's own records
                group.records = balance.dropped
    sentences = [group.sentence(report) for group in groups]
    sentences += [_of_files(loss) for loss in losses if loss.segments or loss.bytes]
    return _most(sentences, 'and {} more; the topics below have them all.')


def _seals(report: Report) -> list[str]:
    """Return what the seals prove, if there are any."""
    found = report.verification.authentication
    if found.state is Authenticity.NOT_SEALED:
        return []
    said = [found.sentence, *(f'Not authentic: {place}.' for place in found.faults[1:])]
    texts = [short(text, _LONGEST) for text in said]
    return _most(texts, 'and {} more; `fdr verify` has them all.')


def _damage(report: Report) -> list[str]:
    """Return what is wrong with the files, in words."""
    directory = f'{report.info.listed.path}/'
    damage = [
        short(text.replace(directory, ''), _LONGEST) for text in report.verification.damage
    ]
    return _most(damage, 'and {} more; `fdr verify` has them all.')


def _account(report: Report, status: FlightStatus) -> list[str]:
    """Return sentences about what is there."""
    if status.ended is Ended.OPEN:
        return [f'The page shows it as it was at {time_of_day(report.made_ns, 0)} UTC.']
    if status.losses.untold:
        return _of_other(report, status)
    balance = balance_of(report)
    if status.ended is Ended.CLOSED and balance is not None:
        if status.integrity is Integrity.DAMAGED:
            return []
        return _closed(balance, report.verification.unseen)
    header = report.info.header
    bound = _bound(header) if header is not None else ''
    verb = 'can be read' if status.ended is Ended.UNKNOWN else 'are here'
    return [
        f'{plural(report.messages, "message")} {verb}, up to {time_of_day(report.end_ns)} UTC.',
        f'What came in the last moments before the end is missing{bound}.',
    ]


def _of_other(report: Report, status: FlightStatus) -> list[str]:
    """Return sentences about a recording that is no flight."""
    found = report.verification
    said = [f'{plural(report.messages, "message")} can be read.']
    if status.ended is Ended.UNKNOWN:
        said.append('What came in the last moments before the end is missing.')
    notes = (short(note, _LONGEST) for note in found.notes)
    said += [f'{note[0].upper()}{note[1:]}.' for note in notes]
    if found.checked:
        said.append(f'Checked: {"; ".join(found.checked)}.')
    return [*said, f'Cannot be checked: {"; ".join(found.unchecked)}.']


def _bound(header: FlightHeader) -> str:
    """Say how much a crash or a power cut can cost with the flight's configuration."""
    options = config_options(header)
    flush, sync = (options.get(f'writer.{name}_interval_s') for name in ('flush', 'sync'))
    if not isinstance(flush, float) or not isinstance(sync, float):
        return ''
    return f': at most {flush:g} s after a crash, {flush + sync:g} s after a power cut'


def _closed(balance: Balance, unseen: Unseen) -> list[str]:
    """Return sentences about the messages of a flight that was closed."""
    known, missing = balance.published, balance.missing
    if not known:
        return ['No message of any topic came.']
    noun = f'Every one of {known:,} messages' if known > 1 else 'The only message'
    of = ' that the recorder knows of' if unseen else ''  # else all that were published
    if missing:
        return [f'{noun}{of} is accounted for; {missing:,} are not in this recording.']
    lost = '' if unseen else 'lost on the way, '
    none = f'Nothing was {lost}refused by a full ring or by the disk, or dropped.'
    return [f'{noun}{of} is accounted for.', none]


def findings(report: Report) -> list[str]:
    """Return sentences on what else stands out: silences, and a clock that was set."""
    found = [
        f'No topic at all had a message for {precise_duration((end - start) / NS_PER_S)}, '
        f'{time_span(start, end)}.'
        for start, end in sorted(
            report.rates.quiet_times(), key=lambda quiet: quiet[0] - quiet[1]
        )[:3]
    ]
    for topic in report.topics:
        period_s = report.rates.period_s(topic.key)
        silent_s = (report.end_ns - topic.last_ns) / NS_PER_S
        is_late = silent_s > max(_LATE_S, _LATE_PERIODS * period_s)
        if is_late and topic.messages >= _FEW and period_s:
            found.append(
                f'{short(topic.name)} fell silent at {time_of_day(topic.last_ns)}, '
                f'{precise_duration(silent_s)} before the end.'
            )
    found += _clock_findings(report)
    return _most(found, 'and {} more topics that fell silent.')


def _most(sentences: list[str], more: str) -> list[str]:
    """Return the first sentences, and how many more there are."""
    left_out = len(sentences) - _MOST_SENTENCES
    if left_out <= 0:
        return sentences
    return [*sentences[:_MOST_SENTENCES], more.format(f'{left_out:,}').capitalize()]


def _clock_findings(report: Report) -> list[str]:
    """Return sentences about a clock that was wrong."""
    steps = [(step.after_ns - step.before_ns) / NS_PER_S for _, step in report.payloads(ClockStep)]
    header = report.info.header
    is_steady = header is not None and header.log_time_offset_ns != 0
    step_s = sum(steps) if is_steady else _clock_step_s(report)
    if not steps and abs(step_s) <= _CLOCK_STEP_S:
        return []
    text = f"The vehicle's clock was set {plural(len(steps), 'time')} during the flight"
    if len(steps) < 2:
        side = 'ahead' if step_s > 0 else 'back'
        by = precise_duration(abs(step_s))
        text = f"The vehicle's clock was set during the flight, {side} by {by}"
    if is_steady:
        return [f'{text}. Times on this page are true UTC, by the clock as it was set.']
    return [f'{text}. Times on this page are as it showed them.']


def _clock_step_s(report: Report) -> float:
    """Return how far the system clock was set forward during the flight, in seconds."""
    header, footer = report.info.header, report.info.footer
    if header is None or not header.flight_started_at_ns:
        return 0.0
    if footer is None or not footer.clean_shutdown:
        return 0.0
    steady_ns = footer.flight_ended_at_monotonic_ns - header.flight_started_at_monotonic_ns
    try:
        ended = datetime.fromisoformat(footer.flight_ended_at_iso.replace('Z', '+00:00'))
        shown_s = ended.timestamp() - header.flight_started_at_ns / NS_PER_S
    except (ValueError, OverflowError, TypeError):
        return 0.0
    return shown_s - steady_ns / NS_PER_S
