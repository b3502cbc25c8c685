#!/bin/sh
# Compile a copy of this tree and run the tests of the engine on it: those of state/ and operators/, and those of flows/ that run the whole graph.
#
#   scripts/test_compiled.sh [OPTIONS OF PYTEST]
#
# Without a C compiler it says so and does nothing.
set -eu
cd "$(dirname "$0")/.."
python=$PWD/.venv/bin/python

lack=$("$python" -c 'from scripts.build_hook import missing; print(missing())')
[ -z "$lack" ] || { echo "$lack The tests of the compiled engine are skipped." >&2; exit 0; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
scripts/compile.sh "$work/copy" >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
# The environment has an editable installation of the checkout: processes that tests start must find the copy before it.
cd "$work/copy"
COMPILED=1 PYTHONPATH=$PWD "$python" -m pytest -q "$@" tests/test_compile_set.py tests/state tests/operators \
    tests/flows/test_batch_sizes.py tests/flows/test_graph.py tests/flows/test_identity.py tests/flows/test_processes.py \
    tests/flows/test_switches.py tests/flows/test_tenants.py tests/flows/test_worker_races.py
