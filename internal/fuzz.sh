#!/bin/sh
# Runs every fuzz target of the module for the given time each, by default 2m.
set -eu
cd "$(dirname "$0")/.."
time=${1:-2m}
found=0
for file in $(grep -rl --include='*_test.go' '^func Fuzz' .); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		echo "== $(dirname "$file") $target, $time"
		# For a minute Go would make each input smaller that leads to something new, and do nothing else.
		${GO:-go} test -run '^$' -fuzz "^$target\$" -fuzzminimizetime 2s -fuzztime "$time" "$(dirname "$file")"
		found=$((found + 1))
	done
done
[ "$found" -gt 0 ] || { echo "no fuzz target found" >&2; exit 1; }
echo "$found fuzz targets ran without a finding"
