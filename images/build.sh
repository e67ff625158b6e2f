#!/bin/sh
# Builds the base image into <image dir>/base (rootfs/ with natural ids, image.json); does nothing when it is up to date.
# Usage: images/build.sh <image dir>
set -eu
images=$(realpath -m "$1")
recipe_dir=$(cd "$(dirname "$0")/base" && pwd)
. "$recipe_dir/packages.sh"

recipe=$(cd "$recipe_dir" && { find . -type f | LC_ALL=C sort | xargs sha256sum; cat /usr/local/share/ca-certificates/*.crt 2>/dev/null; } | sha256sum | cut -d' ' -f1)
up_to_date() { [ -f "$images/base/image.json" ] && grep -q "\"recipe\": \"$recipe\"" "$images/base/image.json"; }
up_to_date && exit 0

mkdir -p "$images"
exec 9>"$images/.lock"
flock 9
up_to_date && exit 0
# A build that was killed leaves its directory; under the lock none of them is anybody's.
rm -rf --one-file-system "$images"/.building-*
work=$(mktemp -d "$images/.building-XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT INT TERM
started=$(date +%s)
step() { printf '  [%3ds] %s\n' "$(($(date +%s) - started))" "$1" >&2; }

suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
step "base image: downloading and unpacking Debian $suite (about a minute, once)"
log=$images/build.log
# The host's own package sources: what reaches a mirror here reaches it for the image too.
sources=
for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
  if [ -z "$sources" ] && grep -qsE "^(Suites:|deb ).*$suite" "$file"; then sources=$file; fi
done
if ! mmdebstrap --variant=minbase --mode=root --format=tar --include="$PACKAGES" \
  --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
  --customize-hook="sh '$recipe_dir/customize.sh' \"\$1\" '$recipe_dir/files'" \
  "$suite" "$work/rootfs.tar" ${sources:+"$sources"} >"$log" 2>&1; then
  tail -n 15 "$log" >&2
  echo "the base image could not be built; the whole log is $log. Check that apt-get update works here." >&2
  exit 1
fi
step "base image: hashing and unpacking"
digest=$(sha256sum "$work/rootfs.tar" | cut -d' ' -f1)
mkdir "$work/base" "$work/base/rootfs"
tar --numeric-owner --xattrs -xpf "$work/rootfs.tar" -C "$work/base/rootfs"
cat >"$work/base/image.json" <<EOF
{
  "name": "base",
  "digest": "sha256:$digest",
  "created": "$(date -u +%Y-%m-%dT%H:%M:%SZ)",
  "suite": "$suite",
  "recipe": "$recipe"
}
EOF
# Running containers hold the old tree by their own mounts; its directory may go.
[ ! -e "$images/base" ] || mv "$images/base" "$work/old"
mv "$work/base" "$images/base"
step "base image: ready ($(du -sm "$images/base/rootfs" | cut -f1) MB)"
