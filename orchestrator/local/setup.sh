#!/bin/bash
# Sets up the virtual environment: `setup.sh demo` for what the product needs, `setup.sh dev` for the tests as
# well. Does nothing when that was done for these very lock files. An interrupted run is simply run again.
set -euo pipefail
cd "$(dirname "$0")/../.."

kind=$1
stamp=.venv/tagdesk-setup
say() { echo "  $*"; }
die() { echo "error: $*" >&2; exit 1; }

[ "$(uname -s)" = Linux ] && [ "$(uname -m)" = x86_64 ] ||
    die "tagdesk's Triton server runs on Linux x86-64 only; this is $(uname -s) $(uname -m)"

digest() { cat "$1" requirements-setup.lock pyproject.toml | sha256sum | cut -d' ' -f1; }
dev="dev $(digest requirements-dev.lock)"
demo="demo $(digest requirements.lock)"

done_before() {
    [ -f "$stamp" ] && .venv/bin/python -c 'import orchestrator' 2>/dev/null || return 1
    # What the tests need holds all that the demo needs.
    grep -qxF "$dev" "$stamp" || { [ "$kind" = demo ] && grep -qxF "$demo" "$stamp"; }
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    die "Python 3.11, 3.12 or 3.13 is needed (python3 is $(python3 --version 2>&1 || true)); for example:" \
        "apt-get install python3 python3-venv"
}

if done_before; then exit 0; fi

if ! .venv/bin/python -m uv --version >/dev/null 2>&1; then
    python=$(find_python)
    say "making a virtual environment with $("$python" --version)"
    "$python" -m venv --clear .venv || die "'$python -m venv' does not work; on Debian: apt-get install python3-venv"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-setup.lock
fi

# uv does not read pip's configuration: hand over the two settings that decide whether anything is reached.
# (`pip config get` would look into the user's own file only, and not into /etc/pip.conf.)
pip_setting() { .venv/bin/python -m pip config list 2>/dev/null | sed -n "s/^global\.$1='\(.*\)'\$/\1/p" || true; }
index=${PIP_INDEX_URL:-$(pip_setting index-url)}
certificates=${PIP_CERT:-$(pip_setting cert)}
[ -z "$index" ] || export UV_DEFAULT_INDEX="${UV_DEFAULT_INDEX:-$index}"
[ -z "$certificates" ] || export SSL_CERT_FILE="${SSL_CERT_FILE:-$certificates}"
quiet=--quiet
[ ! -t 2 ] || quiet=
uv() { .venv/bin/python -m uv --no-progress "$@"; }
[ ! -t 2 ] || uv() { .venv/bin/python -m uv "$@"; }
export VIRTUAL_ENV=$PWD/.venv UV_PYTHON_DOWNLOADS=never

rm -f "$stamp"
lock=requirements.lock line=$demo
if [ "$kind" = dev ]; then lock=requirements-dev.lock line=$dev; fi
say "installing the Python packages of $lock (the first time some 600 MB: a minute or two)"
# The demo adds what it needs and leaves a developer's tools where they are.
if [ "$kind" = dev ]; then install=(sync); else install=(install -r); fi
uv pip "${install[0]}" $quiet --python .venv/bin/python --require-hashes "${install[@]:1}" "$lock"
uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation -e .
echo "$line" >"$stamp"
say "Python packages are there"
