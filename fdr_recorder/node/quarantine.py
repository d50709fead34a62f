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
Topics at fault: they are left alone for a while, told, and tried again; the others go on.

Middleware, graph and message packages belong to others, and can raise anything. Whoever works for
a topic does it under `Quarantine.guard`, which decides what becomes of the topic.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import logging
import threading
import time
import traceback
from typing import Final

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.errors import FdrError, TypeUnknownError
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.topics.names import TopicType

logger = logging.getLogger(__name__)

FAULTS: Final = (Exception, SystemExit)
"""What others' code may raise; a package that calls `sys.exit` must not end the recorder."""
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
"""Pauses before the next try: each one is twice as long as the one before."""
ALERT_HOLD_S: Final = 5.0
"""A topic that works again is told so after this time without a fault."""
MAX_REASON: Final = 300
"""Characters of an error that are told."""

Subject = str | TopicType
"""What work is for: a topic, or one type of a topic. The topic is empty for work that concerns all
topics. Alerts name the topic."""


@dataclass
class _Case:
    """Work for a topic that has failed; times are monotonic seconds."""

    code: str
    message: str = ''
    faults: int = 0
    """Since the work last succeeded, or since the case began."""
    pause_s: float = 0.0
    retry_at: float = 0.0
    works_since: float | None = None
    """When the work succeeded again; None while it fails."""


