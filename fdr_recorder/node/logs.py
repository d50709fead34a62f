# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Logs: from Python's `logging`, by which the core logs, to the node."""

from __future__ import annotations

from collections.abc import Callable
import logging
from typing import Final

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.impl.logging_severity import LoggingSeverity
from rclpy.impl.rcutils_logger import RcutilsLogger

_SEVERITIES: Final = (
    (logging.ERROR, LoggingSeverity.ERROR),
    (logging.WARNING, LoggingSeverity.WARN),
    (logging.INFO, LoggingSeverity.INFO),
    (logging.NOTSET, LoggingSeverity.DEBUG),
)


class RosLogHandler(logging.Handler):
    """
    Send Python log records to a ROS logger, and so to the console, the log file and /rosout.

    DEBUG does not go to /rosout: with one log line per record, recording /rosout would not end.

    `RcutilsLogger` would look for the line of code that logs in all modules that are loaded, which
    takes tens of milliseconds; a record has it.
    """

    def __init__(self, logger: RcutilsLogger) -> None:
        super().__init__()
        self._names = (logger.name, f'{logger.name}.debug')
        self._log: Callable[..., None] = rclpy_implementation.rclpy_logging_rcutils_log

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record."""
        level = record.levelno
        severity = next(known for least, known in _SEVERITIES if level >= least)
        name = self._names[severity == LoggingSeverity.DEBUG]  # that of no node
        self._log(
            severity, name, self.format(record), record.funcName, record.pathname, record.lineno
        )
