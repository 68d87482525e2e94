#!/bin/sh
# venv.sh [dev]: makes .venv with this package in it (editable) and what running it needs; with "dev", what its tests need too.
# Works on a machine where python3-venv was never installed: root installs it; others are told, or use the pip they have.
set -eu
cd "$(dirname "$0")/../.."
extra=${1:-}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

fail() { echo "headroom: $*" >&2; exit 1; }
quietly() { "$@" >"$log" 2>&1 || { cat "$log" >&2; return 1; }; }
recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
can_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }

# The first Python 3.11+ on PATH that can make a venv, else the first one at all: every python3 before any python3.X.
choose() {
  first=
  for name in python3 python3.11 python3.12 python3.13 python3.14; do
    IFS=:
    for folder in $PATH; do
      candidate=$folder/$name
      [ -x "$candidate" ] && recent "$candidate" || continue
      can_venv "$candidate" && { echo "$candidate"; return; }
      first=${first:-$candidate}
    done
    unset IFS
  done
  echo "$first"
}

make_venv() {
  python=$(choose)
  [ -n "$python" ] || fail "no Python 3.11 or newer on PATH; on Debian and Ubuntu: apt-get install python3"
  package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
  if ! can_venv "$python" && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing $package"
    export DEBIAN_FRONTEND=noninteractive
    quietly apt-get update || fail "apt-get update failed; $package is needed"
    quietly apt-get install -y --no-install-recommends "$package" || fail "apt-get could not install $package"
  fi
  rm -rf .venv
  if can_venv "$python"; then
    quietly "$python" -m venv .venv
  elif "$python" -m pip --python "$python" --version >/dev/null 2>&1; then # pip 22.3 or newer installs for another Python
    quietly "$python" -m venv --without-pip .venv
    echo "$python" >.venv/pip-of
  else
    fail "$python cannot make a virtual environment; as root: apt-get install $package"
  fi
}

usable() { recent .venv/bin/python && { [ -f .venv/pip-of ] || .venv/bin/python -c 'import pip' 2>/dev/null; }; }

install() {
  if [ -f .venv/pip-of ]; then
    set -- "$(cat .venv/pip-of)" -m pip --python .venv/bin/python install "$@"
  else
    set -- .venv/bin/python -m pip install "$@"
  fi
  quietly "$@" || fail "pip could not install what pyproject.toml asks for"
}

usable || make_venv
echo "Installing headroom${extra:+ and what its tests need} into .venv ($(.venv/bin/python --version))"
install --disable-pip-version-check --editable ".[${extra:-aggregator}]"
.venv/bin/python -m compileall -q agent  # a missing .pyc costs memory and start time
touch .venv/run ${extra:+".venv/$extra"}
