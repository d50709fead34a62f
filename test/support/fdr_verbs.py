# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""The verbs of `fdr`, and those of verbs that have verbs of their own."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Final

from fdr_recorder.cli.main import VERBS


def _commands(package: str, verbs: tuple[str, ...]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for verb in verbs:
        own = getattr(import_module(f'{package}.{verb}'), 'VERBS', ())
        below = _commands(f'{package}.{verb}', own) if own else [()]
        found += [(verb, *words) for words in below]
    return found


COMMANDS: Final = _commands('fdr_recorder.cli', VERBS)
"""The words of each command: `('ls',)`, `('fleet', 'ls')`."""


def module_of(command: tuple[str, ...]) -> ModuleType:
    """Return the module of a command."""
    return import_module('.'.join(('fdr_recorder.cli', *command)))
