# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
What became of a flight, in four axes and one sentence: the same words wherever it is told.

How it *ended* says whether it was closed. Its *integrity* is that of the files, its *completeness*
that of the messages: a flight can be intact and miss thousands of them, and say so. Its
*authenticity* is whether the files are those that the recorder wrote. `Verdict` is the one word
for all four, its worst; its value is the exit code of `fdr verify`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final

from fdr_recorder.record.dropped import loss_of
from fdr_recorder.record.kinds import RequestedTopic
from fdr_recorder.record.loss_detection import Unseen
from fdr_recorder.record.payload import Payload
from fdr_recorder.record.requested import RECORDED
from fdr_recorder.units import format_size, plural, short, were

_COUNTED_AS: Final = {
    'unclean': 'unexplained', 'unreadable': 'unexplained', 'invalid': 'write_error'
}
"""What `Losses` calls the cause of a loss."""
_MOST_NAMED: Final = 5
"""Topics that the sentence names."""


class Ended(Enum):
    """How a flight ended, if it did."""

    CLOSED = 'closed'
    """By the recorder, with a footer."""
    RECOVERED = 'recovered'
    """It was never closed, and recovery has made it whole."""
    OPEN = 'open'
    """It is being recorded."""
    UNKNOWN = 'unknown'
    """It was never closed: a crash, or a power cut. `fdr recover` makes it whole."""


class Integrity(Enum):
    """Whether the files are as they were written."""

    INTACT = 'intact'
    """Every byte."""
    TORN = 'torn'
    """They end in the middle, as a crash or a power cut leaves them."""
    DAMAGED = 'damaged'
    """They are not: bytes were changed, or files are missing."""
    UNCHECKED = 'unchecked'
    """
    What was read is. `fdr verify` reads every byte; but other programs may have left out the
    checksums.
    """


class Completeness(Enum):
    """Whether everything that was asked for and was published is there. The worst is last."""

    COMPLETE = 'complete'
    UNKNOWN = 'unknown'
    """Nothing is known to be missing, but nobody could see it: on some topics, or for damage."""
    LOSSES = 'losses'
    """Messages are missing, and the recording says so."""
    NOT_AS_ASKED = 'not as asked'
    """Of a topic that was asked for there is nothing, or no message of any topic."""


class Authenticity(Enum):
    """Whether it can be proved who wrote the files."""

    AUTHENTIC = 'authentic'
    """They are as the recorder sealed them, with a key that is trusted."""
    AUTHENTIC_UP_TO = 'authentic up to a time'
    """Likewise, up to the last seal, or to what is not covered: the flight was not closed."""
    UNCHECKED = 'sealed'
    """It may be, but was not checked, or by nobody's key that is trusted."""
    NOT_SEALED = 'not sealed'
    """It cannot: the recorder has not signed them."""
    NOT_AUTHENTIC = 'not authentic'
    """They are not as the recorder sealed them."""


class Verdict(Enum):
    """The worst that is to be said of a flight, the worst last; the value is an exit code."""

    COMPLETE = 0
    """Closed or still open, intact, and complete."""
    UNKNOWN = 4
    """Nothing is known to be missing, but on some topics, or in no flight, nobody could see it."""
    LOSSES = 1
    """Intact, but messages are missing, and the recording says so."""
    NOT_AS_ASKED = 5
    """Intact, but of a topic that was asked for there is nothing."""
    UNCLOSED = 6
    """Never closed, as after a crash; `fdr recover` makes it whole."""
    PARTLY_AUTHENTIC = 8
    """Authentic only up to a time, or in part; only where that was asked."""
    UNPROVED = 9
    """Not sealed, or by nobody who is trusted; likewise."""
    DAMAGED = 2
    """The files are not as they were written."""
    NOT_AUTHENTIC = 7
    """The files are not as the recorder sealed them."""

    @property
    def weight(self) -> int:
        """Order verdicts: the greater, the worse."""
        return list(Verdict).index(self)


