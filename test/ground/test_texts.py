# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The pilot's texts: each alert has one, each fits, and the docs have them all."""

from __future__ import annotations

from fdr_recorder.alerts import ALERT_LEVELS, AlertLevel
from fdr_recorder.ground.texts import (
    ALERT_TEXTS,
    level_of,
    MAX_BODY,
    MAX_LABEL,
    MAX_TEXT,
    not_recording,
    RecorderState,
    said,
    SEVERITIES,
    STATE_SEVERITIES,
    TOPIC,
    wording_of,
)
from hypothesis import given
from hypothesis import strategies as st
import pytest

LEAST_TOPIC = 12
"""So much of the name of a topic must be seen, whatever its recorder is called."""
EACH_CODE = pytest.mark.parametrize('code', ALERT_LEVELS)


def test_each_alert_has_its_texts_and_no_other_has() -> None:
    assert set(ALERT_TEXTS) == set(ALERT_LEVELS)
    assert set(STATE_SEVERITIES) == set(RecorderState)


@EACH_CODE
def test_the_texts_of_an_alert_fit(code: str) -> None:
    wording = ALERT_TEXTS[code]
    for text in (wording.begins, wording.over, not_recording(wording.cause)):
        assert text.isascii()
        assert text.isprintable()
        assert len(text.replace(TOPIC, 'x' * LEAST_TOPIC)) <= MAX_BODY, text
    assert wording.begins != wording.over


@EACH_CODE
def test_errors_are_in_capitals_and_nothing_else_is(code: str) -> None:
    wording = ALERT_TEXTS[code]
    bare = wording.begins.replace(TOPIC, '')
    if ALERT_LEVELS[code] is AlertLevel.ERROR:
        assert bare == bare.upper()
    else:
        assert bare == bare.lower().replace('qos', 'QoS')
    assert wording.over.replace(TOPIC, '').replace('QoS', '').islower()
    assert TOPIC not in wording.over or TOPIC in wording.begins


def test_no_two_errors_read_the_same() -> None:
    begins = [wording.begins for wording in ALERT_TEXTS.values()]
    assert len(set(begins)) == len(begins)


@pytest.mark.parametrize('state', RecorderState)
def test_the_text_of_a_state_fits(state: RecorderState) -> None:
    assert len(state.value) <= MAX_BODY
    is_loud = STATE_SEVERITIES[state] <= SEVERITIES[AlertLevel.ERROR]
    assert state.value.isupper() == (is_loud or state is RecorderState.RECORDING)


@given(st.text(), st.text(), st.sampled_from([*ALERT_TEXTS, 'of_a_newer_recorder_' * 4]))
def test_what_is_sent_always_fits(subject: str, label: str, code: str) -> None:
    wording = wording_of(code, 2)
    for text in (wording.begins, wording.over, f'{wording.begins}, +12345678901 more'):
        sent = said(text, subject, label)
        assert sent.startswith('FDR')
        assert len(sent) <= MAX_TEXT
        assert sent.isascii()
        assert sent.isprintable()
        if TOPIC not in text and len(text) <= MAX_BODY:
            assert sent.endswith(text)


def test_of_a_long_topic_the_end_is_shown() -> None:
    topic = '/drone_1/sensors/camera_front/left/image_raw'
    text = said(ALERT_TEXTS['topic_stale'].begins, topic)
    assert text == 'FDR: ..sors/camera_front/left/image_raw is silent'
    assert len(text) == MAX_TEXT
    assert said('DISK FULL', label='a_long_name_of_a_recorder') == 'FDR a_long_nam: DISK FULL'
    assert len('a_long_nam') == MAX_LABEL


def test_an_alert_of_a_newer_recorder_is_told_by_its_name() -> None:
    assert wording_of('fuel_is_low', 1).begins == 'fuel is low'
    assert wording_of('fuel_is_low', 2).begins == 'FUEL IS LOW'
    assert wording_of('fuel_is_low', 2).over == 'fuel is low: over'
    assert level_of('fuel_is_low', 2) is AlertLevel.ERROR
    assert level_of('disk_low', 2) is AlertLevel.WARN  # its group has an error, too
