# Sourced by build.sh and pull.sh: how an image comes into the image directory, whole or not at all.
# An image is <image dir>/<name> with rootfs/ (natural ids) and image.json. Needs $images and $name.

started=$(date +%s)
step() { printf '  [%3ds] %s image: %s\n' "$(($(date +%s) - started))" "$title" "$1" >&2; }
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

log=$images/build-$name.log
# Runs a command whose words go to the log; `fail`s with $1 and its last words.
logged() {
  why=$1; shift
  "$@" >>"$log" 2>&1 || { tail -n 15 "$log" >&2; fail "$why; the whole log is $log"; }
}

# Takes the image's lock, which ends with the last process that has it open, so also with a build that is killed.
lock() {
  mkdir -p "$images"
  exec 9>"$images/.lock-$name"
  if ! flock -n 9; then
    step "another build is under way; waiting for it"
    flock 9
  fi
}

# A working directory, $work. Under the lock no half-built tree of this name is anybody's.
begin() {
  boot=$(cut -c1-8 /proc/sys/kernel/random/boot_id)
  sweep_name
  work=$(mktemp -d "$images/.building-$name-XXXXXX")
  trap 'rm -rf --one-file-system "$work"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  : >"$log"
}

# A tree that was replaced is below the roots of machines that started before and may still run: it goes when the host has booted since.
sweep_name() {
  rm -rf --one-file-system "$images/.building-$name"-??????
  for old in "$images/.replaced-"*; do
    case $old in *".replaced-$boot-"*) ;; *) rm -rf --one-file-system "$old" ;; esac
  done
}

# Puts $work/image (rootfs/ and image.json) in its place.
finish() {
  chmod "$1" "$work/image"
  [ ! -e "$images/$name" ] || mv "$images/$name" "$images/.replaced-$boot-$$-$name"
  mv "$work/image" "$images/$name"
  step "ready ($(du -sm --apparent-size "$images/$name/rootfs" | cut -f1) MB)"
}
