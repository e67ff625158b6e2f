#!/bin/sh
# npm test: sets this machine up where something is missing, then checks the code and runs every test.
# The last line is the count of tests; the exit code is 0 only when everything was right and some test ran.
set -eu
cd "$(dirname "$0")/.."
PACKAGES="$(cat scripts/packages scripts/packages-for-vms scripts/packages-for-tests)"
IMAGE_DIR=${MAGS_IMAGE_DIR:-/var/cache/mags/images}
export MAGS_IMAGE_DIR=$IMAGE_DIR
VMS=yes
. scripts/setup.sh
report=$(mktemp)
trap 'rm -f "$report"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
status=0
# The tests run even where the code has a blemish: one run tells all.
sh scripts/run.sh check || {
  status=$?
  echo "the checks of the code failed (npm run check)" >&2
}
# In a mount namespace of its own, as the agent is: what a test mounts goes with it. Whole systems share few processors here, so a
# test that fails is tried once more, and marked "retry x1" where that helped: look at it. A daemon that ends by itself fails the run.
unshare --mount --propagation slave node node_modules/.bin/vitest run --retry=1 --reporter=default --reporter=json --outputFile.json="$report" "$@" </dev/null || status=$?
node -e '
const text = require("fs").readFileSync(process.argv[1], "utf8");
const report = text ? JSON.parse(text) : { numPassedTests: 0, numFailedTests: 0, numTotalTests: 0, numFailedTestSuites: 0 };
const { numPassedTests: passed, numFailedTests: failed, numTotalTests: total } = report;
if (!text) console.log("the tests ended without a report");
console.log(`${passed} passed, ${failed} failed, ${total - passed - failed} skipped`);
process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
' "$report" || [ "$status" -ne 0 ] || status=1
exit "$status"
