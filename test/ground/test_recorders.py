# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What recorders do, as their diagnostics tell it."""

from __future__ import annotations

from collections.abc import Hashable

from fdr_recorder.alerts import ALERT_GROUPS, ALERT_LEVELS, AlertLevel
from fdr_recorder.ground.computer import Computer
from fdr_recorder.ground.mavlink import Mavlink
from fdr_recorder.ground.pacing import Fact, Pacing
from fdr_recorder.ground.recorders import (
    alerts_in,
    Disk,
    labels_of,
    MORE_ALERTS,
    MOST_TRIGGER_ALERTS,
    MOST_TRIGGERS,
    Recorders,
    Status,
)
from fdr_recorder.ground.texts import ALERT_TEXTS, RecorderState, SEVERITIES, Severity, TOPIC
import pytest

NAME = '/fdr_recorder'
SILENCE_S = 4.0


def summary(state: str = 'active', message: str = 'recording x', **values: str) -> Status:
    return Status('fdr_recorder: summary', 0, message, {'state': state, **values})


def group(name: str, *alerts: str, node: str = 'fdr_recorder', level: int = 2) -> Status:
    values = dict.fromkeys(alerts, 'a sentence')
    return Status(f'{node}: {name}', level if alerts else 0, 'a sentence', values)


class Bench:
    """Recorders, and a clock."""

    def __init__(self, *names: str) -> None:
        self.now = 100.0
        self.recorders = Recorders(names or [NAME], SILENCE_S, self.now)

    def hear_only(self, *statuses: Status) -> None:
        self.recorders.hear(statuses, self.now)

    def hear(self, *statuses: Status) -> dict[Hashable, str]:
        self.hear_only(*statuses)
        return self.texts()

    def texts(self) -> dict[Hashable, str]:
        return {key: fact.text for key, fact in self.recorders.facts(self.now).items()}

    def state(self, name: str = NAME) -> RecorderState | None:
        return self.recorders.state(name, self.now)


def test_nothing_is_said_of_a_recorder_before_it_could_answer() -> None:
    bench = Bench()
    assert bench.texts() == {}
    bench.now += SILENCE_S + 0.1
    assert bench.texts() == {NAME: 'FDR: NO ANSWER FROM RECORDER'}
    assert bench.hear(summary()) == {NAME: 'FDR: RECORDING'}


@pytest.mark.parametrize(
    ('state', 'message', 'text'),
    [
        ('active', 'recording x; losses cannot be seen', 'FDR: RECORDING'),
        ('inactive', 'not recording (inactive)', 'FDR: ready, not recording'),
        ('unconfigured', 'not recording (unconfigured)', 'FDR: not recording, not configured'),
        ('finalized', 'not recording (finalized)', 'FDR: not recording, shut down'),
    ],
)
def test_the_state_is_told(state: str, message: str, text: str) -> None:
    assert Bench().hear(summary(state, message)) == {NAME: text}


def test_a_recorder_that_falls_silent_is_an_error_and_its_alerts_stay() -> None:
    bench = Bench()
    bench.hear(summary(), group('disk', 'disk_low', level=1))
    bench.now += SILENCE_S + 0.1
    facts = bench.recorders.facts(bench.now)
    assert facts[NAME].severity is Severity.ERROR
    assert facts[NAME, 'disk_low', ''].text == 'FDR: disk is nearly full'
    assert not bench.recorders.are_recording(bench.now)
    bench.hear(group('disk'))  # an alert that ended is a sign of life, too
    assert bench.state() is RecorderState.RECORDING


def test_an_active_recorder_that_does_not_record_is_an_error_with_its_cause() -> None:
    bench = Bench()
    bench.hear(summary())
    stopped = summary('active', 'not recording (active)')
    assert bench.hear(stopped) == {NAME: 'FDR: RECORDING'}  # a flight may just begin
    assert bench.hear(stopped) == {NAME: 'FDR: NOT RECORDING'}
    bench.hear(summary())
    texts = bench.hear(stopped, group('disk', 'disk_full', 'disk_full errno'))
    assert texts[NAME, 'disk_full', ''] == 'FDR: DISK FULL'
    bench.hear(stopped)
    assert bench.texts()[NAME] == 'FDR: NOT RECORDING, disk full'
    bench.hear(group('disk'))
    assert bench.hear(stopped)[NAME] == 'FDR: NOT RECORDING, disk full'  # it was this
    assert bench.hear(summary('deactivating', 'not recording (deactivating)'))[NAME] == (
        'FDR: NOT RECORDING, disk full'
    )


