"""The direction of imports: a module knows what is below it, and nothing of what is beside or above it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

AGENT = Path(__file__).resolve().parents[2] / "agent"

# From the bottom to the top. A package may import the layers below its own, and itself.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"errors"}),
    frozenset({"log", "model"}),
    frozenset({"exposition", "wire", "groups", "config", "telemetry", "httpd"}),
    frozenset({"settings", "sources"}),
    frozenset({"eviction"}),
    frozenset({"collectors"}),
    frozenset({"engine"}),
    frozenset({"pull", "push"}),
    frozenset({"app"}),
    frozenset({"doctor", "show_eviction", "spool_command"}),
    frozenset({"up"}),
    frozenset({"commands"}),
    frozenset({"cli"}),
)
# Beside the agent: the central process and the experiment share only what both ends need.
BESIDE = {
    "aggregator": {"errors", "log", "model", "config", "telemetry", "exposition", "wire", "groups"},
    "compare": {"errors", "log", "model", "config", "exposition"},
}
LAZY_ONLY = set(BESIDE)  # imported by the commands, inside the function that runs one
COMMANDS = {"cli", "commands"}
ONE_PLACE = {
    "grpc": {"push/transport.py", "aggregator/service.py"},
    "jeepney": {"sources/system_bus.py"},
    "psutil": {"sources", "collectors"},
}


class Import(NamedTuple):
    """``module`` is absolute; ``lazy`` is inside a function."""

    file: str
    line: int
    module: str
    lazy: bool


def imports_of(file: str, source: str) -> Iterator[Import]:
    """Every import of a file, also those for type checkers only."""
    tree = ast.parse(source)
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: imports are absolute"
            plain = node.module != "agent"  # `from agent import log` imports agent.log
            modules = [str(node.module)] if plain else [f"agent.{alias.name}" for alias in node.names]
        else:
            continue
        for module in modules:
            yield Import(file, node.lineno, module, id(node) in inside)


def all_imports() -> list[Import]:
    files = sorted(AGENT.rglob("*.py"))
    return [found for file in files for found in imports_of(str(file.relative_to(AGENT)), file.read_text())]


def room(path: str) -> str:
    """``sources/root.py`` and ``agent.sources.root`` are in ``sources``."""
    return path.removeprefix("agent.").removesuffix(".py").replace("/", ".").partition(".")[0]


def allowed(file: str, module: str) -> bool:
    own, other = room(file), room(module)
    if own == other or other == "__version__":
        return True
    if own in BESIDE:
        return other in BESIDE[own]
    if other in BESIDE:
        return own in COMMANDS
    ranks = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
    return ranks[other] < ranks[own]


def test_every_room_has_a_layer() -> None:
    """A new package or module at the top of ``agent`` gets its place here before anything else."""
    rooms = {room(str(file.relative_to(AGENT))) for file in AGENT.rglob("*.py")} - {"__init__"}
    assert rooms - set(BESIDE) <= set().union(*LAYERS)


def test_imports_go_down() -> None:
    """Nothing imports what is beside or above it."""
    ours = [found for found in all_imports() if found.module.startswith("agent.")]
    assert len(ours) > 100
    assert [found for found in ours if not allowed(found.file, found.module)] == []


def test_the_central_process_and_the_experiment_load_only_when_asked_for() -> None:
    """Only a command imports them, and only when it runs."""
    found = [one for one in all_imports() if room(one.module) in LAZY_ONLY and room(one.file) != room(one.module)]
    assert [one for one in found if not one.lazy] == []


@pytest.mark.parametrize("package", ONE_PLACE)
def test_a_costly_package_has_its_place(package: str) -> None:
    """grpc, jeepney and psutil are imported where their cost is meant to be, and nowhere else."""
    places = {found.file for found in all_imports() if found.module.partition(".")[0] == package}
    assert {file for file in places if file not in ONE_PLACE[package] and room(file) not in ONE_PLACE[package]} == set()


@pytest.mark.parametrize(
    ("file", "statement", "right"),
    [
        ("sources/x.py", "from agent.errors import Gone", True),
        ("sources/x.py", "from agent.sources.root import Root", True),
        ("sources/x.py", "import agent.engine", False),
        ("pull/x.py", "from agent import log, push", False),
        ("pull/x.py", "from agent import log, __version__", True),
        ("model.py", "if TYPE_CHECKING:\n    from agent.collectors import CATALOG", False),
        ("app.py", "from agent.aggregator.store import Store", False),
        ("commands.py", "def f():\n    from agent.aggregator.store import Store", True),
        ("aggregator/x.py", "from agent.engine import Engine", False),
        ("aggregator/x.py", "from agent.wire.codec import decode", True),
        ("compare/x.py", "from agent.config.load import Config", True),
        ("compare/x.py", "from agent.wire.record import unpack", False),
        ("compare/x.py", "from agent.aggregator.store import Store", False),
        ("aggregator/x.py", "from agent.compare.link import Link", False),
    ],
)
def test_a_wrong_direction_is_seen(file: str, statement: str, right: bool) -> None:
    """The rules above, on statements that break and keep them."""
    assert all(allowed(found.file, found.module) for found in imports_of(file, statement)) is right
