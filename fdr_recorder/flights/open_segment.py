# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Opens one segment for reading."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
import re

from fdr_recorder.mcap.reader import SegmentReader
from fdr_recorder.mcap.schema import Schema
from fdr_recorder.record.codec import own_definition
from fdr_recorder.record.kinds import METADATA_NAME, PAYLOADS, RECORD_SCHEMA_VERSION
from fdr_recorder.record.payload import OWN_TOPIC_PREFIX


def open_segment(path: Path | str, *, started_ns: int = 0) -> SegmentReader:
    """Open a segment as `SegmentReader` does; the recorder's own schemas are known if lost."""
    return SegmentReader(
        path, started_ns=started_ns, known_schema=_known_schema, is_steady=_is_steady
    )


def _known_schema(topic: str, metadata: Mapping[str, Mapping[str, str]]) -> Schema | None:
    """Return the schema of one of the recorder's own topics, if it is of this version."""
    payload_type = PAYLOADS.get(topic.removeprefix(OWN_TOPIC_PREFIX))
    about = metadata.get(METADATA_NAME, {})
    version = about.get('record_schema_version', RECORD_SCHEMA_VERSION)
    if payload_type is None or version != RECORD_SCHEMA_VERSION:
        return None
    return own_definition(payload_type).schema


def _is_steady(metadata: Mapping[str, Mapping[str, str]]) -> bool:
    """Tell whether the log times of a segment are steady: since schema 1.3.0."""
    version = metadata.get(METADATA_NAME, {}).get('record_schema_version', '')
    match = re.match(r'(\d{1,9})\.(\d{1,9})', version, re.ASCII)
    return match is not None and (int(match[1]), int(match[2])) >= (1, 3)