@pytest.mark.parametrize('code', ALERT_LEVELS)
def test_each_alert_is_told_with_its_severity_and_its_end(code: str) -> None:
    part = next((part for part, codes in ALERT_GROUPS.items() if code in codes), '')
    node, bench = NAME, Bench()
    bench.hear(summary())
    if not part:
        node, part = '/flight_trigger', 'source' if code == 'source_silent' else 'recorder'
        bench.hear(Status('flight_trigger: summary', 0, '', {'recorder': NAME, 'flight': 'no'}))
    subject = '/odom' if TOPIC in ALERT_TEXTS[code].begins else ''
    bench.hear(group(part, f'{code} {subject}'.strip(), node=node.lstrip('/')))
    fact = bench.recorders.facts(bench.now)[node, code, subject]
    assert fact.severity is SEVERITIES[ALERT_LEVELS[code]]
    assert fact.text == f'FDR: {ALERT_TEXTS[code].begins.replace(TOPIC, subject)}'
    assert fact.over == f'FDR: {ALERT_TEXTS[code].over.replace(TOPIC, subject)}'
    assert set(bench.hear(group(part, node=node.lstrip('/')))) == {NAME}
    if subject:
        text = fact.several(12, True)
        assert text == f'{fact.text}, +12 more'


def test_a_recorder_that_is_paused_does_not_record() -> None:
    bench = Bench()
    bench.hear(summary())
    assert bench.recorders.are_recording(bench.now)
    bench.hear(group('recorder', 'recording_paused', level=1))
    assert not bench.recorders.are_recording(bench.now)


def test_details_of_an_alert_are_no_alerts() -> None:
    status = group(
        'topics',
        'topic_failed /a', 'topic_failed /a error', 'disk_low', 'disk_low free_bytes',
        'write_error', 'write_error errno', 'write_error metadata.yaml',
        'write_error metadata.yaml errno', 'held_while_armed deactivate',
        'condition_unusable /a: voltage < 14.2 for 2 s',
        'condition_unusable /a: voltage < 14.2 for 2 s type',
    )  # fmt: skip
    assert list(alerts_in(status)) == [
        ('topic_failed', '/a'), ('disk_low', ''), ('write_error', ''),
        ('write_error', 'metadata.yaml'), ('held_while_armed', 'deactivate'),
        ('condition_unusable', '/a: voltage < 14.2 for 2 s'),
    ]  # fmt: skip


def test_other_nodes_are_not_listened_to() -> None:
    bench = Bench()
    assert bench.hear(
        Status('camera: summary', 0, 'recording x', {'state': 'active'}),
        group('disk', 'disk_full', node='drone_2/fdr_recorder'),
        group('source', 'source_silent', node='flight_trigger'),  # of which recorder?
        group('motors', 'disk_full'),
    ) == {}


def test_an_alert_of_a_newer_recorder_has_the_level_of_its_status() -> None:
    bench = Bench()
    bench.hear(group('disk', 'head_crash'))
    fact = bench.recorders.facts(bench.now)[NAME, 'head_crash', '']
    assert (fact.text, fact.severity) == ('FDR: HEAD CRASH', SEVERITIES[AlertLevel.ERROR])


def test_several_recorders_are_told_apart() -> None:
    bench = Bench('/drone_1/fdr_recorder', '/drone_2/fdr_recorder')
    one = Status('drone_1/fdr_recorder: summary', 0, 'recording x', {'state': 'active'})
    assert bench.hear(one) == {'/drone_1/fdr_recorder': 'FDR drone_1: RECORDING'}
    bench.now += 3
    bench.hear(one)
    bench.now += 3
    assert bench.texts() == {
        '/drone_1/fdr_recorder': 'FDR drone_1: RECORDING',
        '/drone_2/fdr_recorder': 'FDR drone_2: NO ANSWER FROM RECORDER',
    }
    assert not bench.recorders.are_recording(bench.now)


def test_labels() -> None:
    assert labels_of(['/a/b']) == {'/a/b': ''}
    assert labels_of(['/a/one', '/a/two']) == {'/a/one': 'one', '/a/two': 'two'}
    assert labels_of(['/x/r', '/y/r']) == {'/x/r': 'x', '/y/r': 'y'}
    assert labels_of(['/x/r', '/x/y/r']) == {'/x/r': '1', '/x/y/r': '2'}


