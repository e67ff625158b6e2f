#!/bin/sh
# npm start: sets this machine up where something is missing, then runs the server and a node until Ctrl-C.
set -eu
cd "$(dirname "$0")/.."
PACKAGES=$(cat scripts/packages)
IMAGE_DIR=${MAGS_IMAGE_DIR:-${MAGS_DATA_DIR:-/var/lib/mags}/images}
. scripts/setup.sh
exec node magsd/src/main.ts "$@"
