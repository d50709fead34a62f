# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Logs: from Python's `logging`, by which the core logs, to the node; whether to a file."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
import logging
import os
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.impl.logging_severity import LoggingSeverity
from rclpy.impl.rcutils_logger import RcutilsLogger

_PROBE_BYTES: Final = 4096
_SEVERITIES: Final = (
    (logging.ERROR, LoggingSeverity.ERROR),
    (logging.WARNING, LoggingSeverity.WARN),
    (logging.INFO, LoggingSeverity.INFO),
    (logging.NOTSET, LoggingSeverity.DEBUG),
)


@cache
def why_no_log_file() -> str:
    """
    Return why rclpy cannot have a log file; empty if it can.

    Finds out once in a process, before rclpy starts, by creating the directory of log files, as
    rclpy would, and writing a temporary file.
    """
    directory = _log_directory()
    if directory.startswith('~'):  # whatever follows: rcutils does not know other users
        home = os.environ.get('HOME')
        if not home:
            return 'HOME is not set'
        directory = home + directory[1:]
    try:
        Path(directory).mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=directory, prefix='.fdr_', buffering=0) as probe:
            probe.write(bytes(_PROBE_BYTES))
    except OSError as error:
        return f'{directory}: {error.strerror}'
    return ''


def _log_directory() -> str:
    """Return where rclpy writes log files; a leading `~` is the home directory."""
    ros_home = os.environ.get('ROS_HOME') or '~/.ros'
    return os.environ.get('ROS_LOG_DIR') or f'{ros_home}/log'


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
