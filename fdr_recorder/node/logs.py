# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Hand messages of Python's `logging`, by which the core logs, to the node's logger."""

from __future__ import annotations

import logging

from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.logging import get_logger


class RosLogHandler(logging.Handler):
    """
    Send Python log records to a ROS logger, and so to the console, the log file and /rosout.

    DEBUG does not go to /rosout: with one log line per record, recording /rosout would not end.
    """

    def __init__(self, logger: RcutilsLogger) -> None:
        super().__init__()
        self._logger = logger
        self._debug_logger = get_logger(f'{logger.name}.debug')  # belongs to no node

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record. rclpy allows each line of code only one level."""
        message = self.format(record)
        if record.levelno >= logging.ERROR:
            self._logger.error(message)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(message)
        elif record.levelno >= logging.INFO:
            self._logger.info(message)
        else:
            self._debug_logger.debug(message)
