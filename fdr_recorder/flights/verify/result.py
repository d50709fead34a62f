# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The result of `verify`: what is damaged, and what is missing and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fdr_recorder.flights.directory import directory_name, named
from fdr_recorder.flights.ending import has_its_end, has_no_message
from fdr_recorder.flights.recording import Kind
from fdr_recorder.flights.status import (
    Ended,
    FlightStatus,
    in_words,
    Integrity,
    Losses,
    summed,
    Verdict,
)
from fdr_recorder.flights.verify.authenticity import Authentication
from fdr_recorder.record.kinds import FlightFooter
from fdr_recorder.record.loss_detection import Unseen
from fdr_recorder.units import are, iso_time, plural, were


@dataclass(frozen=True)
class Loss:
    """
    Something that the recording does not contain, and says so.

    Attributes:
        cause: `transport`, `before_match`, `overrun`, `write_error`, `invalid`, `capacity`,
            `removed`, `unreadable`, or `unclean`.
        records: How many records; 0 if nobody knows.
        topic: Of which topic; empty if of any.
        publisher: Of which publisher.
        first_ns: From when (system clock); 0 if unknown.
        last_ns: Until when.
        segments: Of which segments, where nothing else is known of what is missing.
        file_name: Of which file, where bytes cannot be read; they are there still.
        bytes: How many.

    """

    cause: str
    records: int = 0
    topic: str = ''
    publisher: str = ''
    first_ns: int = 0
    last_ns: int = 0
    segments: str = ''
    file_name: str = ''
    bytes: int = 0

    def __str__(self) -> str:
        """Say it in words."""
        if self.segments:
            return f'{self.segments}: not on the disk when the recorder was ended'
        records, messages = plural(self.records, 'record'), plural(self.records, 'message')
        verb = were(self.records)
        topic = self.topic or 'several topics'
        text = {
            'transport': f'{messages} of {topic} never reached the recorder',
            'before_match': f'{messages} of {topic} {verb} sent before their '
            'publisher was heard',
            'overrun': f'{records} of {topic} {verb} refused by a full ring',
            'write_error': f'{records} {verb} discarded: the disk refused them',
            'invalid': f'{records} of {topic} {verb} discarded: '
            f'{"it" if self.records == 1 else "they"} cannot be encoded',
            'capacity': f'{records} went with the oldest segments, to free space',
            'removed': f'{records} went with segments that another program removed',
            'unreadable': f'{plural(self.bytes, "byte")} of {self.file_name} cannot be read',
            'unclean': f'{messages} of {self.topic} {are(self.records)} '
            'missing, and the recorder was ended before it could say why'
            if self.records
            else 'the flight was not closed: what came last may be missing',
        }[self.cause]
        if self.cause == 'before_match' and self.first_ns:
            return f'{text}, at {iso_time(self.first_ns)}'
        return text + when(self.first_ns, self.last_ns)


def when(first_ns: int, last_ns: int) -> str:
    """Say between which times, as far as they are known."""
    if first_ns and last_ns:  # the clock may have been set back meanwhile
        first_ns, last_ns = sorted((first_ns, last_ns))
        return f', between {iso_time(first_ns)} and {iso_time(last_ns)}'
    if first_ns:
        return f', after {iso_time(first_ns)}'
    return f', before {iso_time(last_ns)}' if last_ns else ''


