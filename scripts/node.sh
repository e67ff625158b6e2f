# Sourced by the other scripts: puts a Node >= 22.18 first on PATH; the npm registry's `node` package brings it where the machine's is older.
node_new_enough() { "$1" -e 'const [a,b]=process.versions.node.split(".").map(Number);process.exit(a>22||(a===22&&b>=18)?0:1)' 2>/dev/null; }
if ! node_new_enough node; then
  if ! node_new_enough "$PWD/.tools/node_modules/.bin/node"; then
    echo "Node $(node --version) is older than 22.18: fetching Node 24 from the npm registry" >&2
    npm install --prefix .tools --no-save --no-audit --no-fund --loglevel=error 'node@24' >&2
  fi
  PATH="$PWD/.tools/node_modules/.bin:$PATH"
  export PATH
fi
