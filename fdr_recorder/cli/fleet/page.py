# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr fleet page`: a page over the flights of a fleet, which opens by itself."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import time
from typing import Any, Final

from fdr_recorder.cli.console import print_json, say
from fdr_recorder.cli.exit_codes import EXIT_OK
from fdr_recorder.cli.fleet.late_progress import progress
from fdr_recorder.cli.fleet.store_argument import add_url, open_store
from fdr_recorder.units import format_size, plural

SUMMARY: Final = 'Write a page over all flights of a fleet into its store'
EXAMPLES: Final = """\
  fdr fleet page s3://flights      writes page/index.html there, from the catalogue

The page opens from the store's web address, and by itself from a directory that is a store. It
needs no server and asks for nothing but its own files. Write it again after
`fdr fleet receive`, say once an hour: who reads it meanwhile sees the old page or the new one.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the store."""
    add_url(parser)


def run(args: argparse.Namespace) -> int:
    """Write the page."""
    store = open_store(args)
    from fdr_recorder.cli.fleet.catalogue_faults import tell_faults
    from fdr_recorder.fleet.catalogue.query import Catalogue
    from fdr_recorder.fleet.page.content import TABLES
    from fdr_recorder.fleet.page.writing import write_page

    with Catalogue.of(store, TABLES) as catalogue:
        tell_faults(catalogue.snapshot)

        def ask(question: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
            return catalogue.ask(question, parameters).rows()

        with progress('writing the page', quiet=args.json) as bar:
            page = write_page(store, ask, time.time_ns(), bar.begin, bar.advance)
    if args.json:
        print_json('fleet_page', {
            'url': store.url,
            'page': page.key,
            'flights': page.flights,
            'files': page.files,
            'written': page.written,
            'removed': page.removed,
            'bytes': page.bytes,
        })
    else:
        say(
            f'{store.url}/{page.key}: {plural(page.flights, "flight")}, '
            f'{plural(page.files, "file")}, {format_size(page.bytes)}'
        )
    return EXIT_OK
