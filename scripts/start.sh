#!/bin/sh
# npm start: sets this machine up where something is missing, then runs the server and a node until Ctrl-C.
set -eu
cd "$(dirname "$0")/.."
PACKAGES=$(cat scripts/packages)
# Virtual machines need more; also where they are only perhaps wanted, because the host might have KVM.
case ${MAGS_RUNTIME:-auto} in
  qemu) VMS=yes ;;
  auto) [ ! -c /dev/kvm ] || [ -z "$(find /dev/kvm -perm /066)" ] || VMS=yes ;;
esac
[ "${VMS:-no}" = no ] || PACKAGES="$PACKAGES $(cat scripts/packages-for-vms)"
IMAGE_DIR=${MAGS_IMAGE_DIR:-${MAGS_DATA_DIR:-/var/lib/mags}/images}
. scripts/setup.sh
exec node magsd/src/main.ts "$@"
