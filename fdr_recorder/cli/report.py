# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr report`: a flight on one page."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
import sys
from typing import Final

from fdr_recorder.cli.console import print_json, reading_progress, warn
from fdr_recorder.cli.exit_codes import EXIT_OK
from fdr_recorder.cli.flight_arguments import add_flight, find_flight

SUMMARY: Final = 'Write a page about a flight: its content, its losses, and how it was flown'
EXAMPLES: Final = """\
  fdr report flight_20261122T110505Z_1aef               writes flight_20261122T110505Z_1aef.html
  fdr report flight_20261122T110505Z_1aef --open        and shows it in the browser
  fdr report flight_20261122T110505Z_1aef -o page.html
  fdr report flight_20261122T110505Z_1aef --json | jq -r .verdict.headline

The page is a single HTML file: it opens in any browser, offline, and prints. An earlier page is
replaced, any other file is not. With --json, the page is written only if -o is given.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add flight and output."""
    add_flight(parser)
    parser.add_argument(
        '-o',
        '--output',
        metavar='PAGE',
        type=Path,
        help='file or directory to write to (default: FLIGHT.html in the current directory)',
    )
    parser.add_argument(
        '--open', action='store_true', help='open the page in the browser, if there is a desktop'
    )


def run(args: argparse.Namespace) -> int:
    """Gather, write the page, print the headline."""
    from fdr_recorder.report import check_target, gather, PASSES, write_page
    from fdr_recorder.report.json_document import to_dict
    from fdr_recorder.report.verdict import verdict

    flight = find_flight(args.flight)
    page = args.output or (None if args.json else Path())
    if page is not None:
        page = page.expanduser()
        if page.is_dir():
            page /= f'{flight.resolve().name}.html'
        check_target(page)
    with reading_progress('reading', flight, passes=PASSES, quiet=args.json) as advance:
        report = gather(flight, advance)
    if page is not None:
        write_page(report, page)
    if args.json:
        print_json('report', {**to_dict(report), 'page': str(page) if page is not None else None})
    else:
        print(f'{page}: {verdict(report).headline}')
    if args.open and page is not None and not _show(page):
        warn(f'no desktop here; open {page} in a browser')
    return EXIT_OK


def _show(page: Path) -> bool:
    """Open a page in the browser of a person who sits at a desktop; return whether it could."""
    import webbrowser

    has_desktop = sys.platform == 'darwin' or any(
        map(os.environ.get, ('DISPLAY', 'WAYLAND_DISPLAY'))
    )
    return sys.stdout.isatty() and has_desktop and webbrowser.open(page.absolute().as_uri())
