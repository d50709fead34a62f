# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""All that a report says, for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fdr_recorder.report.gather import Report, Source
from fdr_recorder.report.sections.flight_plots import gap_of
from fdr_recorder.report.verdict import findings, verdict


def to_dict(report: Report) -> dict[str, Any]:
    """Return it for `json.dumps`. Times are nanoseconds of the system clock, or seconds."""
    info, found, axis = report.info, verdict(report), report.rates.axis
    return {
        **info.listed.to_dict(),
        'made_ns': report.made_ns,
        'verdict': {
            'level': found.level.value,
            'headline': found.headline,
            'sentences': list(found.sentences),
            'findings': findings(report),
        },
        'verification': report.verification.to_dict(),
        'header': asdict(info.header) if info.header else None,
        'footer': asdict(info.footer) if info.footer else None,
        'topics': [
            {
                **topic.to_dict(),
                **asdict(report.sources.get(topic.name, Source())),
                'counts': report.rates.counts(topic.name),
            }
            for topic in report.topics
        ],
        'segment_files': [asdict(segment) for segment in info.segments],
        'events': [
            {'time_ns': event.time_ns, 'kind': event.payload.KIND, **asdict(event.payload)}
            for event in info.events
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
                'samples': signal.extremes.samples,
                'values': [
                    {
                        'name': name,
                        'unit': unit,
                        'runs': signal.extremes.line(place, gap_of(report, signal)),
                    }
                    for place, (name, unit) in enumerate(signal.kind.values())
                ],
            }
            for signal in report.signals
        ],
        'ring_fill_percent': report.history.ring_fill(),
        'disk_free_bytes': report.history.disk_free(),
    }
