#!/bin/sh
# Make a copy of this tree in DIRECTORY, with the hot modules compiled: libraries beside the modules, and a wheel in DIRECTORY/dist.
#
#   scripts/compile.sh DIRECTORY [PYTHON]
#
# DIRECTORY is outside of this tree. It is created, and must be empty if it exists. Files that git ignores are left out.
# docs/adr/0015-compiled-engine.md says what is compiled.
# PYTHON is an interpreter with the packages for development; without it that of .venv.
set -eu
cd "$(dirname "$0")/.."
fail() { echo "$1" >&2; exit 1; }

[ $# = 1 ] || [ $# = 2 ] || { echo 'usage: scripts/compile.sh DIRECTORY [PYTHON]' >&2; exit 2; }
python=${2:-$PWD/.venv/bin/python}
[ -x "$python" ] || fail "$python is missing: run \`make setup\`."
mkdir -p "$1"
[ -z "$(ls -A "$1")" ] || fail "$1 is not empty."
copy=$(cd "$1" && pwd -P)
case $copy in "$(pwd -P)"/*) fail "$1 is inside this tree: choose a directory outside of it." ;; esac

git -c core.quotePath=false ls-files --cached --others --exclude-standard | while IFS= read -r file; do
    if [ -e "$file" ]; then printf '%s\n' "$file"; fi  # else it is in git, and was removed here
done | tar --create --files-from - | tar --extract --directory "$copy"
cd "$copy"
HATCH_BUILD_HOOKS_ENABLE=1 "$python" -m hatchling build --target wheel --directory dist
