#!/bin/sh
# Installs what the tests need beside Go: Node.js, npm, Python, the npm packages of the
# originals, Chromium, Firefox and Redis. What it cannot install it names, and fails.
set -eu
cd "$(dirname "$0")"

missing=""
need() { # command or path, Debian packages
	command -v "$1" >/dev/null 2>&1 && return
	missing="$missing $2"
}
need node nodejs
need npm npm
need cc "gcc libc6-dev" # for go test -race
need redis-server redis-server
need python3 python3
if [ -z "${CHROMIUM:-}" ]; then
	need chromium chromium
fi
if [ -z "${FIREFOX:-}" ] && ! command -v firefox >/dev/null 2>&1; then
	need firefox-esr firefox-esr
fi

if [ -n "$missing" ]; then
	if [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then
		export DEBIAN_FRONTEND=noninteractive
		apt-get update -q
		# shellcheck disable=SC2086
		apt-get install -q -y --no-install-recommends $missing
	else
		echo "missing:$missing" >&2
		echo "Install these (the names are Debian's packages), or run this as root on Debian." >&2
		exit 1
	fi
fi

major=$(node -p 'process.versions.node.split(".")[0]')
if [ "$major" -lt 18 ]; then
	echo "missing: Node.js 18 or later; this is $(node --version)" >&2
	exit 1
fi

# npm ci anew only when the lock file has changed since.
if ! cmp -s package-lock.json node_modules/.installed-lock; then
	npm ci --no-audit --no-fund --loglevel=error
	cp package-lock.json node_modules/.installed-lock
fi