@dataclass(frozen=True)
class Losses:
    """
    How many records are not in a flight, by cause.

    Attributes:
        transport: Never reached the recorder.
        overrun: Refused by a full ring.
        write_error: Refused by the disk.
        capacity: Dropped with the oldest segments, to free space.
        before_match: Sent by publishers that came in flight, before they were heard.
        removed: Went with segments that another program removed.
        unexplained: Missing, and the recorder was ended before it could say why.
        unreadable_bytes: Bytes of the files that cannot be read; whose they are is not known.
        throttled: Left out because options or a pause ask for that: these are not lost.
        has_end: Whether the flight's end is there. It is not after a crash or a power cut, and
            nobody knows how many records came last.
        unseen: Where losses in transport cannot be seen: there may be more than are counted.
        untold: Why nobody knows what is missing: the recording is no flight. Empty for a flight.

    """

    transport: int = 0
    overrun: int = 0
    write_error: int = 0
    capacity: int = 0
    before_match: int = 0
    removed: int = 0
    unexplained: int = 0
    unreadable_bytes: int = 0
    throttled: int = 0
    has_end: bool = True
    unseen: Unseen = field(default_factory=Unseen)
    untold: str = ''

    @classmethod
    def counted(cls, counters: Mapping[str, int], **others: Any) -> Losses:  # noqa: ANN401
        """Return what the counters of a flight count, and the other attributes."""
        return cls(
            transport=counters.get('records_lost_transport', 0),
            overrun=counters.get('records_dropped_overrun', 0),
            write_error=counters.get('records_dropped_write_error', 0),
            before_match=counters.get('records_before_match', 0),
            throttled=counters.get('records_throttled', 0),
            **others,
        )

    def at_least(self, told: Mapping[str, int]) -> Losses:
        """Return these losses, with those that `losses_in` records where they are more."""
        return replace(
            self, **{cause: max(count, getattr(self, cause)) for cause, count in told.items()}
        )

    @property
    def lost(self) -> int:
        """How many never came into the flight, as far as it is known."""
        unwritten = self.overrun + self.write_error + self.unexplained
        return self.transport + self.before_match + unwritten

    @property
    def dropped(self) -> int:
        """How many were written, and are gone with their segments."""
        return self.capacity + self.removed

    @property
    def total(self) -> int:
        """All records of which it is known that they are missing."""
        return self.lost + self.dropped

    @property
    def are_known(self) -> bool:
        """Whether anything is known to be missing."""
        return bool(self.total or self.unreadable_bytes or not self.has_end)

    def __str__(self) -> str:
        """Say it in words, for example `36 lost in transport, 2 overrun`."""
        said = [*self._lost_words(), *self._dropped_words()]
        if self.unseen and not self.transport:
            said.append(f'unknown in transport on {self.unseen.count}')
        if self.unreadable_bytes:
            said.append(f'{format_size(self.unreadable_bytes)} unreadable')
        if not self.has_end:
            said.append('the end')
        return ', '.join(said) or ('unknown' if self.untold else 'none')

    def clauses(self) -> list[str]:
        """Say it in the clauses of a sentence."""
        said = []
        if self.lost:
            said.append(f'{plural(self.lost, "message")} lost ({", ".join(self._lost_words())})')
        if self.dropped:
            said.append(f'records gone with segments: {", ".join(self._dropped_words())}')
        if self.unreadable_bytes:
            said.append(f'{format_size(self.unreadable_bytes)} cannot be read')
        if not self.has_end:
            said.append('what came last is missing')
        if self.unseen and not self.transport:
            said.append(f'losses in transport cannot be seen on {self.unseen.count}')
        if self.untold:
            said.append(f'{self.untold}, so nobody has counted what was lost')
        return said

    @property
    def left_out(self) -> str:
        """Say what was left out on purpose, to end a sentence; empty if nothing was."""
        count = self.throttled
        said = f'{plural(count, "message")} {were(count)} left out, as asked for'
        return f'; {said}' if count else ''

    def _lost_words(self) -> list[str]:
        at_least = 'at least ' if self.unseen or self.untold else ''
        counted = (
            (self.transport, 'lost in transport'),
            (self.overrun, 'overrun'),
            (self.write_error, 'refused by the disk'),
            (self.before_match, 'sent before heard'),
            (self.unexplained, 'missing without a reason'),
        )
        said = [f'{count:,} {what}' for count, what in counted if count]
        if self.transport:
            said[0] = at_least + said[0]
        return said

    def _dropped_words(self) -> list[str]:
        counted = (
            (self.capacity, 'dropped for space'),
            (self.removed, 'in files that were removed'),
        )
        return [f'{count:,} {what}' for count, what in counted if count]

    def to_dict(self) -> dict[str, Any]:
        """
        Return it for `json.dumps`.

        `transport` is None if none is known, and some unseen; of a recording that is no flight,
        every count of which nothing is known.
        """
        is_unknown = self.unseen and not self.transport
        counts = {
            cause: None if self.untold and not count else count
            for cause, count in (
                ('transport', self.transport),
                ('overrun', self.overrun),
                ('write_error', self.write_error),
                ('capacity', self.capacity),
                ('before_match', self.before_match),
                ('removed', self.removed),
                ('unexplained', self.unexplained),
            )
        }
        return {
            **counts,
            'transport': None if is_unknown else counts['transport'],
            'unreadable_bytes': self.unreadable_bytes,
            'has_end': self.has_end,
            'unseen_topics': self.unseen.topics,
        }


