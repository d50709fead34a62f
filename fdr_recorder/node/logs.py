"""The core logs with Python's `logging`; this hands its messages to the node's logger."""

from __future__ import annotations

import logging

from rclpy.impl.rcutils_logger import RcutilsLogger


class RosLogHandler(logging.Handler):
    """Sends Python log records to a ROS logger, and so to the console, the file and /rosout."""

    def __init__(self, logger: RcutilsLogger) -> None:
        """Take the node's logger."""
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record; each level from a line of its own, as rclpy asks for."""
        message = self.format(record)
        if record.levelno >= logging.ERROR:
            self._logger.error(message)
        elif record.levelno >= logging.WARNING:
            self._logger.warning(message)
        elif record.levelno >= logging.INFO:
            self._logger.info(message)
        else:
            self._logger.debug(message)
