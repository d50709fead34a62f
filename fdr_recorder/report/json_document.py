# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The report as a JSON document, for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fdr_recorder.report.gather import Report, Source
from fdr_recorder.report.verdict import findings, verdict


def to_dict(report: Report) -> dict[str, Any]:
    """Return the report for `json.dumps`. Times are in nanoseconds (`_ns`) or seconds."""
    info, found, axis = report.info, verdict(report), report.rates.axis
    return {
        **info.listed.to_dict(),  # these come first
        'made_ns': report.made_ns,
        'verdict': {
            'level': found.level.value,
            'headline': found.headline,
            'sentences': list(found.sentences),
            'findings': findings(report),
        },
        'verification': report.verification.to_dict(),
        **info.to_dict(),
        'topics': [
            {
                **topic.to_dict(),
                **asdict(report.sources.get(topic.key, Source())),
                'counts': report.rates.counts(topic.key),
            }
            for topic in report.topics
        ],
        'quiet_times_ns': report.rates.quiet_times(),
        'time_axis': {
            'start_ns': report.start_ns,
            'end_ns': report.end_ns,
            'count_width_ns': axis.width_ns,
        },
        'bytes_written': report.bytes_by_time,
        'plots': [
            {
                'topic': signal.topic,
                'type': signal.type,
                'kind': signal.kind.name,
                'samples': signal.samples.count,
                'values': [
                    {
                        'name': name,
                        'unit': unit,
                        'runs': signal.extremes.line(place, report.gap_s(signal)),
                    }
                    for place, (name, unit) in enumerate(signal.kind.values())
                ],
            }
            for signal in report.signals
        ],
        'ring_fill_percent': report.history.ring_fill(),
        'disk_free_bytes': report.history.disk_free(),
    }
