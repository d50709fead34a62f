# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The page's `index.html`: its head, its empty sections, and what it knows at once."""

from __future__ import annotations

from importlib.resources import files
import json
from typing import Any, Final

from fdr_recorder.report.assets import code_hash, style_of_report
from fdr_recorder.report.html import h, Html
from fdr_recorder.units import plural
from fdr_recorder.version import __version__

GENERATOR: Final = 'fdr fleet page'
_SECTIONS: Final = (
    ('days', 'Days'), ('flights', 'Flights'), ('map', 'Map'), ('alerts', 'Alerts'),
    ('vehicles', 'Vehicles'),
)  # fmt: skip


def index_page(data: dict[str, Any]) -> str:
    """
    Return `index.html`.

    Nothing but its own script may run, and the parts that this loads: they have no other way in.

    Args:
        data: What the page knows at once, for `json.dumps`.

    """
    style = f'{style_of_report()}\n{_text("fleet.css")}'
    script = f"'use strict';\n(() => {{\n{_text('fleet.js')}\n{_text('fleet_map.js')}\n}})();\n"
    policy = (
        "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; "
        f"style-src {code_hash(style)}; script-src {code_hash(script)} 'strict-dynamic'"
    )
    head = h(
        'head',
        h('meta', charset='utf-8'),
        h('meta', http_equiv='Content-Security-Policy', content=policy),
        h('meta', name='viewport', content='width=device-width, initial-scale=1'),
        h('meta', name='generator', content=f'{GENERATOR} {__version__}'),
        h('meta', name='color-scheme', content='light dark'),
        h('link', rel='icon', href='data:,'),  # else browsers ask for one
        h('title', 'Fleet'),
        h('style', Html(style)),
    )
    flights = plural(data['flights'], 'flight')
    body = h(
        'body',
        _bar(),
        h(
            'main',
            h(
                'div',
                h('p', 'Fleet', class_='over'),
                h('h1', f'{flights} of {plural(data["vehicle_count"], "vehicle")}'),
                h('p', h('code', data['url'])),
                class_='top',
            ),
            h('dl', class_='facts', id='facts'),
            [h('section', h('h2', title), id=name) for name, title in _SECTIONS],
            h('noscript', h('p', 'This page needs JavaScript; it runs on your machine alone.')),
            h('footer', h('p', f'Made by {GENERATOR} {__version__} on {data["made"]} UTC. '
                          'All times are UTC.')),
        ),
        h('script', _json(data), type='application/json', id='data'),
        h('script', Html(script)),
    )
    return f'<!doctype html>\n{h("html", head, body, lang="en")}\n'


def _bar() -> Html:
    links = [h('a', title, href=f'#{name}') for name, title in _SECTIONS]
    theme = h('button', '◐', type='button', class_='theme', aria_label='Light or dark')
    return h(
        'header',
        h('nav', links, aria_label='Sections'),
        h('output', class_='at', role='status'),
        theme,
        h('div', class_='filters', role='search', aria_label='Which flights'),
    )


def _json(data: dict[str, Any]) -> Html:
    """Return JSON that cannot end the script element."""
    text = json.dumps(data, separators=(',', ':'), allow_nan=False)
    return Html(text.replace('<', '\\u003c').replace('>', '\\u003e').replace('&', '\\u0026'))


def _text(name: str) -> str:
    return files('fdr_recorder.fleet.page').joinpath(name).read_text(encoding='utf-8')
