"""Events of earlier schemas, as those of this one. What was not recorded then is said to be unknown."""

from __future__ import annotations

from typing import Any

from osirix_agent.record.events import SCHEMA_VERSION

Raw = dict[str, Any]


def migrated(event: Raw, version: int) -> Raw:
    """An event as it stands in a journal of that schema version, as one of this version."""
    for before in range(version, SCHEMA_VERSION):
        event = _STEPS[before](event)
    return event


def _from_1(event: Raw) -> Raw:
    """Schema 2 only added: the fields of `RoiMark` may be missing, and no session can be continued."""
    return event


def _from_2(event: Raw) -> Raw:
    """Schema 3: prompts and commands have a modality, dates are shifted (those of older journals are not)."""
    if event.get("event") in ("prompt_changed", "command_given"):
        return {"modality": "unknown", **event}
    return event


def _from_3(event: Raw) -> Raw:
    """Schema 4 only added."""
    return event


_STEPS = {1: _from_1, 2: _from_2, 3: _from_3}
