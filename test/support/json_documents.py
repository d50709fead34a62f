# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What the JSON Schema in the documentation says of documents that `fdr` prints."""

from __future__ import annotations

import json
from pathlib import Path

from jsonschema import Draft202012Validator

SCHEMA = json.loads((Path(__file__).parents[2] / 'docs' / 'fdr.schema.json').read_text())


def errors(verb: str, document: object) -> list[str]:
    """Return how the document of a verb differs from what the schema says."""
    schema = {**SCHEMA, '$ref': f'#/$defs/{verb}'}
    return [error.message for error in Draft202012Validator(schema).iter_errors(document)]
