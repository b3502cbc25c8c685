#!/bin/sh
# Make the files of a release from a tag into dist/VERSION: wheel, sdist, image recipe, SBOM (CycloneDX), checksums. Nothing is published.
#
#   scripts/release.sh v0.1.0
#
# The wheel is the interpreted one, which runs everywhere. A compiled one (scripts/compile.sh) fits one machine, and differs with the C compiler.
# Only what the tag holds is used, not the working tree. The same tag gives the same bytes: all times are that of the tag's commit.
set -eu
cd "$(dirname "$0")/.."
fail() { echo "$1" >&2; exit 1; }

[ $# = 1 ] || { echo 'usage: scripts/release.sh TAG' >&2; exit 2; }
tag=$1 version=${1#v}
commit=$(git rev-parse --verify --quiet "refs/tags/$tag^{commit}") || fail "There is no tag $tag; make it with \`git tag --annotate $tag\`."
python=$PWD/.venv/bin/python
[ -x "$python" ] || fail "$python is missing: run \`make setup\`."
SOURCE_DATE_EPOCH=$(git show --no-patch --format=%ct "$commit")
export SOURCE_DATE_EPOCH PIP_DISABLE_PIP_VERSION_CHECK=1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
mkdir "$work/source"
git archive "$commit" | tar --extract --directory "$work/source"
cd "$work/source"

said=$("$python" -c 'import tomllib; print(tomllib.load(open("pyproject.toml", "rb"))["project"]["version"])')
[ "$said" = "$version" ] || fail "The tag is $tag, and pyproject.toml of its commit has version $said: they must agree."
grep --quiet --fixed-strings "## [$version]" CHANGELOG.md || fail "CHANGELOG.md of the tag has no section [$version]."

# Twice, in two places: what differs is not reproducible.
cp --recursive . "$work/again"
"$python" -m hatchling build --directory "$work/dist" >"$work/log" 2>&1 || fail "$(cat "$work/log")"
(cd "$work/again" && "$python" -m hatchling build --directory "$work/dist-again" >"$work/log" 2>&1)
diff --recursive "$work/dist" "$work/dist-again" >/dev/null || fail 'Two builds of the tag differ.'

# All that `docker build - < FILE` needs: it builds the wheel itself, as it is built here.
cd "$OLDPWD"
git archive --format=tar "$commit" | gzip --no-name --best >"$work/dist/onramp-$version-image.tar.gz"

# The wheel runs where nothing else is, with the tested versions of its packages; those are the SBOM.
"$python" -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --no-compile --constraint "$work/source/constraints.txt" "$work/dist/onramp-$version-py3-none-any.whl"
cd "$work"
env/bin/onramp --help >/dev/null
env/bin/onramp demo --users 60 --days 5 --json --data-dir "$work/demo" >"$work/log" 2>&1 || fail "$(tail -n 3 "$work/log")"
rm -f env/lib/python*/site-packages/onramp-*.dist-info/direct_url.json # names a directory of this machine
"$python" -m venv "$work/tools"
"$work/tools/bin/python" -m pip install --quiet --no-compile 'cyclonedx-bom==7.5.0'
"$work/tools/bin/cyclonedx-py" environment --output-reproducible --pyproject "$work/source/pyproject.toml" --of JSON \
    --output-file "dist/onramp-$version.cdx.json" "$work/env"

cd "$OLDPWD"
(cd "$work/dist" && sha256sum -- * >SHA256SUMS)
mkdir -p dist
rm -rf "dist/$version"
mv "$work/dist" "dist/$version"
echo "dist/$version:"
cat "dist/$version/SHA256SUMS"
