# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Options that are changed while a flight is open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
import json

from fdr_recorder.config import FdrConfig
from fdr_recorder.record.kinds import ConfigChange, FlightHeader
import yaml


def changes_of(before: FdrConfig, after: FdrConfig) -> Iterator[ConfigChange]:
    """Yield a change for each option whose value is another."""
    old = before.to_options()
    for option, value in after.to_options().items():
        if value != old[option]:
            yield ConfigChange(
                option=option, before=_text_of(old[option]), after=_text_of(value)
            )


def _text_of(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def with_change(header: FlightHeader, change: ConfigChange) -> FlightHeader:
    """
    Return a header with the configuration as it is after a change.

    So segments tell under which options they were begun, also if earlier ones are dropped.
    """
    options = yaml.safe_load(header.config_snapshot)
    if not isinstance(options, dict):
        return header
    options[change.option] = json.loads(change.after)
    return replace(header, config_snapshot=yaml.safe_dump(options, sort_keys=False))
