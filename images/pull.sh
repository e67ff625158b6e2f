#!/bin/sh
# Pulls an OCI image into <image dir>/<name>; does nothing when that has the same digest already.
# Usage: images/pull.sh <image dir> <name> <docker://reference> <most MiB> [plain]; `plain` speaks HTTP instead of HTTPS.
#
# Nobody vouches for what is in an image. It is unpacked, never run; umoci resolves every path within its root; what could do
# harm on this host afterwards (device nodes, extended attributes) goes; set-uid files of it are below a directory that only
# root may enter; and download and unpacked tree together may not take more than the size given.
set -eu
images=$(realpath -m "$1")
name=$2
reference=$3
most_mb=$4
verify=$([ "${5:-}" = plain ] && echo false || echo true)
title=${reference#docker://}
MOST_FILES=2000000
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) arch=$(uname -m) ;; esac
for tool in skopeo umoci; do
  command -v $tool >/dev/null || fail "images of registries need Debian's packages skopeo and umoci: apt-get install skopeo umoci"
done

# The message of skopeo or umoci without their decoration.
said() { sed -n 's/.*level=fatal msg="\(.*\)"$/\1/p; s/^ *⨯ *//p' "$1" | tail -n 1 | tr -d '\\' | cut -c1-400; }
asked() {
  "$@" 2>"$work/stderr" && return
  cat "$work/stderr" >>"$log"
  [ ! -e "$work/too-large" ] || fail "$reference $(cat "$work/too-large")"
  why=$(said "$work/stderr")
  fail "$reference cannot be pulled: ${why:-$(tail -n 1 "$work/stderr")}"
}
# Bytes and files that are free where images are.
free() { stat -f -c '%a %S %d' "$images" | awk '{ printf "%d %d\n", $1 * $2 / 1048576, $3 }'; }
# Bytes and files below the working directory.
taken() { echo "$(du -sm "$work" | cut -f1) $(du -s --inodes "$work" | cut -f1)"; }
# Sets `why` where it may not go on. What is free tells quickly that all is well; else others may have written there, too.
judge() {
  set -- $(free)
  [ "$1" -ge 512 ] || why="does not fit: less than 512 MiB are free in $images"
  [ $((free_mb - $1)) -gt "$most_mb" ] || [ $((free_files - $2)) -gt "$MOST_FILES" ] || return
  set -- "$1" "$2" $(taken)
  [ "$3" -le "$most_mb" ] && [ "$4" -le "$MOST_FILES" ] || why="is larger than $most_mb MiB when unpacked, or has too many files"
  free_mb=$(($1 + $3)) free_files=$(($2 + $4))
}
# Runs a command for as long as it has not used up more than it may.
within_size() {
  set +e
  why=
  "$@" 9>&- &
  child=$!
  while kill -0 $child 2>/dev/null; do
    judge
    if [ -n "$why" ]; then
      kill -9 $child
      wait $child 2>/dev/null
      echo "$why" >"$work/too-large"
      return 1
    fi
    sleep 0.1
  done
  wait $child
  status=$?
  set -e
  return $status
}

lock
begin
chmod 700 "$work"
step "asking the registry"
asked skopeo --override-os linux --override-arch $arch inspect --no-tags --tls-verify=$verify \
  --format '{{.Digest}} {{.Os}} {{.Architecture}}' "$reference" >"$work/about"
read -r digest os image_arch <"$work/about"
[ "$os/$image_arch" = "linux/$arch" ] || fail "$reference cannot be pulled: it is for $os/$image_arch, and this node is linux/$arch"
if [ -f "$images/$name/image.json" ] && grep -q "\"digest\": \"$digest\"" "$images/$name/image.json"; then
  step "up to date"
  exit 0
fi

set -- $(free)
free_mb=$1 free_files=$2
step "downloading"
# By its digest, so that a tag that moves meanwhile cannot mix two images.
asked within_size skopeo --insecure-policy --override-os linux --override-arch $arch copy -q --src-tls-verify=$verify \
  "$(echo "$reference" | sed 's/@sha256:.*//; s/:[^:\/]*$//')@$digest" "oci:$work/layout:image"
step "unpacking"
asked within_size umoci unpack --image "$work/layout:image" "$work/bundle"
manifest=$work/layout/blobs/sha256/$(sed -n 's/.*"digest":"sha256:\([0-9a-f]*\)".*/\1/p' "$work/layout/index.json")
cp "$work/layout/blobs/sha256/$(sed -n 's/.*"config":{[^}]*"digest":"sha256:\([0-9a-f]*\)".*/\1/p' "$manifest")" "$work/config.json"
rm -r "$work/layout"
find "$work/bundle/rootfs" -xdev '(' -type b -o -type c ')' -delete
mkdir "$work/image"
asked within_size cp -a --no-preserve=xattr --reflink=auto "$work/bundle/rootfs" "$work/image/rootfs"
rm -r "$work/bundle"
cat >"$work/image/image.json" <<JSON
{
  "name": "$reference",
  "digest": "$digest",
  "arch": "$(uname -m)",
  "created": "$(date -u +%Y-%m-%dT%H:%M:%SZ)",
  "oci": $(cat "$work/config.json")
}
JSON
finish 700
