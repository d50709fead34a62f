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
One of several processes that work on the catalogue of a store at once, until they are told to end.

    python fleet_crowd_program.py WORK URL SECONDS NUMBER

WORK is `write` (adds flights one by one), `compact`, or `ask`. Prints how often it was done.
"""

from __future__ import annotations

from datetime import datetime, timezone
import sys
import time

from bench.synthetic_fleet import receipts
from fdr_recorder.fleet.catalogue.compacting import compact
from fdr_recorder.fleet.catalogue.query import Catalogue
from fdr_recorder.fleet.catalogue.writing import BatchWriter
from fdr_recorder.fleet.errors import NoCatalogueError
from fdr_recorder.fleet.store import Store

LEAST = 4
NOW = datetime(2026, 11, 28, tzinfo=timezone.utc)
QUESTION = (
    'SELECT count(*), count(DISTINCT vehicle || flight), '
    '(SELECT count(*) FROM topics) FROM flights'
)


def work(what: str, store: Store, end_s: float, number: int) -> int:
    """Do it until the time comes; return how often it was done."""
    found = receipts(10_000, NOW, 10, seed=number)
    done = most = 0
    writer = BatchWriter(store)
    while time.monotonic() < end_s or done < LEAST:
        if what == 'write':
            writer.add(next(found), is_signed=False)
            writer.write()
        elif what == 'compact':
            compact(store)
        else:
            try:
                with Catalogue.of(store, QUESTION) as catalogue:
                    ((rows, flights, topics),) = catalogue.ask(QUESTION).rows()
            except NoCatalogueError:
                continue
            assert rows == flights >= most, (rows, flights, most)
            assert topics == 25 * flights
            most = flights
        done += 1
    return done


if __name__ == '__main__':
    print(work(sys.argv[1], Store.open(sys.argv[2]), time.monotonic() + float(sys.argv[3]),
               int(sys.argv[4])))
