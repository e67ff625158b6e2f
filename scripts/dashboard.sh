# Sourced by setup.sh: builds the dashboard where its sources, or those of the client it uses, are newer than what was built.
dashboard_newest=$(find dashboard sdk/node/src protocol/src package-lock.json -path dashboard/dist -prune -o -path '*/node_modules' -prune -o -type f -newer dashboard/dist/index.html -print -quit 2>/dev/null || echo missing)
if [ ! -e dashboard/dist/index.html ] || [ -n "$dashboard_newest" ]; then
  echo "building the dashboard" >&2
  dashboard_log=$(mktemp)
  node node_modules/vite/bin/vite.js build dashboard --logLevel warn >"$dashboard_log" 2>&1 || {
    tail -n 15 "$dashboard_log" >&2
    fail "the dashboard could not be built; see the lines above"
  }
  rm -f "$dashboard_log"
  touch dashboard/dist/index.html
fi
