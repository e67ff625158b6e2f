#!/bin/sh
# Builds the base image into <image dir>/base (rootfs/ with natural ids, image.json); does nothing when it is up to date.
# Usage: images/build.sh <image dir>
set -eu
images=$(realpath -m "$1")
recipe_dir=$(cd "$(dirname "$0")/base" && pwd)
. "$recipe_dir/recipe.sh"

recipe=$(cd "$recipe_dir" && { find . -type f | LC_ALL=C sort | xargs sha256sum; cat /usr/local/share/ca-certificates/*.crt 2>/dev/null; } | sha256sum | cut -d' ' -f1)
up_to_date() { [ -f "$images/base/image.json" ] && grep -q "\"recipe\": \"$recipe\"" "$images/base/image.json"; }
up_to_date && exit 0

mkdir -p "$images"
started=$(date +%s)
step() { printf '  [%3ds] base image: %s\n' "$(($(date +%s) - started))" "$1" >&2; }
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

# The lock ends with the last process that has it open, so also with a build that is killed.
exec 9>"$images/.lock"
if ! flock -n 9; then
  step "another build is under way; waiting for it"
  flock 9
fi
up_to_date && exit 0

# Under the lock no half-built tree is anybody's. A tree that was replaced is below the roots of jobs that started
# before and may still run: it goes when the machine has booted since.
boot=$(cut -c1-8 /proc/sys/kernel/random/boot_id)
rm -rf --one-file-system "$images"/.building-*
for old in "$images"/.replaced-*; do
  case $old in *".replaced-$boot-"*) ;; *) rm -rf --one-file-system "$old" ;; esac
done

work=$(mktemp -d "$images/.building-XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
# mmdebstrap unpacks here too, so that nothing of a killed build stays in /tmp; apt's own user must get through.
chmod 711 "$work"
log=$images/build.log
: >"$log"

step "fetching npm $NPM_VERSION"
(cd "$work" && npm pack --silent "npm@$NPM_VERSION") >>"$log" 2>&1 || {
  tail -n 15 "$log" >&2
  fail "npm could not be fetched; the whole log is $log. Check that \`npm view npm\` works here."
}
npm=$work/npm-$NPM_VERSION.tgz
echo "$NPM_SHA512  $npm" | sha512sum --status -c || fail "npm $NPM_VERSION from this registry is not the one in images/base/recipe.sh"

suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
# The host's own package sources: what reaches a mirror here reaches it for the image too.
sources=
for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
  if [ -z "$sources" ] && grep -qsE "^(Suites:|deb ).*$suite" "$file"; then sources=$file; fi
done
step "downloading and unpacking Debian $suite (about a minute, once)"
# shellcheck disable=SC2046 # one option a line, none with a space
if ! TMPDIR=$work mmdebstrap --variant=minbase --mode=root --format=tar --include="$PACKAGES" \
  --aptopt='APT::Install-Recommends "false"' $(set -f; dpkg_options) \
  --customize-hook="sh '$recipe_dir/customize.sh' \"\$1\" '$recipe_dir' '$npm'" \
  "$suite" "$work/rootfs.tar" ${sources:+"$sources"} >>"$log" 2>&1; then
  tail -n 15 "$log" >&2
  fail "the base image could not be built; the whole log is $log. Check that apt-get update works here."
fi

step "hashing and unpacking"
digest=$(sha256sum "$work/rootfs.tar" | cut -d' ' -f1)
mkdir "$work/base" "$work/base/rootfs"
# File capabilities stay behind: a sandbox has not got them to give, and a program that asks for one would not start.
tar --numeric-owner --no-xattrs -xpf "$work/rootfs.tar" -C "$work/base/rootfs"
# mmdebstrap empties /run.
mkdir -p "$work/base/rootfs/run/mags"
rm "$work/rootfs.tar"
packages=$(grep -c '^Status: install ok installed' "$work/base/rootfs/var/lib/dpkg/status")
cat >"$work/base/image.json" <<JSON
{
  "name": "base",
  "digest": "sha256:$digest",
  "created": "$(date -u +%Y-%m-%dT%H:%M:%SZ)",
  "suite": "$suite",
  "packages": $packages,
  "recipe": "$recipe"
}
JSON
size=$(du -sm --apparent-size "$work/base/rootfs" | cut -f1)
[ ! -e "$images/base" ] || mv "$images/base" "$images/.replaced-$boot-$$"
mv "$work/base" "$images/base"
step "ready ($size MB, $packages packages)"
