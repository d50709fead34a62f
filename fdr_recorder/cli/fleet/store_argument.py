# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""The store that a verb works on: its first argument, or $FDR_FLEET_URL."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
import os
from typing import Any, Final, TYPE_CHECKING

from fdr_recorder.cli.console import warn

if TYPE_CHECKING:
    from fdr_recorder.fleet.store import Store

URL_VARIABLE: Final = 'FDR_FLEET_URL'
URL_HELP: Final = (
    'where the flights are: s3://BUCKET/PREFIX, gs://, az://, or a directory '
    f'(default: ${URL_VARIABLE})'
)


def add_url(parser: ArgumentParser) -> None:
    """Add the argument URL, which may be left out where the environment names one."""
    known: dict[str, Any] = {}
    if named := os.environ.get(URL_VARIABLE):
        known = {'nargs': '?', 'default': named}
    parser.add_argument('url', metavar='URL', help=URL_HELP, **known)


def open_store(args: Namespace) -> Store:
    """
    Open the store that a user names.

    Raises:
        StoreError: It is no store, or cannot be used.
        ExtraMissingError: A library that it needs is not installed.

    """
    from fdr_recorder.fleet.store import Store

    store = Store.open(args.url)
    store.tell = warn
    return store
