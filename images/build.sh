#!/bin/sh
# Builds the image of a recipe into <image dir>/<recipe>; does nothing when it is up to date.
# Usage: images/build.sh <image dir> [recipe]; the recipe is `base` where none is given.
#
# A recipe is a directory with recipe.sh, which defines make_rootfs (it writes $work/rootfs.tar) and recipe_inputs (what a
# new build depends on, besides the directory), and config.json: what machines get from the image.
set -eu
images=$(realpath -m "$1")
name=${2:-base}
title=$name
here=$(cd "$(dirname "$0")" && pwd)
recipe_dir=$here/$name
. "$here/lib.sh"
[ -f "$recipe_dir/recipe.sh" ] || fail "there is no recipe $name; there are: $(cd "$here" && ls -d */recipe.sh | sed 's,/.*,,' | tr '\n' ' ')"
. "$recipe_dir/recipe.sh"

files_of() { (cd "$1" && find . -type f | LC_ALL=C sort | xargs sha256sum); }
recipe=$({ files_of "$recipe_dir"; recipe_inputs; } | sha256sum | cut -d' ' -f1)
up_to_date() { [ -f "$images/$name/image.json" ] && grep -q "\"recipe\": \"$recipe\"" "$images/$name/image.json"; }
up_to_date && exit 0
lock
up_to_date && exit 0
begin
# What builds as another user must get through.
chmod 711 "$work"
make_rootfs

step "hashing and unpacking"
digest=$(sha256sum "$work/rootfs.tar" | cut -d' ' -f1)
mkdir "$work/image" "$work/image/rootfs"
# File capabilities stay behind: a sandbox has not got them to give, and a program that asks for one would not start.
tar --numeric-owner --no-xattrs -xpf "$work/rootfs.tar" -C "$work/image/rootfs"
mkdir -p "$work/image/rootfs/run/mags"
rm "$work/rootfs.tar"
cat >"$work/image/image.json" <<JSON
{
  "name": "$name",
  "digest": "sha256:$digest",
  "arch": "$(uname -m)",
  "created": "$(date -u +%Y-%m-%dT%H:%M:%SZ)",
  "recipe": "$recipe",
  "config": $(cat "$recipe_dir/config.json")
}
JSON
finish 755
