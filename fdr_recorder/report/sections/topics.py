# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The section on topics: messages, rate, losses, publishers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

from fdr_recorder.flights.topic_info import TopicInfo
from fdr_recorder.flights.untrusted_yaml import load_yaml
from fdr_recorder.record.channel import NO_DETECTION
from fdr_recorder.record.offered_qos import with_names
from fdr_recorder.record.record_parts import ProducerCounters
from fdr_recorder.report.delay import Delay
from fdr_recorder.report.gather import Report, Source
from fdr_recorder.report.html import Child, fact_list, h, Html, path, table
from fdr_recorder.report.svg import Drawing
from fdr_recorder.report.time_chart import spark
from fdr_recorder.units import (
    format_rate,
    format_size,
    NS_PER_S,
    plural,
    precise_duration,
    short,
    time_of_day,
)

_MOST_PUBLISHERS: Final = 50
_MOST_PROFILES: Final = 8
_LONGEST_QOS: Final = 64 * 1024
_ENOUGH: Final = 5
"""Messages that a step of a rate should hold."""
_UNFOLDED: Final = 30
_QOS_KEYS: Final = ('reliability', 'durability', 'history', 'depth')
_SORTS: Final = (
    ('Topic', 'name'),
    ('Rate over time', ''),
    ('Messages', 'messages'),
    ('Rate', 'rate'),
    ('Size', 'bytes'),
    ('Longest gap', 'gap'),
    ('Lost', 'lost'),
)


def topics_section(report: Report, drawing: Drawing) -> Html:
    """List the topics; those with losses come first."""
    topics = sorted(report.topics, key=lambda topic: (-topic.lost, topic.key))
    producers: dict[tuple[str, str], list[ProducerCounters]] = {}
    footer = report.info.footer
    for item in footer.producers if footer is not None else ():
        producers.setdefault((item.topic, item.type), []).append(item)
    lost_at: dict[str, list[float]] = {}
    for loss in report.verification.losses:
        if loss.first_ns and loss.topic:
            lost_at.setdefault(loss.topic, []).append(drawing.seconds(loss.first_ns))
    rows = [
        _topic(report, drawing, topic, producers.get(topic.key, ()), lost_at.get(topic.name, ()))
        for topic in topics
    ]
    titles = [
        h('button', title, type='button', data_sort=key) if key else h('span', title)
        for title, key in _SORTS
    ]
    search = h(
        'input', type='search', placeholder='Filter by name or type', aria_label='Filter topics'
    )
    more = h('button', f'Show all {len(topics):,} topics', type='button', class_='more')
    return h(
        'section',
        h('div', h('h2', 'Topics ', h('small', f'{len(topics):,}')), search, class_='with-search'),
        h('div', h('div', titles, class_='titles'), rows, class_='card topics',
          data_unfolded=_UNFOLDED),
        more if len(topics) > _UNFOLDED else None,
        id='topics',
    )  # fmt: skip


def _topic(
    report: Report,
    drawing: Drawing,
    topic: TopicInfo,
    producers: Sequence[ProducerCounters],
    lost_at: Iterable[float],
) -> Html:
    source = report.sources.get(topic.key, Source([topic.type]))
    causes = [
        f'{count:,} {cause}'
        for count, cause in (
            (topic.lost_transport, 'transport'),
            (topic.before_match, 'sent before heard'),
            (topic.dropped_overrun, 'ring full'),
            (topic.dropped_write_error, 'disk'),
        )
        if count
    ]
    if topic.throttled:
        causes.append(f'and {topic.throttled:,} left out')
    gap_ns, _ = topic.longest_gap
    gap_s, is_latched = gap_ns / NS_PER_S, any(item.repeated for item in producers)
    rates, step_s = _rates(report, topic)
    cells = (
        ('name', None, [
            h('b', path(short(topic.name))), h('small', path(short(' and '.join(source.types))))]),
        ('spark-cell', None, spark(drawing, rates, step_s, lost_at)),
        ('num', 'messages', [f'{topic.messages:,}', h('small', 'latched') if is_latched
         else None]),
        ('num', 'rate', format_rate(topic.rate_hz)),
        ('num', 'size', format_size(topic.bytes)),
        ('num', 'longest gap', precise_duration(gap_s) if gap_s else '\N{EN DASH}'),
        ('num lost' if topic.lost else 'num', 'lost',
         [topic.lost_text, _share(topic), [h('small', cause) for cause in causes]]),
    )  # fmt: skip
    return h(
        'details',
        h('summary', [_cell(*cell) for cell in cells]),
        _more(report, topic, source, producers),
        class_='topic',
        data_name=short(topic.name),
        data_type=short(' '.join(source.types)),
        data_messages=topic.messages,
        data_rate=round(topic.rate_hz or 0, 3),
        data_bytes=topic.bytes,
        data_gap=gap_ns,
        data_lost=topic.lost,
    )


def _cell(class_: str, label: str | None, content: Child) -> Html:
    """Return a cell; screen readers read its label instead of the column's title."""
    hidden = h('span', f'{label} ', class_='vh') if label else None
    return h('span', hidden, content, class_=class_)


