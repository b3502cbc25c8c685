#!/bin/sh
# Make .venv ready to run Onramp. Does nothing when it already is.
#
#   scripts/setup.sh          what the job and the demo need
#   scripts/setup.sh dev      the same, and what the tests and checks need
#
# With uv on PATH, uv builds the environment; without it, pip does. Both install the versions in constraints.txt.
# PYTHON=/path/to/python chooses the interpreter; any Python 3.11 or 3.12 will do.
set -eu

cd "$(dirname "$0")/.."
level=${1:-runtime}
venv=.venv
stamp=$venv/onramp-setup
log=$venv/onramp-setup.log

case $level in
    runtime) target=. ;;
    dev) target='.[dev]' ;;
    *) echo "usage: $0 [runtime|dev]" >&2; exit 2 ;;
esac

say() { printf '%s\n' "$*" >&2; }

# Prints the real path of an interpreter if it runs and its version is in range. A name on PATH proves nothing:
# version managers put shims there that fail when called.
probe() {
    "$1" -c 'import sys; sys.exit(1) if not (3, 11) <= sys.version_info[:2] <= (3, 12) else print(sys.executable)' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        probe "$PYTHON"
        return
    fi
    for candidate in python3.12 python3.11 python3 python \
        "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.12.*/bin/python "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.11.*/bin/python; do
        probe "$candidate" && return
    done
    return 1
}

# Runs an installer with its chatter in the log; a person at a terminal sees the seconds pass, and the log if it fails.
quietly() {
    ticker=
    if [ -t 2 ]; then
        ( seconds=0; while sleep 1; do seconds=$((seconds + 1)); printf '\r  %ss ' "$seconds" >&2; done ) &
        ticker=$!
        trap 'kill "$ticker" 2>/dev/null' EXIT
        trap 'exit 130' INT TERM
    fi
    status=0
    "$@" >"$log" 2>&1 || status=$?
    if [ -n "$ticker" ]; then
        kill "$ticker" 2>/dev/null || true
        trap - EXIT INT TERM
        printf '\r\033[K' >&2
    fi
    if [ "$status" -ne 0 ]; then
        tail -n 25 "$log" >&2
        say "Installing failed (all of its output is in $log). Fix the cause above and run the same command again."
        exit 1
    fi
}

# What the environment was made from and where: a changed file or a moved directory makes it stale.
wanted="$(cat pyproject.toml constraints.txt scripts/setup.sh | cksum) $(pwd)"
if [ -f "$stamp" ] && [ -x "$venv/bin/onramp" ] && probe "$venv/bin/python" >/dev/null; then
    have=$(cat "$stamp")
    if [ "$have" = "$wanted dev" ] || [ "$have" = "$wanted $level" ]; then
        exit 0
    fi
fi

uv=
if command -v uv >/dev/null 2>&1 && uv --version >/dev/null 2>&1; then
    uv=yes
fi

# An environment that was moved or whose Python is gone is made anew; one that works is kept and brought up to date.
if ! probe "$venv/bin/python" >/dev/null || { [ -f "$stamp" ] && ! grep -qF " $(pwd) " "$stamp"; }; then
    if python=$(find_python); then
        say "Making $venv with $("$python" --version) ($python)."
    elif [ -n "${PYTHON:-}" ]; then
        say "PYTHON=$PYTHON is not a working Python 3.11 or 3.12."
        exit 1
    elif [ -n "$uv" ]; then
        python=3.12
        say "Making $venv; uv fetches Python 3.12, as none was found here."
    else
        say "Onramp needs Python 3.11 or 3.12 and found neither: install one of them, or uv, which brings its own, and run the same command again."
        exit 1
    fi
    rm -rf "$venv"
    if [ -n "$uv" ]; then
        uv venv --quiet --no-project --python "$python" "$venv"
    elif ! "$python" -m venv "$venv" >/dev/null 2>&1; then
        rm -rf "$venv"
        say "$python cannot make virtual environments: install its venv module (on Debian and Ubuntu the package python3-venv), or uv, and run the same command again."
        exit 1
    fi
fi

rm -f "$stamp"
if [ -n "$uv" ]; then
    say "Installing the $level packages with uv."
    quietly uv pip install --python "$venv/bin/python" --constraint constraints.txt --editable "$target"
else
    say "Installing the $level packages with pip; this takes about a minute, longer when they have to be downloaded."
    # An environment that uv made has no pip in it.
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null
    # Byte-compiling 500 MB of packages costs more than the imports that ever use it.
    quietly "$venv/bin/python" -m pip install --no-compile --no-input --disable-pip-version-check \
        --constraint constraints.txt --editable "$target"
fi
printf '%s %s\n' "$wanted" "$level" >"$stamp"
say "$venv is ready."
