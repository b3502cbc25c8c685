#!/bin/sh
# Create or update .venv so that it can run Onramp. Does nothing if it is up to date.
#
#   scripts/setup.sh          packages of the job and the demo
#   scripts/setup.sh dev      and those of the tests and checks
#
# Uses uv if it is on PATH, else pip. Both install the versions in constraints.txt.
# PYTHON=/path/to/python chooses the interpreter, which must be Python 3.11 or 3.12.
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

# Prints the real path of an interpreter if it runs and its version is in range. A name on PATH is not enough:
# version managers install shims there that may fail.
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

# Runs an installer with its output in the log. A terminal shows the elapsed seconds, and the end of the log after a failure.
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
        say "The installation failed (all of its output is in $log). Fix the cause above and run the same command again."
        exit 1
    fi
}

# Identifies the inputs and the place of the environment: a changed file or a moved directory makes it out of date.
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

# An environment that was moved or has lost its Python is created again; one that works is updated.
if ! probe "$venv/bin/python" >/dev/null || { [ -f "$stamp" ] && ! grep -qF " $(pwd) " "$stamp"; }; then
    if python=$(find_python); then
        say "Creating $venv with $("$python" --version) ($python)."
    elif [ -n "${PYTHON:-}" ]; then
        say "PYTHON=$PYTHON is not a working Python 3.11 or 3.12."
        exit 1
    elif [ -n "$uv" ]; then
        python=3.12
        say "Creating $venv; uv downloads Python 3.12, because none was found."
    else
        say "Onramp needs Python 3.11 or 3.12, and neither was found. Install one of them, or uv, which downloads one, and run the same command again."
        exit 1
    fi
    rm -rf "$venv"
    if [ -n "$uv" ]; then
        uv venv --quiet --no-project --python "$python" "$venv"
    elif ! "$python" -m venv "$venv" >/dev/null 2>&1; then
        rm -rf "$venv"
        say "$python cannot create virtual environments. Install its venv module (on Debian and Ubuntu the package python3-venv), or uv, and run the same command again."
        exit 1
    fi
fi

rm -f "$stamp"
if [ -n "$uv" ]; then
    say "Installing the $level packages with uv."
    quietly uv pip install --python "$venv/bin/python" --constraint constraints.txt --editable "$target"
else
    say "Installing the $level packages with pip; this takes about a minute, longer if they must be downloaded."
    # An environment that uv created has no pip.
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null
    # Byte-compiling 500 MB of packages takes longer than it saves at import.
    quietly "$venv/bin/python" -m pip install --no-compile --no-input --disable-pip-version-check \
        --constraint constraints.txt --editable "$target"
fi
printf '%s %s\n' "$wanted" "$level" >"$stamp"
say "$venv is ready."
