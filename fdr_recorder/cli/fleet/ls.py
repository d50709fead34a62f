# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""`fdr fleet ls`: list the flights of a fleet."""

from __future__ import annotations

import argparse
from typing import Final

from fdr_recorder.cli.console import print_json, say, table
from fdr_recorder.cli.exit_codes import EXIT_OK
from fdr_recorder.cli.fleet.store_argument import add_url, open_store
from fdr_recorder.units import format_time, plural

SUMMARY: Final = 'List the flights of a fleet'
EXAMPLES: Final = """\
  fdr fleet ls s3://flights       flights of all vehicles
  fdr fleet ls s3://flights --json | jq -r '.flights[].vehicle' | sort | uniq -c
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the store."""
    add_url(parser)


def run(args: argparse.Namespace) -> int:
    """List the flights."""
    store = open_store(args)
    from fdr_recorder.fleet.layout import flight_of_manifest, VEHICLES

    found = [
        (found.modified_ns, key)
        for found in store.objects(VEHICLES)
        if (key := flight_of_manifest(found.key)) is not None
    ]
    found.sort(reverse=True)
    if args.json:
        flights = [
            {'vehicle': key.vehicle, 'flight': key.flight, 'stored_ns': stored_ns}
            for stored_ns, key in found
        ]
        print_json('fleet_ls', {'url': store.url, 'flights': flights})
        return EXIT_OK
    if found:
        rows = [
            (key.vehicle, key.flight, format_time(stored_ns).removesuffix('Z'))
            for stored_ns, key in found
        ]
        table(('~vehicle', '~flight', 'stored (UTC)'), rows)
        print()
    say(f'{plural(len(found), "flight")} in {store.url}')
    return EXIT_OK
