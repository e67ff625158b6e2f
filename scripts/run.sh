#!/bin/sh
# Runs one of the developer tasks under the project's Node (the machine's where it is new enough, else ours).
set -eu
cd "$(dirname "$0")/.."
. scripts/node.sh
task=$1
shift
case $task in
  check)
    node node_modules/.bin/biome check .
    node node_modules/.bin/tsc -p .
    node node_modules/.bin/tsc -p dashboard
    node node_modules/.bin/depcruise --config .dependency-cruiser.cjs protocol kit server storage agent agent-client gateway sdk cli dashboard magsd test bench examples scripts
    node node_modules/.bin/knip
    ;;
  fix) node node_modules/.bin/biome check --write . ;;
  gen) node scripts/gen-openapi.ts && node scripts/gen-docs.ts && node scripts/gen-types.ts && python3 sdk/python/tools/generate.py ;;
  dashboard) node node_modules/vite/bin/vite.js build dashboard "$@" ;;
  bench) node bench/src/main.ts "$@" ;;
  *) echo "unknown task: $task" >&2; exit 2 ;;
esac
