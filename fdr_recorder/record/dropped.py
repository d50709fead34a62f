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
What is known of segments that are gone: an account in sums, whose size is bounded.

The writer keeps one for each segment that is there, and writes it into the record of the drop
when that goes. So the records of drops that are there tell of all that are gone: each of its own
segment and of those whose records were in it. Readers sum them up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from operator import attrgetter
from typing import Any, Final, TypeVar

from fdr_recorder.record.kinds import (
    AlertRecord,
    Overrun,
    RecordInvalid,
    SegmentRollover,
    Throttled,
    TransportLoss,
    WriteError,
)
from fdr_recorder.record.payload import Payload
from fdr_recorder.record.record_parts import DroppedAlert, DroppedLoss, DroppedSegments

CAPACITY: Final = 'capacity'
REMOVED: Final = 'removed'
THROTTLED: Final = 'throttled'
"""Left out because options or a pause ask for that: no loss, but told like one."""
COUNTER_OF: Final = {
    'before_match': 'before_match', 'transport': 'lost_transport', 'overrun': 'dropped_overrun',
    'invalid': 'dropped_write_error', THROTTLED: 'throttled',
}
"""The counter of a producer to which a loss belongs, by its cause."""
_MOST_RUNS: Final = {CAPACITY: 8, REMOVED: 32}
"""Of each cause. Of more, those that are the closest to each other are joined, sums exact."""
_ADDED: Final = ('segments', 'bytes', 'records', 'own_records', 'repeated')

_T = TypeVar('_T', DroppedSegments, DroppedLoss, DroppedAlert)


