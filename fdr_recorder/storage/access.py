# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Who may read what is recorded: the mode and the group of a flight's directory and files."""

from __future__ import annotations

from functools import lru_cache
import grp
import logging
import os
from pathlib import Path
import stat

from fdr_recorder.config import FdrWriterConfig
from fdr_recorder.errors import ConfigInvalidError
from fdr_recorder.quick_dataclass import dataclass
from fdr_recorder.storage.files import FILE_MODE

logger = logging.getLogger(__name__)


@lru_cache(maxsize=8)
def find_group(name: str) -> int:
    """
    Return the number of a group; may ask a directory service the first time.

    Raises:
        ConfigInvalidError: There is no such group on this machine.

    """
    try:
        return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
    except KeyError:
        mistake = f'writer.file_group: there is no group {name!r} on this machine'
        raise ConfigInvalidError([mistake]) from None


def check_group(config: FdrWriterConfig) -> None:
    """Raise `ConfigInvalidError` if the configured group does not exist."""
    if config.file_group:
        find_group(config.file_group)


@dataclass(frozen=True)
class Access:
    """
    What `writer.file_mode` and `writer.file_group` ask for.

    The directory of a flight gets it; its files take after the directory, also those that a
    recovery on another machine makes. Without both, the process's umask and group decide.
    """

    file_mode: str = ''
    group: str = ''

    @property
    def directory_mode(self) -> int:
        """Return the mode of the directory: who may read may also enter."""
        mode = int(self.file_mode, 8) if self.file_mode else FILE_MODE
        return mode | stat.S_IXUSR | (mode & 0o044) >> 2

    def grant(self, path: Path, fd: int) -> None:
        """
        Give a flight's directory its mode and group.

        A group that this process may not use is a warning: the flight is recorded all the same.
        """
        if not self.file_mode and not self.group:
            return
        group_bit = 0
        if self.group:
            try:
                os.fchown(fd, -1, find_group(self.group))
                group_bit = stat.S_ISGID  # where files may not be given away, they inherit it
            except (OSError, ConfigInvalidError) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                logger.warning(
                    '%s: its files do not get the group %s of writer.file_group: %s. Make this '
                    'user a member of the group, or choose another',
                    path.parent,
                    self.group,
                    reason,
                )
        try:
            os.fchmod(fd, self.directory_mode | group_bit)
        except OSError as error:  # a file system without modes
            logger.warning(
                '%s: its files do not get the mode of writer.file_mode: %s',
                path.parent,
                error.strerror,
            )


def access_of(config: FdrWriterConfig) -> Access:
    """Return who may read what is recorded with this configuration."""
    return Access(config.file_mode, config.file_group)
