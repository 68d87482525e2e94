"""The contract of the wire: what is generated is up to date, and no field that is out there changes its meaning."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from agent.wire import ingest_pb2
from tests.tools.proto import NAMES, REPOSITORY, SOURCE, TARGET, generate

FIELDS = Path(__file__).parent / "wire_fields.json"
TYPES = {number: name for name, number in vars(FieldDescriptor).items() if name.startswith("TYPE_")}


def test_the_generated_messages_are_those_of_the_proto(tmp_path: Path) -> None:
    """After a change of the proto: ``make proto``."""
    generate(tmp_path)
    for name in NAMES:
        assert (tmp_path / name).read_text() == (TARGET / name).read_text(), f"{name} is not up to date: make proto"


def said_now() -> dict[str, str]:
    """Every field by message and number, every enum value, every method: what both ends must agree on."""
    file = ingest_pb2.DESCRIPTOR
    services = file.services_by_name.values()
    said = {f"{service.name}/{one.name}": _method(one) for service in services for one in service.methods}
    for enum in (*file.enum_types_by_name.values(), *(e for m in _messages() for e in m.enum_types)):
        said |= {f"{enum.full_name} {value.number}": value.name for value in enum.values}
    for message in _messages():
        said |= {f"{message.full_name} {field.number}": _field(field) for field in message.fields}
    return said


def _messages() -> Iterator[Descriptor]:
    for message in ingest_pb2.DESCRIPTOR.message_types_by_name.values():
        yield message
        yield from message.nested_types


def _method(method: object) -> str:
    return f"{method.input_type.full_name} -> {method.output_type.full_name}"  # type: ignore[attr-defined]


def _field(field: FieldDescriptor) -> str:
    of = field.message_type or field.enum_type
    kind = of.full_name if of else TYPES[field.type].removeprefix("TYPE_").lower()
    return f"{field.name} {'repeated ' if field.is_repeated else ''}{kind}{' packed' if field.is_packed else ''}"


def broken(committed: dict[str, str], now: dict[str, str]) -> list[str]:
    """What the other end, which is as old as ``committed``, would read wrongly."""
    return sorted(name for name, said in committed.items() if now.get(name) != said)


def test_no_field_changed() -> None:
    """A field may be added, there too; one that was removed, renumbered or got another type is a new version, v2."""
    committed, now = json.loads(FIELDS.read_text()), said_now()
    assert broken(committed, now) == []
    assert now.keys() == committed.keys(), f"new fields belong into {FIELDS.name}: python -m tests.contract.test_wire"


def test_a_breaking_change_would_be_seen() -> None:
    """A field that is gone, has another number, or is of another type."""
    now = said_now()
    name = "headroom.ingest.v1.Record 2"
    assert broken(now, {key: said for key, said in now.items() if key != name}) == [name]
    assert broken(now, {**now, name: "sequence uint64"}) == [name]
    assert broken(now, {**now, name: "seq uint32"}) == [name]
    assert broken(now, {**now, "headroom.ingest.v1.Record 6": "more bytes"}) == []


def test_every_field_has_its_meaning_written_beside_it() -> None:
    """150 lines that a person can read. Only what says everything in its type goes without."""
    lines = SOURCE.read_text().splitlines()
    assert len(lines) <= 150
    assert max(map(len, lines)) <= 120
    bare = {line.split(" = ")[0].split()[-1] for line in lines if line.startswith("  ") and line.endswith(";")}
    assert bare == {"hello", "lane", "key", "reason", "UNSPECIFIED", "boot_ms", "attributes"}


def test_the_wire_does_not_load_grpc() -> None:
    """A store's reader, and the spool without a target, need the messages only."""
    modules = "agent.wire.encoder, agent.wire.decoder, agent.wire.record, agent.wire.frame, agent.wire.events"
    code = f"import sys, {modules}; sys.exit('grpc' in sys.modules or 'asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False, timeout=30).returncode == 0


if __name__ == "__main__":
    FIELDS.write_text(json.dumps(said_now(), indent=1) + "\n")
