"""docs/reference/log.md and event-schema.json are written from the models, and held to them.

After a change: python -m tests.record.test_reference_page
"""

import json
from pathlib import Path
from typing import get_args, get_type_hints

from osirix_agent.record.events import EVENT, SCHEMA_VERSION, Event
from osirix_agent.record.tables import TABLES

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PAGE, SCHEMA = FOLDER / "log.md", FOLDER / "event-schema.json"
MARK = "<!-- from here on written by tests/record/test_reference_page.py -->\n"


def schema() -> str:
    return json.dumps({"title": f"Event, schema {SCHEMA_VERSION}"} | EVENT.json_schema(), indent=1) + "\n"


def said(kind: object) -> str:
    name = getattr(kind, "__name__", "") if not get_args(kind) else str(kind)
    return name.replace("datetime.", "").replace(" | None", ", or none").replace("NoneType", "none")


def listing() -> str:
    lines = ["## Events", "", "| event | fields beside `at` and `elapsed_s` | what |", "|---|---|---|"]
    for model in get_args(get_args(Event)[0]):
        fields = [name for name in model.model_fields if name not in ("event", "at", "elapsed_s")]
        about = " ".join((model.__doc__ or "").split())
        lines.append(f"| `{model.model_fields['event'].default}` | {', '.join(fields)} | {about} |")
    for table in TABLES:
        lines += ["", f"## `{table.table}.parquet`", "", (table.__doc__ or "").strip(), ""]
        lines += ["| column | type | what |", "|---|---|---|"]
        hints = get_type_hints(table)
        for name, field in table.model_fields.items():
            lines.append(f"| `{name}` | {said(hints[name])} | {field.description or name.replace('_', ' ')} |")
    return "\n".join(lines) + "\n"


def test_the_page_is_what_the_models_say():
    assert PAGE.read_text().partition(MARK)[2] == listing(), "run: python -m tests.record.test_reference_page"


def test_the_json_schema_is_that_of_the_events():
    assert SCHEMA.read_text() == schema(), "run: python -m tests.record.test_reference_page"


if __name__ == "__main__":
    PAGE.write_text(PAGE.read_text().partition(MARK)[0] + MARK + listing())
    SCHEMA.write_text(schema())
