#!/bin/sh
# npm run test:vm: the suite of drivers over virtual machines, all of it, and the tests of whole jobs, logs, workspaces and ways
# in with MAGS_RUNTIME=qemu. One file after another, because emulated machines use all processors. Files may be named.
set -eu
cd "$(dirname "$0")/.."
export MAGS_RUNTIME=qemu MAGS_WHOLE_SUITE=1
[ $# -gt 0 ] || {
  set -- agent/src/drivers/qemu
  for name in vms jobs crash restart hostile access ssh urls files machine-files workspaces workspace-files sleep; do
    set -- "$@" "test/e2e/$name.test.ts"
  done
}
exec scripts/test.sh --no-file-parallelism --testTimeout=600000 --hookTimeout=600000 "$@"