class DroppedAccount:
    """
    Sums of what segments told that are gone, or will be.

    Attributes:
        alerts: By code and subject.

    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._runs: dict[str, list[DroppedSegments]] = {CAPACITY: [], REMOVED: []}
        self._losses: dict[tuple[str, ...], DroppedLoss] = {}
        self.alerts: dict[tuple[str, str], DroppedAlert] = {}

    @classmethod
    def of_flight(
        cls, rollovers: Iterable[SegmentRollover], present: Iterable[int]
    ) -> DroppedAccount:
        """
        Sum up the records of drops that are in a flight.

        Args:
            rollovers: The records.
            present: Numbers of the segments that are there: what was to be dropped, and is not.

        """
        account = cls()
        there = {*present}
        by_index = {rollover.segment_index: rollover for rollover in rollovers}
        for index in sorted(by_index.keys() - there):
            account.add_segment(by_index[index])
        return account

    # --- what goes in --------------------------------------------------------------------

    def add(self, time_ns: int, payload: Payload) -> None:
        """Take in a record of the recorder itself, with its log time."""
        if isinstance(payload, AlertRecord):
            self._add_alert(
                DroppedAlert(
                    code=payload.code,
                    level=payload.level,
                    subject=payload.subject,
                    message=payload.message,
                    raised=int(payload.raised),
                    cleared=int(not payload.raised),
                    is_present=payload.raised,
                    first_ns=time_ns,
                    last_ns=time_ns,
                )
            )
        elif isinstance(payload, SegmentRollover):
            self.add_segment(payload)
        else:
            loss = loss_of(payload)
            if loss is not None:
                self._add_loss(loss)

    def add_account(self, other: DroppedAccount) -> None:
        """Take in all of another account."""
        for segments in other.segments:
            self._add_segments(segments)
        for loss in other.losses:
            self._add_loss(loss)
        for alert in other.alerts.values():
            self._add_alert(alert)

    def add_segment(self, rollover: SegmentRollover) -> None:
        """Take in a segment that is gone, and what it told."""
        one = DroppedSegments(
            cause=CAPACITY if rollover.cap_bytes else REMOVED,
            segments=1,
            first_index=rollover.segment_index,
            last_index=rollover.segment_index,
            bytes=rollover.bytes,
            records=rollover.records,
            own_records=rollover.own_records,
            repeated=rollover.repeated,
            first_log_time_ns=rollover.first_log_time_ns,
            last_log_time_ns=rollover.last_log_time_ns,
        )
        for segments in (*rollover.earlier, one):
            self._add_segments(segments)
        for loss in rollover.losses:
            self._add_loss(loss)
        for alert in rollover.alerts:
            self._add_alert(alert)

    def _add_segments(self, segments: DroppedSegments) -> None:
        cause = REMOVED if segments.cause == REMOVED else CAPACITY
        ordered = sorted((*self._runs[cause], segments), key=attrgetter('first_index'))
        runs = ordered[:1]
        for run in ordered[1:]:
            if run.first_index <= runs[-1].last_index + 1:
                runs[-1] = _joined_segments(runs[-1], run)
            else:
                runs.append(run)
        while len(runs) > _MOST_RUNS[cause]:
            gaps = [after.first_index - run.last_index for run, after in pairwise(runs)]
            place = gaps.index(min(gaps))
            runs[place:place + 2] = [_joined_segments(runs[place], runs[place + 1])]
        self._runs[cause] = runs

    def _add_loss(self, loss: DroppedLoss) -> None:
        key = _loss_key(loss)
        before = self._losses.get(key)
        self._losses[key] = _joined_loss(before, loss) if before else loss

    def _add_alert(self, alert: DroppedAlert) -> None:
        key = alert.code, alert.subject
        before = self.alerts.get(key)
        self.alerts[key] = _joined_alert(before, alert) if before else alert

    # --- what comes out ------------------------------------------------------------------

    @property
    def segments(self) -> tuple[DroppedSegments, ...]:
        """
        Return the segments in runs: those of the cap, then those that were removed, by number.

        The cap drops the oldest, so that is one run; several if it leaves those that are pinned.
        """
        return (*self._runs[CAPACITY], *self._runs[REMOVED])

    @property
    def losses(self) -> Sequence[DroppedLoss]:
        """Return the losses, by cause, topic and publisher."""
        return tuple(self._losses.values())

    def total(self, name: str, *, cause: str = '') -> int:
        """Sum up a number of the segments, of one cause or of all."""
        return sum(
            getattr(item, name) for item in self.segments if not cause or item.cause == cause
        )

    def moved(self, at: Callable[[int], int]) -> DroppedAccount:
        """Return it with all times as `at` has them; 0 is none, and stays."""
        result = DroppedAccount()
        for segments in self.segments:
            result._add_segments(_moved(segments, at, 'first_log_time_ns', 'last_log_time_ns'))
        for loss in self.losses:
            result._add_loss(_moved(loss, at, 'first_ns', 'last_ns'))
        for alert in self.alerts.values():
            result._add_alert(_moved(alert, at, 'first_ns', 'last_ns'))
        return result

    def to_dict(self) -> dict[str, Any]:
        """Return it for `json.dumps`."""
        return {
            'segments': [as_values(item) for item in self.segments],
            'losses': [as_values(item) for item in self.losses],
            'alerts': [as_values(item) for item in self.alerts.values()],
        }

    def values(self, most: int) -> dict[str, Any]:
        """Return it as fields of `SegmentRollover`, with so many losses and alerts at most."""
        losses = self.losses
        if len(losses) > most:
            losses = _without_topics(_without_publishers(losses), most)
        return {
            'earlier': self.segments,
            'losses': tuple(losses),
            'alerts': tuple(_without_subjects(tuple(self.alerts.values()), most)),
        }

    def __bool__(self) -> bool:
        """Tell whether anything was taken in."""
        return bool(self.segments or self._losses or self.alerts)


def as_values(part: Payload) -> dict[str, Any]:
    """Return the fields of a payload that this version knows, by name."""
    return {name: getattr(part, name) for name in part.known_keys()}


def _moved(part: _T, at: Callable[[int], int], *names: str) -> _T:
    times = {name: at(time_ns) for name in names if (time_ns := getattr(part, name))}
    change: Callable[..., _T] = replace
    return change(part, **times)


def loss_of(payload: Payload) -> DroppedLoss | None:
    """Return what a record of losses tells; None if it is none, or nothing was lost."""
    if isinstance(payload, Overrun):
        cause, times = 'overrun', (payload.first_drop_ns, payload.last_drop_ns)
    elif isinstance(payload, TransportLoss):
        cause = 'before_match' if payload.before_match else 'transport'
        times = payload.first_seen_ns, payload.last_seen_ns
    elif isinstance(payload, Throttled):
        cause, times = THROTTLED, (payload.first_ns, payload.last_ns)
    elif isinstance(payload, WriteError):
        cause, times = 'write_error', payload.lost_from_to_ns
    elif isinstance(payload, RecordInvalid):
        cause, times = 'invalid', (payload.first_record_ns, payload.last_record_ns)
    else:
        return None
    return DroppedLoss(
        cause=cause,
        topic=getattr(payload, 'topic', ''),
        publisher=getattr(payload, 'publisher', ''),
        error_name=getattr(payload, 'error_name', ''),
        times=1,
        records=payload.records,
        bytes=getattr(payload, 'bytes', 0),
        segments=getattr(payload, 'segments', 0),
        first_ns=times[0],
        last_ns=times[1],
    )


def _joined_segments(one: DroppedSegments, other: DroppedSegments) -> DroppedSegments:
    return replace(
        one,
        first_index=min(one.first_index, other.first_index),
        last_index=max(one.last_index, other.last_index),
        first_log_time_ns=_first(one.first_log_time_ns, other.first_log_time_ns),
        last_log_time_ns=max(one.last_log_time_ns, other.last_log_time_ns),
        **_added(one, other, _ADDED),
    )


def _joined_loss(one: DroppedLoss, other: DroppedLoss) -> DroppedLoss:
    return replace(
        one,
        first_ns=_first(one.first_ns, other.first_ns),
        last_ns=max(one.last_ns, other.last_ns),
        **_added(one, other, ('times', 'records', 'bytes', 'segments')),
    )


def _joined_alert(one: DroppedAlert, other: DroppedAlert) -> DroppedAlert:
    if other.last_ns < one.last_ns:
        one, other = other, one
    return replace(
        one,
        level=max(one.level, other.level),
        message=other.message if other.raised else one.message,
        is_present=other.is_present,
        first_ns=_first(one.first_ns, other.first_ns),
        last_ns=other.last_ns,
        **_added(one, other, ('raised', 'cleared')),
    )


def _first(one_ns: int, other_ns: int) -> int:
    """Return the earlier time; 0 is none."""
    return min(one_ns, other_ns) if one_ns and other_ns else one_ns or other_ns


def _added(one: _T, other: _T, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(one, name) + getattr(other, name) for name in names}


def _loss_key(loss: DroppedLoss) -> tuple[str, ...]:
    return loss.cause, loss.topic, loss.publisher, loss.error_name


def _without_publishers(losses: Sequence[DroppedLoss]) -> Sequence[DroppedLoss]:
    """Sum up losses by cause and topic."""
    sums: dict[tuple[str, ...], DroppedLoss] = {}
    for loss in losses:
        less = replace(loss, publisher='')
        key = _loss_key(less)
        sums[key] = _joined_loss(sums[key], less) if key in sums else less
    return tuple(sums.values())


def _without_topics(losses: Sequence[DroppedLoss], most: int) -> Sequence[DroppedLoss]:
    """Sum up the first of too many losses by cause alone."""
    surplus = max(len(losses) - most, 0)
    first = _without_publishers([replace(loss, topic='') for loss in losses[:surplus]])
    return *first, *losses[surplus:]


def _without_subjects(alerts: Sequence[DroppedAlert], most: int) -> Sequence[DroppedAlert]:
    """Sum up the first of too many alerts by code alone."""
    surplus = max(len(alerts) - most, 0)
    sums: dict[str, DroppedAlert] = {}
    for alert in alerts[:surplus]:
        less, before = replace(alert, subject=''), sums.get(alert.code)
        if before is not None:
            is_present = before.is_present or less.is_present
            less = replace(_joined_alert(before, less), is_present=is_present)
        sums[alert.code] = less
    return *sums.values(), *alerts[surplus:]
