# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""YAML out of a recording, which may have been made to do harm."""

from __future__ import annotations

from typing import Any, Final

import yaml

_Loader: Final = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)  # in C where it was built so


def load_yaml(text: str, longest: int) -> Any:  # noqa: ANN401 - whatever YAML can say
    """
    Return what a YAML text says; None if it is malformed or could need too much memory.

    Args:
        text: The document. Aliases are refused: a few of them make gigabytes.
        longest: More characters than this are refused, too.

    """
    if len(text) > longest:
        return None
    try:
        if '*' in text and any(
            isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=_Loader)
        ):
            return None
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
