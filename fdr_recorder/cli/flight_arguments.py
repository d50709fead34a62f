# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The arguments FLIGHT and ROOT: what a user may write, and what the shell completes."""

from __future__ import annotations

from argparse import Action, ArgumentParser, Namespace
from collections.abc import Iterable, Sequence
import errno
import os
from pathlib import Path
import re
import stat
from typing import Any, Final

from fdr_recorder.cli.console import warn
from fdr_recorder.errors import (
    FdrError,
    FlightRootMissingError,
    FlightRootNotADirectoryError,
    NoFlightError,
)

ROOT_VARIABLE: Final = 'FDR_FLIGHT_ROOT'
ROOT_HELP: Final = (
    f'flight root (default: ${ROOT_VARIABLE}, else the current directory if it has flights, else '
    "~/fdr_flights, the recorder's default)"
)
FLIGHT_HELP: Final = (
    f'directory of a flight, or its name below the flight root (${ROOT_VARIABLE}, else the '
    'current directory if it has flights, else ~/fdr_flights); or another recording: a bag of '
    'rosbag2, an MCAP or SQLite file'
)
_TOPIC_NAME: Final = re.compile(r'^        name: "(/[\w/]+)"$', re.MULTILINE)


def add_flight(parser: ArgumentParser, *, several: bool = False) -> None:
    """Add the argument FLIGHT; with `several` a list, in which flight roots are allowed, too."""
    text = f'{FLIGHT_HELP}; a flight root means all its flights' if several else FLIGHT_HELP
    count: dict[str, Any] = {'nargs': '+'} if several else {}
    action = parser.add_argument('flight', metavar='FLIGHT', help=text, **count)
    offer(action, complete_flight)


def add_root(parser: ArgumentParser) -> None:
    """Add the optional argument ROOT."""
    parser.add_argument('root', metavar='ROOT', nargs='?', help=ROOT_HELP)


def offer(action: Action, completer: Any) -> None:  # noqa: ANN401 - argcomplete has no types
    """Let the shell complete an argument by what a completer returns."""
    action.completer = completer  # type: ignore[attr-defined]


def default_root() -> Path:
    """Return the flight root to use where the user names none."""
    named = os.environ.get(ROOT_VARIABLE)
    if named:
        return Path(named).expanduser()
    here = Path()
    try:
        if _has_flights(here):
            return here
    except OSError:  # it is gone, or may not be read
        pass
    from fdr_recorder.config import FdrConfig

    return Path(FdrConfig.flight_root).expanduser()


