"""Columns as blocks: one value per container, some of them absent.

The same keys object is passed while the containers, and those of them that have a value, are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from agent.model import Family, Key, Value, Writer

Keys = tuple[Key, ...]
Expand = Callable[[Key], Sequence[Key]]
_Kept = tuple[Keys, tuple[int, ...] | None, Keys]


class Columns:
    """Remembers, for each family, the keys that it was given last."""

    def __init__(self) -> None:
        self._kept: dict[Family, _Kept] = {}

    def give(
        self,
        out: Writer,
        family: Family,
        keys: Keys,
        column: Sequence[Value | None],
        divisor: int = 1,
        expand: Expand | None = None,
    ) -> None:
        """``column[i]`` belongs to ``keys[i]``, or to what ``expand`` makes of that; None is left out.

        The column counts parts of the family's unit, of which ``divisor`` make a whole.
        """
        chosen = self._chosen(family, keys, column, expand)
        values = [value for value in column if value is not None] if None in column else column
        out.many(family, chosen, [value / divisor for value in values] if divisor > 1 else values)  # type: ignore[operator,arg-type]

    def give_several(
        self, out: Writer, family: Family, keys: Keys, column: Sequence[tuple[Value, ...] | None], expand: Expand
    ) -> None:
        """As ``give``, with as many values for each key as ``expand`` makes keys of it."""
        chosen = self._chosen(family, keys, column, expand)
        out.many(family, chosen, [value for several in column if several is not None for value in several])

    def give_listed(self, out: Writer, family: Family, keys: Sequence[Key], values: Sequence[Value]) -> None:
        """Keys made anew at every collection; equal ones are passed as the object that was passed before."""
        kept = self._kept.get(family)
        chosen = tuple(keys)
        if kept is not None and kept[2] == chosen:
            chosen = kept[2]
        else:
            self._kept[family] = ((), None, chosen)
        out.many(family, chosen, values)

    def _chosen(self, family: Family, keys: Keys, column: Sequence[object], expand: Expand | None) -> Keys:
        present = None if None not in column else tuple([i for i, value in enumerate(column) if value is not None])
        kept = self._kept.get(family)
        if kept is not None and kept[0] is keys and kept[1] == present:
            return kept[2]
        chosen = keys if present is None else tuple([keys[i] for i in present])
        if expand is not None:
            chosen = tuple([made for key in chosen for made in expand(key)])
        self._kept[family] = (keys, present, chosen)
        return chosen
