"""``python -m benchmarks.image``: how large the images are, as docs/air-gap.md has it. It takes root on Debian."""

from __future__ import annotations

import platform
import sys
from typing import Final

from tests.image import building, ingredients
from tests.tools.peers import PeerError

GOALS_MIB: Final = {"full": 45, "pull": 30}
MIB: Final = 1 << 20


def main() -> int:
    try:
        ingredients.fetch()
        with building.built() as built:
            sizes = {of: built.size(of) for of in building.SETS}
    except PeerError as error:
        print(f"image: {error}", file=sys.stderr)
        return 1
    print(f"{platform.machine()}, {ingredients.base()} made of Debian's {ingredients.SUITE}\n")
    print("| image | layers, gzip | goal | layers, zstd | unpacked |\n|---|---:|---:|---:|---:|")
    for of, size in sizes.items():
        gzip, zstd, files = (f"{one / MIB:.1f} MiB" for one in (size.gzip, size.zstd, size.files))
        print(f"| {of} | {gzip} | ≤ {GOALS_MIB[of]} MiB | {zstd} | {files} |")
    missed = [of for of, size in sizes.items() if size.gzip > GOALS_MIB[of] * MIB]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
