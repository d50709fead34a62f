"""Sizes and counts as people write them."""

from __future__ import annotations


def format_size(count: float) -> str:
    """Return bytes as text: `960 B`, `50.8 KiB`."""
    for unit in ('B', 'KiB', 'MiB', 'GiB'):
        if count < 1024:
            return f'{count:.0f} {unit}' if unit == 'B' else f'{count:.1f} {unit}'
        count /= 1024
    return f'{count:.1f} TiB'


def plural(count: int, noun: str) -> str:
    """Return a count with its noun: `1 flight`, `1,002 records`."""
    return f'{count:,} {noun}{"s" * (count != 1)}'
