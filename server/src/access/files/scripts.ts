/**
 * What is done to files is done by these scripts inside the machine, with the tools of its image and the rights of one of
 * its users: a link or `..` can lead only to what that user reaches anyway. Arguments are `$1`, `$2`, …, never part of the text.
 */

/** Exit codes with a meaning; with every other one stderr says what is wrong. */
export const failures = { missing: 40, isDirectory: 41, noDirectory: 42, notEmpty: 43, noFile: 44, cut: 46 } as const;

const { missing, isDirectory, noDirectory, notEmpty, noFile, cut } = failures;

/** `$1` → a line with size, time and mode, and the content. Opened once, so that all of it is of one file. */
export const READ = `[ -e "$1" ] || exit ${missing}
[ ! -d "$1" ] || exit ${isDirectory}
[ -f "$1" ] || exit ${noFile}
exec 3<"$1" || exit
set -- $(stat -L -c '%s %Y %a' /proc/self/fd/3) || exit
echo "$@"
exec head -c "$1" <&3`;

/**
 * `$1` path, `$2` 1 to make directories, `$3` mode or nothing. Input is pieces, each after a line with its length, and a
 * last line 0: without that it was cut off, and the file stays as it was. `head` of busybox would read ahead.
 */
export const WRITE = `case $1 in */) exit ${isDirectory}; esac
[ "$2" != 1 ] || mkdir -p -- "$(dirname -- "$1")" || exit
p=$(readlink -f -- "$1") || exit ${missing}
[ ! -d "$p" ] || exit ${isDirectory}
d=$(dirname -- "$p")
[ -d "$d" ] || exit ${missing}
t=$(mktemp -- "$d/.mags.XXXXXX") || exit
trap 'rm -f -- "$t"' EXIT
trap 'exit ${cut}' HUP INT TERM
n=
while read -r n && [ "$n" -gt 0 ]; do dd bs=64k iflag=fullblock,count_bytes count="$n" status=none || exit; done >"$t"
[ "$n" = 0 ] || exit ${cut}
if [ -n "$3" ]; then chmod "$3" "$t"
elif [ -e "$p" ]; then chmod --reference="$p" -- "$t" && chown --reference="$p" -- "$t"
else chmod 644 "$t"; fi || exit
mv -f -- "$t" "$p"`;

/** `$1` path, `$2` 1 to remove what is in it. */
export const REMOVE = `[ -e "$1" ] || [ -L "$1" ] || exit ${missing}
if [ "$2" = 1 ]; then exec rm -rf -- "$1"; fi
if [ ! -d "$1" ] || [ -L "$1" ]; then exec rm -f -- "$1"; fi
[ -z "$(find -H "$1" -mindepth 1 -maxdepth 1 -print -quit)" ] || exit ${notEmpty}
exec rmdir -- "$1"`;

/** `$1` path, `$2` 1 to make those above it and not to mind one that is there. */
export const MAKE_DIRECTORY = `if [ "$2" = 1 ]; then exec mkdir -p -- "$1"; fi
[ ! -e "$1" ] || exit ${notEmpty}
exec mkdir -- "$1"`;

const ENTRY = "'%y\\0%f\\0%s\\0%m\\0%T@\\0%U\\0%G\\0%l\\0'";
/** fields of an entry as `find` prints it */
export const ENTRY_FIELDS = 8;

/** `$1` → one entry. */
export const STAT = `[ -e "$1" ] || [ -L "$1" ] || exit ${missing}
exec find -P "$1" -maxdepth 0 -printf ${ENTRY}`;

/** `$1` → an entry each. */
export const LIST = `[ -e "$1" ] || exit ${missing}
[ -d "$1" ] || exit ${noDirectory}
exec find -H "$1" -mindepth 1 -maxdepth 1 -printf ${ENTRY}`;

/** `$1` → its content as tar. */
export const PACK = `[ -e "$1" ] || exit ${missing}
[ -d "$1" ] || exit ${noDirectory}
exec tar -C "$1" -cf - .`;

/** `$1` directory, made where it is missing. What follows the archive's end is read away. */
export const UNPACK = `mkdir -p -- "$1" || exit ${noDirectory}
tar -C "$1" -xf -
s=$?
cat >/dev/null
exit $s`;

/** `$1` path, `$2` seconds between two looks → type, size, time and path of all there is; an empty record after each look. */
export const WATCH = `[ -e "$1" ] || exit ${missing}
while :; do
find -H "$1" -printf '%y %s %T@ %P\\0' 2>/dev/null
printf '\\0'
sleep "$2" || exit
done`;
