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
Output of the verbs: tables and JSON on stdout; progress, warnings and errors on stderr.

`rich` is imported only where it is used: importing it takes longer than many a verb.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
import json
from pathlib import Path
from shutil import get_terminal_size
import sys
import time
from typing import Any, Final

from fdr_recorder.cli.colours import painter, Toned
from fdr_recorder.cli.tables import Table

PATIENCE_S: Final = 0.5
"""Work that is done sooner shows no bar."""


@contextmanager
def progress(
    description: str, total: int, *, unit: str = '', quiet: bool = False
) -> Iterator[Callable[[int], None]]:
    """
    Show a progress bar on stderr, where that is a terminal.

    Args:
        description: What is going on, for example `verifying flight_x`.
        total: The whole work, in bytes or any other unit.
        unit: What is counted, in the plural, to show how many are done, and how fast.
        quiet: Show nothing, for `--json`.

    Yields:
        A function `advance(n)`, to call when n more units are done.

    """
    if quiet or not sys.stderr.isatty():
        yield lambda _n: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    counted = '{task.completed:,.0f} of {task.total:,.0f} ' + unit + ', {task.fields[rate]}'
    bar = Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        TextColumn(counted if unit else '{task.percentage:>3.0f} %'),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task(description, total=total, rate='')
    began = time.monotonic()
    done = 0

    def advance(n: int) -> None:
        nonlocal done
        done += n
        took = time.monotonic() - began
        if not bar.live.is_started and took >= PATIENCE_S:
            bar.start()
        bar.update(task, advance=n, rate=f'{done / took:,.1f}/s')

    try:
        yield advance
    finally:
        bar.stop()


def reading_progress(
    doing: str, flight: Path, *, passes: int = 1, quiet: bool
) -> AbstractContextManager[Callable[[int], None]]:
    """Show progress over every byte of a flight, read so many times; see `progress`."""
    from fdr_recorder.flights.directory import directory_name
    from fdr_recorder.flights.recording import recording_at

    size = recording_at(flight).bytes
    return progress(f'{doing} {directory_name(flight)}', passes * size, quiet=quiet)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """
    Print a table: on a terminal so that it fits, elsewhere each row whole and in one line.

    Args:
        columns: The headings, each with a sign in front that says how it gives way on a narrow
            terminal: `>` a number, at the right, not at all; `~` a name, which is shortened in the
            middle; `&` a text, which may go to a second line; without a sign not at all.
        rows: The cells; those that are `Toned` have colour.

    """
    cells = [[printable(cell, in_line=True) for cell in row] for row in rows]
    width = get_terminal_size().columns if sys.stdout.isatty() else None
    print('\n'.join(Table(columns, cells, painter()).lines(width)))


def say(*parts: str) -> None:
    """Print text on stdout, parts that are `Toned` in colour, and flush it."""
    paint = painter()
    print(*(paint(part, printable(part)) for part in parts), sep='', flush=True)


JSON_VERSION: Final = '1.0'
"""Of what the verbs print with `--json`: the second number counts keys that were added."""


def json_of(verb: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object of a verb's JSON document, which says by what schema it is."""
    return {'schema': {'name': f'fdr_recorder/{verb}', 'version': JSON_VERSION}, **said}


def print_json(verb: str, document: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Print the JSON document of a verb: an object, or a list of them."""
    if isinstance(document, Mapping):
        print(json.dumps(json_of(verb, document), indent=2))
    else:
        print(json.dumps([json_of(verb, item) for item in document], indent=2))


def warn(text: str) -> None:
    """Print a warning or an error on stderr."""
    print(f'fdr: {printable(text)}', file=sys.stderr)


def printable(text: str, *, in_line: bool = False) -> str:
    """
    Replace control characters: names from a recording must not steer the terminal.

    A line break is none, unless the text has to stay in its line.
    """
    if text.isascii() and text.isprintable():
        return text  # as it is nearly always
    keep = '' if in_line else '\n'
    shown = ''.join(sign if sign.isprintable() or sign in keep else '\ufffd' for sign in text)
    return Toned(shown, text.tone) if isinstance(text, Toned) else shown
