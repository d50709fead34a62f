# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Logs: from Python's `logging`, by which the core logs, to the node; repetitions are rare."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
import logging
import re
import time
from typing import Final

from fdr_recorder import alerts
from fdr_recorder.quick_dataclass import dataclass
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.impl.logging_severity import LoggingSeverity
from rclpy.impl.rcutils_logger import RcutilsLogger

_CORE: Final = logging.getLogger('fdr_recorder')
_SEVERITIES: Final = (
    (logging.ERROR, LoggingSeverity.ERROR),
    (logging.WARNING, LoggingSeverity.WARN),
    (logging.INFO, LoggingSeverity.INFO),
    (logging.NOTSET, LoggingSeverity.DEBUG),
)


FIRST_PAUSE_S: Final = 2.0
ANSWER_PAUSE_S: Final = 0.1
"""The first pause of a line that answers a request (`extra={'answers': True}`): somebody tries
again, and looks for it; a program that does so each second is soon enough told seldom."""
LONGEST_PAUSE_S: Final = 600.0
FORGOTTEN_S: Final = 60.0
_MOST_LINES: Final = 256
_NUMBER: Final = re.compile(r'(?<![\w/.-])\d+(?:\.\d+)?(?![\w/])')
"""A number by itself, not in a name: lines that differ in such alone say the same."""


@dataclass
class _Said:
    """When a line was said and seen last, its pause, and how often it was left out since."""

    said_at: float
    seen_at: float
    pause_s: float
    left_out: int = 0


class Repetitions:
    """
    Decides which lines are said: one that repeats must not fill a terminal or a disk.

    A line is said at once, and if it is logged again then after 2 s, 4 s, 8 s and so on, at most
    every ten minutes; it says how often it was left out. What has not been logged for a minute is
    new. Lines that differ in a number are the same line. Alerts are always said, as the board
    tells only when one begins or ends; so is DEBUG, which somebody has asked for.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Nothing is said yet; `now` returns monotonic seconds."""
        self._now = now
        self._lines: OrderedDict[tuple[str, int, str], _Said] = OrderedDict()

    def remark(self, record: logging.LogRecord) -> str | None:
        """Return what to add to a line; None if it is left out."""
        if record.levelno < logging.INFO or record.name == alerts.__name__:
            return ''
        now = self._now()
        key = record.name, record.lineno, _NUMBER.sub('#', record.getMessage())
        line = self._lines.pop(key, None)
        if line is None or now - line.seen_at > FORGOTTEN_S:
            is_answer = getattr(record, 'answers', False)
            line = _Said(now, now, ANSWER_PAUSE_S if is_answer else FIRST_PAUSE_S)
            remark: str | None = ''
        elif now - line.said_at < line.pause_s:
            line.left_out += 1
            remark = None
        else:
            remark = f' ({line.left_out} more since the last time)' if line.left_out else ''
            line.said_at, line.left_out = now, 0
            line.pause_s = min(2 * line.pause_s, LONGEST_PAUSE_S)
        line.seen_at = now
        self._lines[key] = line
        if len(self._lines) > _MOST_LINES:
            self._lines.popitem(last=False)
        return remark


class RosLogHandler(logging.Handler):
    """
    Send Python log records to a ROS logger, and so to the console, the log file and /rosout.

    DEBUG does not go to /rosout: with one log line per record, recording /rosout would not end.

    `Repetitions` leaves out what was said just before.

    `RcutilsLogger` would look for the line of code that logs in all modules that are loaded, which
    takes tens of milliseconds; a record has it.
    """

    def __init__(self, logger: RcutilsLogger) -> None:
        super().__init__()
        self._names = (logger.name, f'{logger.name}.debug')
        self._repetitions = Repetitions()
        self._log: Callable[..., None] = rclpy_implementation.rclpy_logging_rcutils_log

    def attach(self) -> None:
        """Take what all modules of the recorder log, from INFO on."""
        _CORE.addHandler(self)
        _CORE.setLevel(logging.INFO)

    def detach(self) -> None:
        """Take nothing more."""
        _CORE.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record, unless it repeats another."""
        remark = self._repetitions.remark(record)
        if remark is None:
            return
        level = record.levelno
        severity = next(known for least, known in _SEVERITIES if level >= least)
        name = self._names[severity == LoggingSeverity.DEBUG]  # that of no node
        self._log(
            severity,
            name,
            self.format(record) + remark,
            record.funcName,
            record.pathname,
            record.lineno,
        )
