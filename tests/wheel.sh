#!/usr/bin/env sh
# The built wheel: what it holds, and the commands of the first page with its own dependencies alone.
set -eu
python=$1
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m build --wheel --outdir "$work" "$root" > "$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$work/site" "$work"/otkit-*.whl
(cd "$work/site" && find otkit -type f ! -name '*.pyc' | sed 's|^otkit/sample_data|sample_data|') | sort > "$work/held"
if git -C "$root" ls-files > "$work/tracked" 2> "$work/git.log"; then
  sort "$work/tracked" | comm -23 "$work/held" - > "$work/strays"
  test ! -s "$work/strays" || { echo "the wheel holds files that git does not track:"; cat "$work/strays"; exit 1; }
fi
grep -q "otkit/recipes/.*\.toml" "$work/held" || { echo "the recipes are missing"; exit 1; }
grep -rq "Copyright (c) Microsoft" "$work"/site/otkit-*.dist-info/licenses || { echo "the encoder's licence is missing"; exit 1; }
"$python" -I "$root/tests/plain_install.py" "$work/site"
