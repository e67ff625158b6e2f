#!/bin/sh
# npm test: sets this machine up where something is missing, then checks the code and runs every test.
set -eu
cd "$(dirname "$0")/.."
PACKAGES="$(cat scripts/packages) curl git podman"
IMAGE_DIR=${MAGS_IMAGE_DIR:-/var/cache/mags/images}
export MAGS_IMAGE_DIR=$IMAGE_DIR
. scripts/setup.sh
sh scripts/run.sh check
report=$(mktemp)
trap 'rm -f "$report"' EXIT
status=0
# In a mount namespace of its own, as the agent is: what a test mounts goes with it.
unshare --mount --propagation slave node node_modules/.bin/vitest run --reporter=default --reporter=json --outputFile.json="$report" "$@" || status=$?
node -e '
const { numPassedTests: passed, numFailedTests: failed, numPendingTests: skipped } = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"));
console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
' "$report" || status=1
exit "$status"
