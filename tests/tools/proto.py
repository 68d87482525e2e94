"""``python -m tests.tools.proto``: the messages of the wire, from ``ingest.proto``; nothing that imports grpc."""

from __future__ import annotations

import sys
from importlib.resources import files
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "proto/headroom/ingest/v1/ingest.proto"
TARGET = REPOSITORY / "agent/wire"
NAMES = ("ingest_pb2.py", "ingest_pb2.pyi")


def generate(target: Path) -> None:
    """Writes both files there."""
    from grpc_tools import protoc

    arguments = ["protoc", f"-I{SOURCE.parent}", f"-I{files('grpc_tools') / '_proto'}"]
    arguments += [f"--python_out={target}", f"--pyi_out={target}", str(SOURCE)]
    if protoc.main(arguments):
        raise SystemExit(f"{SOURCE}: protoc refused it")


if __name__ == "__main__":
    generate(TARGET)
    sys.exit(0)
