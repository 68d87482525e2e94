"""docs/metrics.md, made from what the code declares: ``python -m tests.tools.metrics_page``, which is ``make docs``.

``--check`` writes nothing and fails when the page is not what it would write.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from agent import app
from agent.collectors import CATALOG, Entry
from agent.config.setting import Setting
from agent.model import Declared, Family, FamilyRule
from tests.tools import differences
from tests.tools.differences import Difference, Omitted

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"

_INTRODUCTION: Final = """\
# Metrics

<!-- Made by `make docs` from what the code declares. Do not edit: a test compares. -->

Every metric that the agent can serve, by the collector that reads it. `node_*` has the names, types, labels and HELP of
node_exporter 1.11; how it differs, and why, is at the [end](#differences-from-node_exporter). A name with `<field>`
stands for one metric per field of a kernel file, `<name>` for whatever the text files hold.

Every collector is a flag: `--collector.NAME` and `--no-collector.NAME`; `--collector.disable-defaults` turns all others
off. The flags below change what a collector reports. Absent is never 0: a metric that a node cannot tell is not there.

`--profile beside`, for clusters that keep their exporters, leaves only those on that serve what node_exporter, cAdvisor
and the kubelet do not: {beside}. A collector's own flag holds in any profile.
"""
_KINDS: Final = {
    "missing": "not served",
    "extra": "additional",
    "labels": "other label values",
    "type": "another type",
    "help": "another HELP",
    "value": "another value",
}


def page() -> str:
    """The whole page."""
    listed, omitted = differences.read()
    collectors = [entry for entry in CATALOG if not entry.place]
    beside = ", ".join(f"`{entry.name}`" for entry in collectors if entry.beside and entry.enabled)
    parts = [_INTRODUCTION.replace("{beside}", beside), "## Collectors\n"]
    parts += [_section(entry) for entry in collectors]
    parts.append(_places([entry for entry in CATALOG if entry.place]))
    parts.append("## About the agent itself\n\n" + _table((*app.OWN_FAMILIES, *app.push_families())))
    parts.append(_differences(listed))
    parts.append(_omitted(omitted))
    return "\n".join(parts)


def _section(entry: Entry) -> str:
    default = "" if entry.enabled else " (off by default)"
    text = f"### {entry.name}{default}\n\n{_about(entry)}{_table(entry.load().families)}"
    return f"{text}\n{_flags(entry.settings)}" if entry.settings else text


def _about(entry: Entry) -> str:
    """The first paragraph of the collector's module."""
    module = sys.modules[entry.load().__module__]
    paragraph = (module.__doc__ or "").strip().partition("\n\n")[0].replace("``", "`")
    return f"{' '.join(paragraph.split())}\n\n" if paragraph else ""


def _table(families: Declared) -> str:
    rows = (
        (f"`{_name(family)}`", family.type, ", ".join(f"`{label}`" for label in family.labels), _help(family))
        for family in families
    )
    return _rows(("name", "type", "labels", "help"), rows)


def _name(family: Family | FamilyRule) -> str:
    if isinstance(family, FamilyRule):
        return family.name.replace("{}", "<name>" if family.name == "{}" else "<field>")
    return family.name


def _help(family: Family | FamilyRule) -> str:
    text = family.help.replace("{}", "<field>") if isinstance(family, FamilyRule) else family.help
    return text.replace("<", "&lt;")


def _flags(settings: Iterable[Setting]) -> str:
    rows = ((f"`{setting.flag}`", _default(setting), setting.help) for setting in settings)
    return _rows(("flag", "default", "what it does"), rows)


def _default(setting: Setting) -> str:
    if setting.kind == "bool":
        return "on" if setting.default else "off"
    value = ",".join(setting.default) if setting.kind == "list" else str(setting.default)
    return f"`{value}`" if value else ""


def _places(entries: Sequence[Entry]) -> str:
    names = ", ".join(f"`{entry.name}`" for entry in entries)
    return f"""\
### Places

Hardware and filesystems that node_exporter reads and this version does not. Each has its flag and its
`node_scrape_collector_success`, and says in the log when the node has such a thing: {names}.
"""


def _differences(listed: Iterable[Difference]) -> str:
    rows = ((_patterns(one.series), _KINDS[one.kind], one.reason, one.when) for one in listed)
    return f"""\
## Differences from node_exporter

From node_exporter 1.11.1 on the same machine; tests hold this list to be complete and true.

{_rows(("series", "difference", "why", "only where"), rows)}"""


def _omitted(omitted: Iterable[Omitted]) -> str:
    rows = ((_patterns(one.series), one.reason, one.when) for one in omitted)
    return f"""\
### In a pod

In a pod with namespaces of its own the kernel answers some questions for the pod instead of the node. The nodename is
then `--node-name`; what cannot be asked otherwise is omitted:

{_rows(("series", "why", "only where"), rows)}"""


def _patterns(series: Iterable[str]) -> str:
    return ", ".join(f"`{pattern}`" for pattern in series)


def _rows(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    def lines() -> Iterator[str]:
        yield _row(titles)
        yield _row(["---"] * len(titles))
        for row in rows:
            yield _row([cell.replace("|", "\\|").replace("\n", " ") for cell in row])

    return "\n".join(lines()) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str]) -> int:
    made = page()
    if PAGE.exists() and PAGE.read_text() == made:
        return 0
    if "--check" in arguments:
        print(f"{PAGE} is not what the code declares: run `make docs`", file=sys.stderr)
        return 1
    PAGE.write_text(made)
    print(f"{PAGE}: changed, review it")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
