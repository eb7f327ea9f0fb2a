#!/bin/sh
# Unpack the Debian packages whose Lua code tests/torture/debian runs: fetch.sh [DIRECTORY], default build/torture-debs.
# As cmake/fetch-debs.sh does it: nothing is installed.
set -eu
cd "${0%/*}/../.."
# shellcheck disable=SC2046
exec cmake/fetch-debs.sh "${1:-build/torture-debs}" $(grep -v '^#' tests/torture/packages)
