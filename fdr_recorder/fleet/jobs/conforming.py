# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Makes one data set of what was extracted: finds its schema, and who has to follow it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
import json
from typing import Any, Final

from fdr_recorder.fleet.errors import JobError, StoreError
from fdr_recorder.fleet.jobs import dataset
from fdr_recorder.fleet.jobs.extract_job import ExtractJob
from fdr_recorder.fleet.jobs.flight_job import MOST_DOCUMENT_BYTES
from fdr_recorder.fleet.layout import FlightKey
from fdr_recorder.fleet.store import Store

_READERS: Final = 16

Found = Mapping[str, Any]


def check_data_set(job: ExtractJob, store: Store) -> None:
    """Raise `JobError` if a data set is that of another topic."""
    for item in job.store(store).objects(job.documents()):
        tag = item.key.removesuffix('.json')
        if not tag.endswith(f'-{job.tag}'):
            raise JobError(
                f'{job.prefix or store.url} has another topic, or another version of it; '
                'choose another --name or --output, or delete it'
            )
        return


def others(job: ExtractJob, store: Store, known: set[FlightKey]) -> dict[FlightKey, Found]:
    """Return what was found earlier of flights that are not known, and have messages."""
    out = job.store(store)
    newest: dict[str, tuple[int, str]] = {}
    for item in out.objects(job.documents()):
        name = item.key.removesuffix('.json').removesuffix(f'-{job.tag}').rpartition('-')[0]
        newest[name] = max(newest.get(name, (0, '')), (item.modified_ns, item.key))
    skipped = {job.documents() + key.below for key in known}
    keys = [key for name, (_, key) in newest.items() if name not in skipped]
    with ThreadPoolExecutor(_READERS) as pool:
        read = pool.map(lambda key: _read(job, out, key), keys)
        return {key: found for key, found in filter(None, read) if found['rows']}


def _read(job: ExtractJob, store: Store, key: str) -> tuple[FlightKey, Found] | None:
    try:
        document = json.loads(store.get(key, MOST_DOCUMENT_BYTES))
        flight = FlightKey(str(document['vehicle']), str(document['flight']))
        return flight, {**job.summary(document['found']), 'document': key}
    except (StoreError, ValueError, TypeError, KeyError, AttributeError):
        return None


def conform(
    found: Mapping[FlightKey, Found]
) -> tuple[str, list[FlightKey], dict[FlightKey, str]]:
    """
    Return the schema of the data set, whose file must be written again, and who cannot follow.

    Args:
        found: What was found of each flight that has a file.

    """
    fields, odd = dataset.unified(str(item['fields']) for item in found.values())
    name = dataset.digest(fields)
    again = [
        key
        for key, item in sorted(found.items())
        if item['fields'] not in odd and item['written'] != name
    ]
    return fields, again, {
        key: odd[item['fields']] for key, item in sorted(found.items()) if item['fields'] in odd
    }


def remove(job: ExtractJob, store: Store, found: Mapping[FlightKey, Found]) -> None:
    """Take flights out of a data set."""
    for key, item in found.items():
        job.store(store).delete([item['document'], job.part(key)])
