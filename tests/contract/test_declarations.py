"""What every collector declares: names that Prometheus takes, HELP, and each family once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import pytest

from agent import app
from agent.collectors import CATALOG, Entry
from agent.model import PARTS, Declared, Family, FamilyRule

METRIC = re.compile(r"[a-z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
RESERVED = {"le", "quantile", "job", "instance"}  # a server or a histogram gives these their meaning

OWN = {"app": app.OWN_FAMILIES, "push": app.push_families()}
DECLARATIONS = [pytest.param(lambda entry=entry: entry.load().families, id=entry.name) for entry in CATALOG]
DECLARATIONS += [pytest.param(lambda families=families: families, id=name) for name, families in OWN.items()]


@pytest.mark.parametrize("declared", DECLARATIONS)
def test_names_help_and_labels_are_well_formed(declared: Callable[[], Declared]) -> None:
    """Every family has a name and labels that Prometheus takes, and a HELP."""
    for family in declared():
        name = family.name.replace("{}", "x") if isinstance(family, FamilyRule) else family.name
        assert METRIC.fullmatch(name), family
        assert name == family.name or isinstance(family, FamilyRule)
        assert family.help.strip(), f"{name} has no HELP"
        assert family.type in ("counter", "gauge", "untyped", "histogram", "summary")
        assert all(LABEL.fullmatch(label) for label in family.labels), (name, family.labels)
        assert len(set(family.labels)) == len(family.labels)
        assert not RESERVED & set(family.labels), (name, family.labels)


@pytest.mark.parametrize("entry", CATALOG, ids=lambda entry: entry.name)
def test_an_entry_is_its_class(entry: Entry) -> None:
    """The catalog's name is the collector's, which is the label value that dashboards see."""
    collector = entry.load()
    assert collector.name == entry.name
    assert collector.part in PARTS
    assert collector.families or entry.place, "a collector that is not a place declares families"


def test_no_family_is_declared_twice() -> None:
    """One metric name has one declaration, whoever emits it."""
    declared = [family for entry in CATALOG for family in entry.load().families]
    declared += [family for families in OWN.values() for family in families]
    counts = Counter(family.name for family in set(declared))
    assert [name for name, count in counts.items() if count > 1] == []
    per_collector = Counter(family for entry in CATALOG for family in set(entry.load().families))
    assert [family for family, count in per_collector.items() if count > 1] == []


def test_the_rules_do_not_swallow_declared_names() -> None:
    """A name that the kernel could choose is not also another family's; only text files may use any name."""
    declared = [family for entry in CATALOG for family in entry.load().families]
    plain = [family.name for family in declared if isinstance(family, Family)]
    for rule in declared:
        if isinstance(rule, FamilyRule) and rule.name != "{}":
            start, _, end = rule.name.partition("{}")
            taken = [name for name in plain if name.startswith(start) and name.endswith(end)]
            assert taken == [], rule.name
