#!/bin/sh
# npm run test:compat: the hosted service's published Python client, from PyPI, against a server of ours.
set -eu
cd "$(dirname "$0")/.."
PACKAGES="$(cat scripts/packages scripts/packages-for-tests)"
IMAGE_DIR=${MAGS_IMAGE_DIR:-/var/cache/mags/images}
export MAGS_IMAGE_DIR=$IMAGE_DIR
. scripts/setup.sh
exec unshare --mount --propagation slave node test/compat/main.ts "$@"
