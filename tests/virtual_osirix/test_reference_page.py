"""docs/reference/virtual-osirix.md is written from the protobuf descriptors and the handlers, and held to them.

After a change: python -m tests.virtual_osirix.test_reference_page
"""

from pathlib import Path

from google.protobuf.descriptor import FieldDescriptor
from osirixgrpc import osirix_pb2

from osirix_agent.virtual_osirix.server import ROOMS, UNMODELLED, modelled_rpcs

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "virtual-osirix.md"
MARK = "<!-- from here on written by tests/virtual_osirix/test_reference_page.py -->\n"
SERVICE = osirix_pb2.DESCRIPTOR.services_by_name["OsiriXService"]
KINDS = {value: name for name, value in vars(FieldDescriptor).items() if name.startswith("TYPE_")}


def fields(message) -> str:
    """The message's fields, without the status that every answer has."""
    shown = []
    for field in message.fields:
        if field.name == "status":
            continue
        kind = field.message_type.name if field.message_type else KINDS[field.type].removeprefix("TYPE_").lower()
        shown.append(f"{field.name}: {kind}{'[]' if field.is_repeated else ''}")
    return ", ".join(shown)


def remark(name: str) -> str:
    if name in UNMODELLED:
        return f"not modelled: {UNMODELLED[name]}"
    act = next(vars(room)[name] for room in ROOMS if name in vars(room))
    return " ".join((act.__doc__ or "").split()).removesuffix(".")


def table() -> str:
    modelled = modelled_rpcs()
    lines = [
        f"Of the service's {len(modelled)} calls {sum(modelled.values())} are answered, "
        f"{len(modelled) - sum(modelled.values())} not (UNIMPLEMENTED; a real OsiriX answers it).",
        "",
        "| call | takes | gives | behaviour worth knowing |",
        "|---|---|---|---|",
    ]
    for rpc in SERVICE.methods:
        takes = fields(rpc.input_type) if rpc.input_type.name.endswith("Request") else rpc.input_type.name
        lines.append(f"| `{rpc.name}` | {takes} | {fields(rpc.output_type)} | {remark(rpc.name)} |")
    return "\n".join(lines) + "\n"


def test_the_page_is_what_descriptors_and_handlers_say():
    assert PAGE.read_text().partition(MARK)[2] == table(), "run: python -m tests.virtual_osirix.test_reference_page"


def test_what_is_not_answered_is_listed_with_its_reason():
    modelled = modelled_rpcs()
    assert len(modelled) == len(SERVICE.methods) == 141
    assert {name for name, there in modelled.items() if not there} == set(UNMODELLED)


if __name__ == "__main__":
    head = PAGE.read_text().partition(MARK)[0]
    PAGE.write_text(head + MARK + table())