class Quarantine:
    """
    Decides when work for a topic that has failed is tried again, and what is told.

    A case is known by its subject and by what fails: a topic whose publishers cannot be listed is
    recorded all the same, and so is the other type of a topic that has two.

    Methods may be called in any thread; each takes a lock, so the way of a message has none.
    """

    def __init__(self, alerts: AlertBoard) -> None:
        """Begin without a case."""
        self._alerts = alerts
        self._lock = threading.Lock()
        self._cases: dict[tuple[Subject, str], _Case] = {}

    @contextmanager
    def guard(
        self,
        subject: Subject,
        work: str,
        code: str = 'topic_failed',
        *,
        longest_s: float = LONGEST_PAUSE_S,
    ) -> Iterator[None]:
        """
        Do some work for a topic: an error quarantines this work and goes no further.

        Args:
            subject: What it is for; empty for work that concerns all topics.
            work: The fault in words, as the alert has it after the topic: `cannot be taken`.
            code: Code of the alert; an unknown type has one of its own.
            longest_s: Longest pause before the next try.

        """
        try:
            yield
        except FAULTS as error:
            self.blame(subject, work, error, code, longest_s=longest_s)
        else:
            self.acquit(subject, work)

    def blame(
        self,
        subject: Subject,
        work: str,
        error: BaseException,
        code: str = 'topic_failed',
        *,
        longest_s: float = LONGEST_PAUSE_S,
    ) -> float:
        """
        Quarantine work that has failed, and raise the alert; see `guard`.

        Returns:
            The pause in seconds.

        """
        if isinstance(error, TypeUnknownError):
            code = error.alert_code
        message, topic = _reason(error), _topic(subject)
        if not isinstance(error, FdrError):  # those name the topic
            message = f'{topic} {work}: {message}'.lstrip()
        with self._lock:
            case = self._cases.get((subject, work))
            if case is None or case.code != code:
                if case is not None:
                    self._end(subject, case, 'another fault')
                case = self._cases[subject, work] = _Case(code)
            is_new = not case.faults
            case.faults += 1
            case.pause_s = min(2 * case.pause_s or min(FIRST_PAUSE_S, longest_s / 8), longest_s)
            case.retry_at = time.monotonic() + case.pause_s
            case.works_since = None
            case.message = message
            values = {'faults': case.faults, 'next_try_s': f'{case.pause_s:g}'}
            if isinstance(subject, TopicType):
                values['type'] = subject.type_name
            self._alerts.raise_alert(code, message, subject=topic, values=values)
        if is_new and (where := _where(error)):
            logger.info('where that happened:%s', where)
        return case.pause_s

    def holds(self, subject: Subject, work: str) -> bool:
        """Return whether to leave this work for a topic alone for now."""
        case = self._cases.get((subject, work))
        return case is not None and time.monotonic() < case.retry_at

    def faults(self, subject: Subject, work: str) -> int:
        """Return how often this work has failed since it last succeeded."""
        case = self._cases.get((subject, work))
        return case.faults if case is not None else 0

    def tells(self, topic: str, code: str) -> bool:
        """Return whether there is a case with this code for a topic or one of its types."""
        with self._lock:
            return any(
                _topic(subject) == topic and case.code == code
                for (subject, _), case in self._cases.items()
            )

    def codes(self) -> dict[str, set[str]]:
        """Return the codes of all cases by topic."""
        codes: dict[str, set[str]] = {}
        with self._lock:
            for (subject, _), case in self._cases.items():
                codes.setdefault(_topic(subject), set()).add(case.code)
        return codes

    def held(self, work: str) -> dict[Subject, float]:
        """Return the subjects to leave alone for now, and until when (monotonic seconds)."""
        now = time.monotonic()
        with self._lock:
            return {
                subject: case.retry_at
                for (subject, of), case in self._cases.items()
                if of == work and case.retry_at > now
            }

    def failing(self, work: str) -> set[Subject]:
        """Return the subjects for which this work has failed and not succeeded since."""
        with self._lock:
            return {
                subject
                for (subject, of), case in self._cases.items()
                if of == work and case.works_since is None
            }

    def relent(self, subject: Subject, work: str) -> None:
        """Note that the work has succeeded; its alert is over if it goes on like that."""
        if (subject, work) not in self._cases:
            return
        with self._lock:
            case = self._cases.get((subject, work))
            if case is not None and case.works_since is None:
                case.faults, case.pause_s, case.works_since = 0, 0.0, time.monotonic()

    def acquit(self, subject: Subject, work: str) -> None:
        """Note that the work has succeeded, and end the alert at once."""
        if (subject, work) in self._cases:
            with self._lock:
                case = self._cases.pop((subject, work), None)
                if case is not None:
                    self._end(subject, case, 'it works again')

    def pardon(self, topic: str) -> None:
        """Try all work for a topic and its types at once: something about it has changed."""
        with self._lock:
            for (subject, _), case in self._cases.items():
                if _topic(subject) == topic:
                    case.retry_at = 0.0

    def settle(self) -> None:
        """
        End the alerts of work that goes on to succeed.

        A trial of which nobody says that it has succeeded, because a topic is silent, has done so
        if it lasts as long as the pause before without a fault.
        """
        if not self._cases:
            return
        now = time.monotonic()
        with self._lock:
            for (subject, work), case in list(self._cases.items()):
                since = case.retry_at + case.pause_s
                if case.works_since is not None:
                    since = case.works_since
                if now >= since + ALERT_HOLD_S:
                    del self._cases[subject, work]
                    self._end(subject, case, f'no fault for {now - case.retry_at:.0f} s')

    def drop(self, subject: Subject) -> None:
        """Forget all work for a topic and its types, or for one of these."""
        with self._lock:
            for key in [key for key in self._cases if subject in (key[0], _topic(key[0]))]:
                self._end(key[0], self._cases.pop(key), 'not tried any more')

    def _end(self, subject: Subject, case: _Case, message: str) -> None:
        """End the alert of a case, unless another case of the topic has the same."""
        topic = _topic(subject)
        for (of, _), other in self._cases.items():
            if other is not case and (_topic(of), other.code) == (topic, case.code):
                self._alerts.raise_alert(other.code, other.message, subject=topic)
                return
        self._alerts.clear(case.code, message, subject=topic)


def _topic(subject: Subject) -> str:
    return subject.topic if isinstance(subject, TopicType) else subject


def _reason(error: BaseException) -> str:
    """Return an error as text; its own methods may raise, and return anything."""
    try:
        text = str(error) if isinstance(error, FdrError) else f'{type(error).__name__}: {error}'
    except FAULTS:
        text = type(error).__name__
    text = ' '.join(text[:MAX_REASON].split()).rstrip(':')
    return text.encode(errors='backslashreplace').decode()


def _where(error: BaseException) -> str:
    """Return the traceback of an error without its text; none for the recorder's own errors."""
    if isinstance(error, FdrError):
        return ''
    return '\n' + ''.join(traceback.format_tb(error.__traceback__)).rstrip()
