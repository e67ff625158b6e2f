# Sourced by start.sh and test.sh: brings what a bare Debian machine lacks. Quick when nothing is missing.
# Uses $PACKAGES (Debian packages), $IMAGE_DIR, and $VMS (yes where virtual machines may be wanted).
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

[ "$(id -u)" = 0 ] || fail "Mags makes namespaces and mounts: run this as root"
[ -e /etc/debian_version ] || fail "the setup knows Debian's packages only; on other systems install these by hand: $PACKAGES"

# shellcheck disable=SC2086 # a list
missing=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' $PACKAGES 2>/dev/null |
  awk -v wanted="$PACKAGES" '$2 == "installed" { have[$1] = 1 } END { n = split(wanted, p, " "); for (i = 1; i <= n; i++) if (!(p[i] in have)) printf "%s ", p[i] }')
if [ -n "$missing" ]; then
  echo "installing Debian packages: $missing" >&2
  log=$(mktemp)
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing; } >"$log" 2>&1 || {
    tail -n 15 "$log" >&2
    fail "apt-get could not install them; see the lines above"
  }
  rm -f "$log"
fi

. scripts/node.sh

if [ ! -e node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo "installing npm packages" >&2
  # --no-save leaves the lock file as it is, which npm would rewrite for its own version. Not `npm ci`: it refuses a lock
  # file made where the registry does not offer every platform's optional packages.
  npm install --no-save --no-audit --no-fund --loglevel=error >&2 || fail "npm install failed; is the npm registry reachable?"
  # The old Node that tests run the client in; npm puts this directory first on PATH.
  rm -f node_modules/.bin/node
  touch node_modules/.package-lock.json
fi

. scripts/dashboard.sh

sh images/build.sh "$IMAGE_DIR"
[ "${VMS:-no}" = no ] || sh images/vm/build.sh "$IMAGE_DIR"