@dataclass
class Verification:
    """
    The result of `verify`.

    Attributes:
        path: The flight's directory.
        flight_id: The flight's id, by its header; empty if it has none.
        ended: How it ended.
        tear: Where the files end in the middle, in words; empty if they do not.
        damage: What is wrong with the files, in words.
        losses: What the recording says is missing.
        left_out: How many messages were left out, as asked for, by topic.
        segments: How many segments are there.
        records: How many records lie in them.
        bytes: Their size.
        kept: Files that hold what recovery has cut off, and their sizes; no reader needs them.
        footer: The footer; None for a flight that was not closed.
        unseen: Where losses in transport cannot be seen.
        not_recorded: Why there is nothing of a topic that was asked for, by name.
        kind: A `flight`, or another recording: `bag`, `file`, `segment`.
        untold: Why nobody knows what is missing; empty for a flight.
        is_protected: Whether changed bytes of messages would have been seen.
        checked: Of another recording, what was checked, in words.
        unchecked: What cannot be checked there.
        notes: What is unusual, and no damage.
        authentication: What its seals prove.
        is_proof_wanted: Whether somebody named the keys to prove that with.

    """

    path: Path
    flight_id: str = ''
    ended: Ended = Ended.UNKNOWN
    tear: str = ''
    damage: list[str] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)
    segments: int = 0
    records: int = 0
    bytes: int = 0
    kept: dict[str, int] = field(default_factory=dict)
    footer: FlightFooter | None = None
    unseen: Unseen = field(default_factory=Unseen)
    not_recorded: dict[str, str] = field(default_factory=dict)
    kind: str = Kind.FLIGHT.value
    untold: str = ''
    is_protected: bool = True
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    authentication: Authentication = field(default_factory=Authentication)
    is_proof_wanted: bool = False

    @property
    def status(self) -> FlightStatus:
        """Return what became of the flight; every byte was read."""
        integrity = Integrity.INTACT if self.is_protected else Integrity.UNCHECKED
        if self.tear:
            integrity = Integrity.TORN
        if self.damage:
            integrity = Integrity.DAMAGED
        is_empty = self.footer is not None and has_no_message(self.footer)
        is_empty = is_empty or bool(self.untold and not self.records and not self.damage)
        return FlightStatus(
            self.ended,
            integrity,
            self._summed(),
            self.not_recorded,
            is_empty=is_empty,
            authenticity=self.authentication.state,
            is_proof_wanted=self.is_proof_wanted,
        )

    @property
    def verdict(self) -> Verdict:
        """Return the worst finding."""
        return self.status.verdict

    def _summed(self) -> Losses:
        """Return the losses by cause."""
        sums = summed((loss.cause, loss.records) for loss in self.losses)
        has_end = has_its_end(self.footer, self.ended)
        if self.untold:
            has_end = self.ended is Ended.CLOSED
        unreadable = sum(loss.bytes for loss in self.losses)
        return Losses(
            unreadable_bytes=unreadable,
            throttled=sum(self.left_out.values()),
            has_end=has_end,
            unseen=self.unseen,
            untold=self.untold,
        ).at_least(sums)

    def __str__(self) -> str:
        """Say it in words, a line each."""
        noun = 'file' if self.untold else 'segment'
        count = f'{plural(self.segments, noun)}, {plural(self.records, "record")}'
        lines = [
            f'{named(self.path, self.flight_id)}: {count}', f'  {self.status.sentence}'
        ]
        lines += [f'  {line}' for line in self.authentication.lines()]
        lines += [f'  damaged: {text}' for text in self.damage]
        lines += [f'  torn: {self.tear}'] if self.tear else []
        lines += [f'  missing: {loss}' for loss in self.losses]
        lines += [
            f'  left out: {plural(count, "message")} of {topic or "several topics"}, '
            'as asked for'
            for topic, count in self.left_out.items()
        ]
        lines += [
            f'  not recorded: {name}: {in_words(why)}' for name, why in self.not_recorded.items()
        ]
        lines += [
            f'  kept: {name}, {plural(size, "byte")} that recovery has cut off'
            for name, size in self.kept.items()
        ]
        if self.unseen:
            lines.append(f'  unknown: {self.unseen}')
        lines += [f'  note: {text}' for text in self.notes]
        lines += [f'  checked: {"; ".join(self.checked)}'] if self.checked else []
        lines += [f'  cannot be checked: {"; ".join(self.unchecked)}'] if self.unchecked else []
        return '\n'.join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return it for `json.dumps`."""
        return {
            'path': str(self.path),
            'flight_id': self.flight_id or directory_name(self.path),
            'verdict': self.verdict.name.lower(),
            'status': self.status.to_dict(),
            'segments': self.segments,
            'records': self.records,
            'bytes': self.bytes,
            'damage': list(self.damage),
            'tear': self.tear,
            'kept': [{'file_name': name, 'bytes': size} for name, size in self.kept.items()],
            'losses': [asdict(loss) for loss in self.losses],
            'left_out': dict(self.left_out),
            'kind': self.kind,
            'checked': list(self.checked),
            'unchecked': list(self.unchecked),
            'notes': list(self.notes),
            'unseen_topics': self.unseen.topics,
            'unseen': str(self.unseen),
            'seals': self.authentication.to_dict(),
        }
