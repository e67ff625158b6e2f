#!/bin/sh
# Removes what killed builds and pulls have left in an image directory. Usage: images/sweep.sh <image dir>
set -eu
images=$(realpath -m "$1")
[ -d "$images" ] || exit 0
boot=$(cut -c1-8 /proc/sys/kernel/random/boot_id)
for half in "$images"/.building-*; do
  [ -d "$half" ] || continue
  name=${half##*/.building-}
  # One that is being built has its lock.
  flock -n "$images/.lock-${name%-??????}" rm -rf --one-file-system "$half" || :
done
for old in "$images"/.replaced-*; do
  case $old in *".replaced-$boot-"*) ;; *) rm -rf --one-file-system "$old" ;; esac
done
