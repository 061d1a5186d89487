"""Every example of docs/reference/dictation.md is what the grammar understands."""

import json
import re
from pathlib import Path

from osirix_agent.bench.sentences import KNOWN
from osirix_agent.prompting.command import understand
from osirix_agent.prompting.intent import KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "dictation.md").read_text()
ROWS = re.findall(r"^\| `(.+?)` \| (?:`(\[.+?\])`|(.+?)) \|$", PAGE, re.MULTILINE)


def test_examples_are_understood_as_the_page_says():
    assert len(ROWS) > 50
    for said, intents, question in ROWS:
        understood = understand(said, KNOWN)
        if intents:
            assert json.loads(json.dumps([one.as_json() for one in understood.intents])) == json.loads(intents), said
            assert not understood.questions
        else:
            assert question in [q.text for q in understood.questions], said


def test_every_kind_of_intent_has_an_example():
    shown = {one["kind"] for _, intents, _ in ROWS if intents for one in json.loads(intents)}
    assert shown == set(KINDS)
