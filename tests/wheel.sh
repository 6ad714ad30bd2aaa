#!/usr/bin/env sh
# The built wheel in an empty environment: sample encoder and sample data must travel with it.
set -eu
python=$1
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m build --wheel --outdir "$work" "$root" > "$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
"$python" -m venv "$work/empty"
"$work/empty/bin/python" -m pip install --quiet --disable-pip-version-check -c "$root/constraints.txt" "$work"/otkit-*.whl
cd "$work"
links=$("$work/empty/bin/otkit" show-alignment "Das Haus ist klein ." "The house is small ." --format pharaoh)
test "$links" = "0-0 1-1 2-2 3-3 4-4" || { echo "the wheel aligned: $links"; exit 1; }
echo "wheel: aligned $links from $work"
