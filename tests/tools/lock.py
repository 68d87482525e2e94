"""What an image installs, locked: ``python -m tests.tools.lock`` writes ``requirements/`` anew, by pip-tools.

Every release of a package is named with the hashes of all its wheels, so that one file serves amd64, arm64 and every
Python from 3.11 on. It is resolved for the Python that runs this: the oldest needs what newer ones need, and more.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
PLACE: Final = REPOSITORY / "requirements"
SETS: Final[dict[str, tuple[str, ...]]] = {
    "build": ("--allow-unsafe", "--only-build-deps", "--build-deps-for=wheel"),  # what makes our own wheel
    # An agent that is scraped or spools. What is "unsafe" to pip-tools is left out: gRPC, and what it alone needs.
    "pull": ("--unsafe-package=grpcio", "--unsafe-package=typing-extensions"),
    "full": ("--allow-unsafe", "--extra=aggregator"),  # one that streams, and the aggregator
}
# No line of the files may depend on where they were written: no index, no options of the machine's pip.
OPTIONS: Final = (
    *("--quiet", "--upgrade", "--strip-extras", "--generate-hashes", "--no-header", "--no-annotate"),
    *("--no-emit-index-url", "--no-emit-find-links", "--no-emit-trusted-host", "--no-emit-options"),
)


def main() -> int:
    for name, chosen in SETS.items():
        command = (sys.executable, "-m", "piptools", "compile", *OPTIONS, *chosen, "--output-file", f"{name}.txt")
        code = subprocess.run([*command, str(REPOSITORY / "pyproject.toml")], cwd=PLACE, check=False).returncode
        if code:
            return code
        lines = (PLACE / f"{name}.txt").read_text().splitlines(keepends=True)
        (PLACE / f"{name}.txt").write_text("".join(line for line in lines if line.strip(" #\n") and line[0] != "#"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