def _rates(report: Report, topic: TopicInfo) -> tuple[list[float], float]:
    """Return the rate, and the length of its steps: each should hold some messages."""
    counts, axis = report.rates.counts(topic.key), report.rates.axis
    width_s = axis.width_ns / NS_PER_S
    period_s = report.rates.period_s(topic.key)
    wide = min(max(round(_ENOUGH * period_s / width_s), 1), max(len(counts) // 4, 1))
    span_s = (report.end_ns - report.start_ns) / NS_PER_S
    rates = []
    for place in range(0, len(counts), wide):
        some = counts[place:place + wide]
        length_s = min(len(some) * width_s, span_s - place * width_s)
        rates.append(sum(some) / max(length_s, width_s / 2))
    return rates, wide * width_s


def _share(topic: TopicInfo) -> Html | None:
    """Return what share of a topic's messages is missing, if any."""
    if not topic.lost:
        return None
    percent = 100 * topic.lost / (topic.lost + topic.messages)
    return h('small', f'{percent:.2g} %' if percent < 99.5 else f'{percent:.4g} %')


def _delay(delay: Delay) -> str:
    """Return a topic's delay in words."""
    said = (
        f'median {delay.median_ms:.2g} ms, 99 of 100 within {delay.most_ms:.2g} ms, '
        f'longest {delay.longest_ms:,.3g} ms'
    )
    if delay.earliest_ms < 0:
        return f"{said}; the source's clock was ahead by up to {-delay.earliest_ms:,.3g} ms"
    return said


def _more(
    report: Report, topic: TopicInfo, source: Source, producers: Iterable[ProducerCounters]
) -> Html:
    facts = []
    if topic.messages:
        facts.append(('First message', time_of_day(topic.first_ns, 3)))
        facts.append(('Last message', time_of_day(topic.last_ns, 3)))
    gap_ns, gap_at_ns = topic.longest_gap
    if gap_ns:
        gap = f'{gap_ns / NS_PER_S:.3f} s, from {time_of_day(gap_at_ns, 3)}'
        facts.append(('Longest gap', gap))
    profiles = list(dict.fromkeys(line for text in source.qos for line in _qos(text)))
    facts += [('Offered QoS', profile) for profile in profiles[:_MOST_PROFILES]]
    delay = report.delay_of(topic.key)
    if delay is not None:
        facts.append(('Delay, source to reception', _delay(delay)))
    if topic.why_unseen:
        facts.append(('Losses in transport', f'cannot be seen: {topic.why_unseen}'))
    if topic.throttled:
        facts.append(('Left out', f'{plural(topic.throttled, "message")}, as asked for'))
    publishers = _publishers(topic, source, list(producers))
    return h('div', fact_list(facts), publishers, class_='more-of')


def _publishers(topic: TopicInfo, source: Source, producers: list[ProducerCounters]) -> Html:
    columns = (
        'Publisher', 'First number', 'Sent before heard', 'Lost in transport', 'Offered',
        'Ring full', 'Disk', 'Repeated', 'Written',
    )  # fmt: skip
    rows: list[Html] = []
    for item in sorted(producers, key=_is_of_one)[:_MOST_PUBLISHERS]:
        counts = (
            item.offered, item.dropped_overrun, item.dropped_write_error, item.repeated,
            item.written,
        )  # fmt: skip
        cells = [h('td', text, class_='num') for text in _on_the_way(item, topic)]
        cells += [h('td', f'{count:,}', class_='num') for count in counts]
        left = [f'{plural(item.folded, "publisher")} that left']
        who = left if item.folded else _publisher(source, item.publisher)
        rows.append(h('tr', h('td', who), cells))
    known = {item.publisher for item in producers}
    others = [gid for gid in source.nodes if gid not in known]
    rows += [
        h('tr', h('td', _publisher(source, gid)), [h('td') for _ in columns[1:]])
        for gid in others[: max(_MOST_PUBLISHERS - len(producers), 0)]
    ]
    left_out = len(producers) + len(others) - len(rows)
    if left_out:
        rows.append(h('tr', h('td', f'and {plural(left_out, "publisher")} more')))
    return h('div', table(columns, rows), class_='scroll')


def _on_the_way(item: ProducerCounters, topic: TopicInfo) -> tuple[str, ...]:
    """Return first number, what was sent before it was heard, losses in transport, in words."""
    is_unseen = item.loss_detection == NO_DETECTION or bool(topic.why_unseen)
    known = (item.before_match, item.lost_transport)
    said = ('?' if is_unseen and not count else f'{count:,}' for count in known)
    return (f'{item.first_sequence:,}' if item.first_sequence else '', *said)


def _is_of_one(item: ProducerCounters) -> bool:
    return not item.folded


def _publisher(source: Source, gid: str) -> list[Child]:
    node = source.nodes.get(gid, '')
    return [short(node) or 'node unknown', h('small', short(gid, 64) or 'gid unknown')]


@lru_cache(maxsize=4096)
def _qos(text: str) -> tuple[str, ...]:
    """Return the different QoS profiles of a YAML list, in words."""
    profiles = load_yaml(text, _LONGEST_QOS)
    if not isinstance(profiles, list):
        return ()
    lines = (_profile(with_names(profile)) for profile in profiles if isinstance(profile, dict))
    return tuple(dict.fromkeys(line for line in lines if line))


def _profile(profile: dict[str, Any]) -> str:
    said = [profile.get(key) for key in _QOS_KEYS]
    words = [short(str(value).replace('_', ' '), 40) for value in said[:3] if _is_said(value)]
    if said[3] and isinstance(said[3], int):
        words.append(f'depth {said[3]}')
    return ', '.join(words)


def _is_said(value: object) -> bool:
    return isinstance(value, (str, int)) and value not in ('', 'unknown')