def test_disk_and_seal() -> None:
    bench = Bench()
    assert bench.recorders.disk() is None
    seal = '7 ' + '0123456789abcdef' * 4
    bench.hear(summary(disk_free_bytes='25', disk_bytes='100', newest_seal=seal))
    disk = bench.recorders.disk()
    assert disk is not None
    assert (disk.used, disk.total) == (75, 100)
    text = 'FDR: seal 7 0123456789abcdef01234567'
    assert bench.recorders.seals() == {NAME: text}
    bench.hear(summary('inactive', 'not recording'))
    assert bench.recorders.seals() == {NAME: text}  # the last one of the flight


@pytest.mark.parametrize(
    ('free', 'total', 'disk'),
    [
        ('3', '10', Disk(7, 10)),
        ('10', '3', Disk(0, 3)),
        ('0', '9' * 19, Disk(10**19 - 1, 10**19 - 1)),
        ('9' * 5000, '1', None),
        ('²', '10', None),
        ('-1', '10', None),
    ],
)
def test_whatever_is_told_of_a_disk_can_be_sent(
    free: str, total: str, disk: Disk | None
) -> None:
    bench = Bench()
    bench.hear(summary(disk_free_bytes=free, disk_bytes=total))
    assert bench.recorders.disk() == disk
    assert Mavlink(1, 191).computer(Computer().look(), disk)


def test_alerts_of_a_trigger_that_falls_silent_are_no_errors_any_more() -> None:
    bench = Bench()
    trigger = Status('flight_trigger: summary', 0, '', {'recorder': NAME})
    down = group('recorder', 'recorder_down', node='flight_trigger')
    key = ('/flight_trigger', 'recorder_down', '')
    pacing, told = Pacing(), list[tuple[Severity, str]]()

    def hear(*statuses: Status) -> Fact | None:
        bench.hear(summary(), *statuses)
        facts = bench.recorders.facts(bench.now)
        pacing.update(facts, bench.now)
        while (due := pacing.next_text(bench.now)) is not None:
            told.append(due)
        return facts.get(key)

    fact = hear(trigger, down)
    assert fact is not None
    assert fact.severity is Severity.ERROR
    for _ in range(50):
        bench.now += 1.0
        fact = hear()
    assert fact is not None
    assert fact.severity is Severity.WARNING
    hear(trigger, group('recorder', node='flight_trigger'))
    assert told == [
        (Severity.ERROR, 'FDR: TRIGGER FINDS NO RECORDER'),
        (Severity.INFO, 'FDR: RECORDING'),
        (Severity.WARNING, 'FDR: flight trigger is silent'),
        (Severity.INFO, 'FDR: flight trigger is heard again'),
    ]


def test_many_nodes_that_say_they_are_the_flight_trigger_do_not_fill_the_pilots_list() -> None:
    """The most severe alerts are told, and how many more there are; the newest nodes are known."""
    bench = Bench()
    bench.hear_only(summary())
    for number in range(10_000):
        node = f'trigger_{number}'
        bench.hear_only(Status(f'{node}: summary', 0, '', {'recorder': NAME}))
        alert = group('source', 'source_silent', node=node, level=1)
        if number == 9_990:
            alert = group('recorder', 'recorder_down', node=node)
        bench.hear_only(alert)
    texts = bench.texts()
    assert len(texts) == 1 + MOST_TRIGGER_ALERTS + 1
    assert texts['/trigger_9990', 'recorder_down', ''] == 'FDR: TRIGGER FINDS NO RECORDER'
    more = MOST_TRIGGERS - MOST_TRIGGER_ALERTS
    assert texts[MORE_ALERTS] == f'FDR: +{more} more alerts of flight triggers'
    assert texts[NAME] == 'FDR: RECORDING'
    for number in range(10_000):
        node = f'trigger_{number}'
        bench.hear_only(group('recorder', node=node), group('source', node=node))
    assert bench.texts() == {NAME: 'FDR: RECORDING'}


def test_a_trigger_with_very_many_alerts_does_not_fill_the_pilots_list() -> None:
    bench = Bench()
    bench.hear_only(summary(), Status('trigger: summary', 0, '', {'recorder': NAME}))
    alerts = [f'source_silent /topic_{number}' for number in range(1000)]
    texts = bench.hear(group('source', *alerts, node='trigger', level=1))
    assert len(texts) == 1 + MOST_TRIGGER_ALERTS + 1
    assert texts[MORE_ALERTS] == 'FDR: +980 more alerts of flight triggers'
