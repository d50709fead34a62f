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
Styles and scripts of the page, and the policy that lets a browser run these and nothing else.

The charts are drawn by uPlot, which lies unchanged in `vendor/` with its licence; `script/` has
the page's own code, which is joined in the order of `_PARTS`.
"""

from __future__ import annotations

import base64
from functools import cache
import hashlib
from importlib.resources import files
from typing import Final

from fdr_recorder.report.html import h, Html

_PARTS: Final = (
    'base', 'samples', 'view', 'charts', 'lanes', 'track', 'gestures', 'viewbar', 'fields',
    'topics', 'start',
)  # fmt: skip
_NOTHING_ELSE: Final = "default-src 'none'; base-uri 'none'; form-action 'none'"


def policy() -> str:
    """Return the Content-Security-Policy: the page's own code and the pictures in it, no more."""
    style_hashes = ' '.join(map(code_hash, _styles()))
    script_hashes = ' '.join(map(code_hash, _scripts()))
    return (
        f'{_NOTHING_ELSE}; img-src data:; style-src {style_hashes}; script-src {script_hashes}'
    )


def style_elements() -> list[Html]:
    """Return the page's styles."""
    return [h('style', Html(style)) for style in _styles()]


def script_elements() -> list[Html]:
    """Return the page's scripts, to stand at the end of its body."""
    return [h('script', Html(script)) for script in _scripts()]


def style_of_report() -> str:
    """Return the report's own style, for pages that are to look like it."""
    return _text('page.css')


@cache
def _styles() -> tuple[str, ...]:
    return _text('vendor/uPlot.min.css'), _text('page.css')


@cache
def _scripts() -> tuple[str, ...]:
    licence = _text('vendor/LICENSE')
    parts = '\n'.join(_text(f'script/{name}.js') for name in _PARTS)
    return (
        f'/*\n{licence}\n*/\n{_text("vendor/uPlot.iife.min.js")}',
        f"'use strict';\n(() => {{\n{parts}\n}})();\n",
    )


def _text(name: str) -> str:
    return files('fdr_recorder.report').joinpath(name).read_text(encoding='utf-8')


@cache
def code_hash(code: str) -> str:
    """Return the hash by which a browser recognises a piece of code (CSP level 2)."""
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return f"'sha256-{digest}'"
