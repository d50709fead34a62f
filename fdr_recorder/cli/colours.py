# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Colours that mean something; only on a terminal, and never the only thing that says it."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
import os
import sys
from typing import Final, TYPE_CHECKING

if TYPE_CHECKING:
    from fdr_recorder.flights.status import Verdict

Paint = Callable[[str, str], str]
"""Takes a text and how it is shown, shortened for example; returns that in the text's colour."""


class Tone(Enum):
    """What a colour means."""

    GOOD = '32'
    DOUBTFUL = '33'
    BAD = '31'
    HEADING = '1'


_OF_VERDICTS: Final = {
    'COMPLETE': Tone.GOOD,
    'DAMAGED': Tone.BAD,
    'UNCLOSED': Tone.BAD,
    'UNPROVED': Tone.BAD,
    'NOT_AUTHENTIC': Tone.BAD,
}


def tone_of(verdict: Verdict) -> Tone:
    """Return the tone of what is said of a flight: doubtful where something is missing."""
    return _OF_VERDICTS.get(verdict.name, Tone.DOUBTFUL)


class Toned(str):
    """A text with a meaning that is shown in colour."""

    tone: Tone | None

    def __new__(cls, text: str, tone: Tone | None) -> Toned:
        """Give a text a meaning; None for none."""
        toned = super().__new__(cls, text)
        toned.tone = tone
        return toned


def painter() -> Paint:
    """
    Return what colours a text for stdout.

    There is colour on a terminal, and elsewhere with `CLICOLOR_FORCE`; with `NO_COLOR` nowhere.
    """
    told = os.environ.get
    is_forced = told('CLICOLOR_FORCE', '0') not in ('', '0')
    is_wanted = sys.stdout.isatty() and told('TERM') != 'dumb' and told('CLICOLOR') != '0'
    if told('NO_COLOR') or not (is_forced or is_wanted):
        return lambda _meant, shown: shown
    return _paint


def _paint(meant: str, shown: str) -> str:
    tone = meant.tone if isinstance(meant, Toned) else None
    return f'\x1b[{tone.value}m{shown}\x1b[0m' if tone is not None else shown
