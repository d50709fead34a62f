# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the seals of a flight prove, in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
import re
from typing import Any, Final

from fdr_recorder.flights.status import Authenticity
from fdr_recorder.flights.verify.chain import Place
from fdr_recorder.units import format_size, plural

_MOST_TOLD: Final = 20
_UTC: Final = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z', re.ASCII)


@dataclass
class Authentication:
    """
    What the seals of a flight prove.

    Attributes:
        state: In a word.
        reason: Why it is no better, as the rest of a sentence; empty if there is no reason.
        vehicle: For whom the recorder's keys are certified; who that is, is for the identity key
            to say.
        fingerprint: Of the identity key; empty if it is not known.
        seals: How many seals there are.
        seal: Number of the newest seal that holds; -1 if there is none.
        seal_hash: SHA-256 of its text.
        utc: When it was made, by the system clock; empty if there is none.
        log_time_ns: Likewise, by the flight's clock (ns).
        previous_flight: The sealed flight before it in its root, by the opening; may be empty.
        previous_seal: SHA-256 of that flight's newest seal.
        hashes: SHA-256 of all seals, oldest first, of which the next flight may name one: the
            newest that there was when it was opened.
        removed_flights: Ids of other flights that this one says were removed meanwhile, each with
            the SHA-256 of its newest seal.
        faults: What is not as the recorder wrote it.
        uncovered: What no seal of the recorder stands for.
        recovered_by: Who signed what recovery has added; empty if nobody did.
        notes: What else there is to know.

    """

    state: Authenticity = Authenticity.NOT_SEALED
    reason: str = ''
    vehicle: str = ''
    fingerprint: str = ''
    seals: int = 0
    seal: int = -1
    seal_hash: str = ''
    utc: str = ''
    log_time_ns: int = 0
    previous_flight: str = ''
    previous_seal: str = ''
    hashes: tuple[str, ...] = ()
    removed_flights: frozenset[tuple[str, str]] = frozenset()
    faults: list[Place] = field(default_factory=list)
    uncovered: list[Place] = field(default_factory=list)
    recovered_by: str = ''
    notes: list[str] = field(default_factory=list)

    @property
    def up_to(self) -> str:
        """Say when the newest seal that holds was made."""
        when = self.utc if _UTC.fullmatch(self.utc) else f'log time {self.log_time_ns}'
        return f'{when} (seal {self.seal})' if self.seal >= 0 else 'no time at all'

    @property
    def sentence(self) -> str:
        """Say it in one sentence."""
        state = self.state
        by = f'by {shown(self.vehicle)}, key {self.fingerprint}' if self.fingerprint else ''
        if state is Authenticity.AUTHENTIC:
            return f'Authentic: all is as it was sealed {by}.'
        if state is Authenticity.AUTHENTIC_UP_TO:
            return f'Authentic up to {self.up_to}, sealed {by}: {self.reason}{self._open}.'
        if state is Authenticity.NOT_AUTHENTIC:
            more = len(self.faults) - 1
            others = f', and {plural(more, "other finding")}' if more > 0 else ''
            return f'Not authentic: {self.faults[0] if self.faults else self.reason}{others}.'
        if state is Authenticity.UNCHECKED:
            up_to = f', up to {self.up_to}' if self.seal >= 0 else ''
            sealed = f'Sealed {by}'.strip() + up_to
            return f'{sealed}, but not known to be authentic: {self.reason}{self._open}.'
        return f'Not sealed{": " if self.reason else ""}{self.reason}.'

    @property
    def _open(self) -> str:
        """Say how much no seal stands for."""
        size = sum(place.end - place.start for place in self.uncovered)
        return f'; no seal of the recorder stands for {format_size(size)}' if size else ''

    def lines(self) -> list[str]:
        """Say it in words, a line each; none for a flight that is not sealed, if nobody asked."""
        if self.state is Authenticity.NOT_SEALED and not self.reason:
            return []
        lines = [f'seals: {self.sentence}']
        lines += [f'not authentic: {place}' for place in self.faults[:_MOST_TOLD]]
        lines += [f'not covered: {place}' for place in self.uncovered[:_MOST_TOLD]]
        if self.recovered_by:
            lines.append(f'seals: what recovery has added is signed by {shown(self.recovered_by)}')
        return lines + [f'seals: {note}' for note in self.notes]

    def to_dict(self) -> dict[str, Any]:
        """Return it for `json.dumps`."""
        values = asdict(self)
        del values['state'], values['hashes'], values['removed_flights']
        values['faults'] = [place._asdict() for place in self.faults]
        values['uncovered'] = [place._asdict() for place in self.uncovered]
        return {'authenticity': self.state.value, 'sentence': self.sentence, **values}


def shown(text: str) -> str:
    """Return a text out of a file without anything that would steer a terminal."""
    return ascii(text[:200])[1:-1]