def not_recorded(requested: Iterable[RequestedTopic]) -> dict[str, str]:
    """Return why there is nothing of what was asked for, by its name; see `FlightStatus`."""
    return {
        item.name: item.outcome for item in requested if item.outcome not in ('', RECORDED)
    }


def in_words(outcome: str) -> str:
    """Return an outcome in words."""
    return outcome.replace('_', ' ')


def losses_in(records: Iterable[Payload]) -> dict[str, int]:
    """Return how many losses records of the recorder tell of, as `summed` does."""
    return summed(
        (loss.cause, loss.records) for loss in map(loss_of, records) if loss is not None
    )


def summed(losses: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Sum up losses, given cause and number of records, by the causes of `Losses`."""
    sums: Counter[str] = Counter()
    for cause, records in losses:
        sums[_COUNTED_AS.get(cause, cause)] += records
    return sums


@dataclass(frozen=True)
class FlightStatus:
    """
    What became of a flight.

    Attributes:
        ended: How it ended.
        integrity: Of its files, as far as they were read.
        losses: What is known to be missing, and where nobody can know.
        not_recorded: Why there is nothing of a topic or pattern that was asked for, by its name:
            an outcome of `RequestedTopic`.
        is_empty: Whether it is known that no message of any topic came.
        authenticity: Whether it can be proved who wrote the files.
        is_proof_wanted: Whether somebody named the keys to prove that with.

    """

    ended: Ended
    integrity: Integrity = Integrity.UNCHECKED
    losses: Losses = field(default_factory=Losses)
    not_recorded: Mapping[str, str] = field(default_factory=dict)
    is_empty: bool = False
    authenticity: Authenticity = Authenticity.NOT_SEALED
    is_proof_wanted: bool = False

    @property
    def completeness(self) -> Completeness:
        """Return the worst of what is to be said of the messages."""
        is_missing = self.is_empty or bool(self.not_recorded)
        if is_missing and self.ended is not Ended.OPEN:  # else it may still come
            return Completeness.NOT_AS_ASKED
        if self.losses.are_known:
            return Completeness.LOSSES
        is_unseen = self.losses.unseen or self.losses.untold
        if is_unseen or self.integrity is Integrity.DAMAGED:
            return Completeness.UNKNOWN
        return Completeness.COMPLETE

    @property
    def verdict(self) -> Verdict:
        """Return the worst of all four."""
        if self.authenticity is Authenticity.NOT_AUTHENTIC:
            return Verdict.NOT_AUTHENTIC
        if self.integrity is Integrity.DAMAGED:
            return Verdict.DAMAGED
        if self.is_proof_wanted and self.authenticity is not Authenticity.AUTHENTIC:
            is_partly = self.authenticity is Authenticity.AUTHENTIC_UP_TO
            return Verdict.PARTLY_AUTHENTIC if is_partly else Verdict.UNPROVED
        return self._without_seals

    @property
    def _without_seals(self) -> Verdict:
        """Return the worst that is to be said beside damage and authenticity."""
        if self.ended is Ended.UNKNOWN or self.integrity is Integrity.TORN:
            return Verdict.UNCLOSED
        return Verdict[self.completeness.name]

    @property
    def words(self) -> str:
        """Return it in a word or two, for a table: what is as it should be is left out."""
        said = ['damaged'] if self.integrity is Integrity.DAMAGED else []
        if self.authenticity is Authenticity.NOT_AUTHENTIC:
            said.insert(0, self.authenticity.value)
        if self.ended is not Ended.CLOSED:
            said.append('not closed' if self.ended is Ended.UNKNOWN else self.ended.value)
        completeness, losses = self.completeness, self.losses
        if completeness is Completeness.UNKNOWN:
            said.append('losses unknown')
        elif completeness is Completeness.NOT_AS_ASKED or losses.total or losses.unreadable_bytes:
            said.append(completeness.value)
        return ', '.join(said) or 'complete'

    @property
    def sentence(self) -> str:
        """Say in one sentence what a pilot must know."""
        return f'{self._head()}{self._tail()}{self.losses.left_out}.'

    def _head(self) -> str:
        if self.authenticity is Authenticity.NOT_AUTHENTIC:
            return 'Not authentic: the files are not as the recorder sealed them'
        if self.integrity is Integrity.DAMAGED:
            return 'Damaged: the files are not as they were written'
        is_unclosed = self._without_seals is Verdict.UNCLOSED
        if self.ended is Ended.OPEN:
            return 'This flight is being recorded right now'
        if is_unclosed and self.losses.untold:
            return 'Not closed: `fdr recover -o OUT` writes a whole copy of what is there'
        if is_unclosed and self.losses.has_end:
            what = 'the end of its last file is missing'
            if self.integrity is not Integrity.TORN:
                what = '`metadata.yaml` is missing or does not fit'
            return f'Not closed: all was written, but {what}, and `fdr recover` makes it whole'
        if is_unclosed:
            return 'Not closed: a crash or a power cut ended it, and `fdr recover` makes it whole'
        if self.ended is Ended.RECOVERED:
            return 'Recovered after a crash or a power cut'
        if self.completeness is Completeness.NOT_AS_ASKED:
            return 'Empty' if self.is_empty else 'Not as asked'
        if self.completeness is Completeness.LOSSES:
            return 'Closed, with losses'
        if self.completeness is Completeness.UNKNOWN:
            return 'Closed, and nothing is known to be missing'
        return 'Complete: closed, and nothing is missing'

    def _tail(self) -> str:
        said = ['no message of any topic came'] if self.is_empty else []
        if self.completeness is Completeness.NOT_AS_ASKED and self.not_recorded:
            said.append(f'nothing was recorded of {self._names()}')
        said += self.losses.clauses()
        return f': {"; ".join(said)}' if said else ''

    def _names(self) -> str:
        named = [
            f'{short(name)} ({in_words(why)})'
            for name, why in list(self.not_recorded.items())[:_MOST_NAMED]
        ]
        more = len(self.not_recorded) - len(named)
        if more:
            named.append(f'and {plural(more, "other")}')
        return ', '.join(named)

    def to_dict(self) -> dict[str, Any]:
        """Return it for `json.dumps`."""
        return {
            'verdict': self.verdict.name.lower(),
            'ended': self.ended.value,
            'integrity': self.integrity.value,
            'completeness': self.completeness.value,
            'authenticity': self.authenticity.value,
            'sentence': self.sentence,
            'not_recorded': dict(self.not_recorded),
        }