def find_root(name: str | None) -> Path:
    """
    Return the flight root that a user names, or the default one.

    Raises:
        FlightRootError: It is missing, or not a directory.
        NoFlightError: It is a flight.
        PermissionError: It may not be read.

    """
    root = Path(name).expanduser() if name else default_root()
    if not name and ROOT_VARIABLE not in os.environ and not os.access('.', os.R_OK):
        warn(f'the current directory cannot be read; this is about {root}')
    try:
        is_directory = stat.S_ISDIR(root.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        raise FlightRootMissingError(root) from None
    if not is_directory:
        raise FlightRootNotADirectoryError(root)
    if not os.access(root, os.R_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(root))
    if _is_flight(root):
        raise NoFlightError(root, 'is a flight, not a flight root; see `fdr info`')
    return root


def recording_named(name: str) -> Path | None:
    """Return the path of the recording that a user names, by its path; None if it is none."""
    path = Path(name).expanduser()
    try:
        return path if _is_recording(path) else None
    except PermissionError:
        return None


def find_flight(name: str) -> Path:
    """
    Return the directory of the flight that a user names, or the path of another recording.

    Raises:
        NoFlightError: There is none; the message says what is there.
        OSError: It cannot be read.

    """
    path = Path(name).expanduser()
    if os.sep not in name and not path.exists():
        below = default_root() / name
        path = below if below.exists() else path
    if not _is_recording(path):
        raise NoFlightError(path, _what_is(path))
    return path


def find_flight_or_root(name: str | None) -> tuple[Path | None, Path]:
    """
    Return the recording that a user names, if any, and the flight root: its own, or a named one.

    Raises:
        FlightRootError: The root is missing, or not a directory.
        NoFlightError: There is no such flight.
        OSError: It cannot be read.

    """
    path = Path(name).expanduser() if name else None
    if name is None or path is None:
        return None, find_root(None)
    is_bag = (path / 'metadata.yaml').is_file()
    if _is_directory(path) and not (_is_flight(path) or is_bag):
        return None, find_root(name)
    flight = find_flight(name)
    return flight, flight.absolute().parent


def find_flights(names: Sequence[str]) -> list[Path]:
    """
    Return the flights and other recordings that a user names; a root means all its flights.

    A directory without flights means all the recordings in it.

    Raises:
        NoFlightError: One of them is neither.
        OSError: It cannot be read.

    """
    found: list[Path] = []
    for name in names:
        path = Path(name).expanduser()
        below = [] if _is_recording(path) else _flights_below(path) or _recordings_below(path)
        found += below or [find_flight(name)]
    return found


def _is_flight(path: Path) -> bool:
    """Tell whether it is a flight; raise `PermissionError` if it may not be looked into."""
    from fdr_recorder.flights.directory import segment_files

    return _is_directory(path) and bool(segment_files(path))


def _is_recording(path: Path) -> bool:
    """Tell whether it is any recording; raise as `_is_flight`."""
    from fdr_recorder.flights.recording import is_recording

    if _is_flight(path):
        return True
    if _flights_below(path):  # a root, whatever else lies there
        return False
    try:
        return is_recording(path)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _recordings_below(path: Path) -> list[Path]:
    from fdr_recorder.flights.recording import recordings_in

    return recordings_in(path, ()) if _is_directory(path) else []


def _is_directory(path: Path) -> bool:
    """Tell whether it is a directory; `Path.is_dir` says no to one that is not to be reached."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _has_flights(root: Path) -> bool:
    """
    Tell whether flights are in a directory that nobody named.

    What may not be looked into counts by its name: next to other people's files it may be
    anything.
    """
    from fdr_recorder.flights.directory import flights_in

    names = (path for path in flights_in(root))
    return any(os.access(path, os.R_OK) or path.name.startswith('flight') for path in names)


def _flights_below(root: Path) -> list[Path]:
    from fdr_recorder.flights.directory import flights_in

    return flights_in(root) if _is_directory(root) else []


def _what_is(path: Path) -> str:
    """Say why this is not a flight, and what to do."""
    if not path.exists():
        return 'there is no such flight; `fdr ls` lists the flights of a flight root'
    if not path.is_dir():
        return _what_file(path)
    if not any(path.iterdir()):
        return 'is an empty directory, not a flight'
    below = _flights_below(path)
    if below:
        return f'is a flight root; name one of its flights, for example {below[-1]}'
    below = _recordings_below(path)
    if below:
        return f'has several recordings; name one of them, for example {below[-1]}'
    return 'is a directory, but not a recording: it has no MCAP or SQLite file'


_KINDS_OF_FILES: Final = {
    b'#ROSBAG V': 'is a bag of ROS 1; `rosbags-convert` of the package rosbags makes one of ROS 2',
    b'ULog\x01': 'is a log of PX4; `pyulog` and PlotJuggler read it',
}


def _what_file(path: Path) -> str:
    """Say what a file is that is no recording."""
    try:
        with path.open('rb') as file:
            head = file.read(16)
    except OSError:
        head = b''
    for magic, what in _KINDS_OF_FILES.items():
        if head.startswith(magic):
            return what
    if path.name == 'metadata.yaml':
        return f'describes a bag; name its directory, {path.parent}'
    return 'is neither an MCAP nor an SQLite file; name a flight, a bag or such a file'


# --- for the shell -------------------------------------------------------------------------


def complete_flight(prefix: str, **_: object) -> Iterable[str]:
    """Return the flights of the root, and files and directories."""
    from argcomplete.completers import FilesCompleter

    try:
        names = [path.name for path in _flights_below(default_root())]
    except OSError:
        names = []
    return [*names, *FilesCompleter()(prefix)]


def complete_topic(parsed_args: Namespace, **_: object) -> Iterable[str]:
    """Return the topics of the flight on the command line."""
    try:
        flight, root = find_flight_or_root(parsed_args.flight)
        flight = flight or _flights_below(root)[-1]
        text = (flight / 'metadata.yaml').read_text(encoding='utf-8')
    except (FdrError, IndexError, OSError, UnicodeDecodeError):
        return []
    return _TOPIC_NAME.findall(text)
