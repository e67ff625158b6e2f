# Sourced by the recipes that are made of Debian's packages ($PACKAGES).

# npm from its own registry: Debian's package brings 350 others with it (webpack, babel, eslint, OpenSSL's headers), 160 MB.
NPM_VERSION=10.9.4
NPM_SHA512=3a7506f37e85c1ba1021baad79f0cd9724748131f321fc117c4dc3ba235ec01be7327584a41d15117c01945560aa9373220628fcc1e1dddd877a5fe9b336a900

# Manuals and translations: nobody reads them in there.
dpkg_options() {
  set -- "path-exclude=/usr/share/man/*" "path-exclude=/usr/share/locale/*" "path-exclude=/usr/share/info/*" \
    "path-exclude=/usr/share/doc/*" "path-include=/usr/share/doc/*/copyright"
  for option in "$@"; do echo "--dpkgopt=$option"; done
}

# Certificate authorities that the operator added to this host come into the image.
host_authorities() { cat /usr/local/share/ca-certificates/*.crt 2>/dev/null || :; }

fetch_npm() {
  step "fetching npm $NPM_VERSION"
  (cd "$work" && npm pack --silent "npm@$NPM_VERSION") >>"$log" 2>&1 || {
    tail -n 15 "$log" >&2
    fail "npm could not be fetched; the whole log is $log. Check that \`npm view npm\` works here."
  }
  npm=$work/npm-$NPM_VERSION.tgz
  echo "$NPM_SHA512  $npm" | sha512sum --status -c || fail "npm $NPM_VERSION from this registry is not the one in images/debian.sh"
}

# debootstrap_with HOOK...: each hook is a command that gets the unpacked root as its argument.
debootstrap_with() {
  suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-bookworm}")
  # The host's own package sources: what reaches a mirror here reaches it for the image too.
  sources=
  for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    if [ -z "$sources" ] && grep -qsE "^(Suites:|deb ).*$suite" "$file"; then sources=$file; fi
  done
  step "downloading and unpacking Debian $suite (a minute or so, once)"
  for hook in "$@"; do set -- "$@" "--customize-hook=$hook"; shift; done
  # mmdebstrap unpacks below $work too, so that nothing of a killed build stays in /tmp.
  # shellcheck disable=SC2046 # one option a line, none with a space
  logged "the $name image could not be built. Check that apt-get update works here" \
    env TMPDIR="$work" mmdebstrap --variant=minbase --mode=root --format=tar --include="$PACKAGES" \
    --aptopt='APT::Install-Recommends "false"' $(set -f; dpkg_options) "$@" \
    "$suite" "$work/rootfs.tar" ${sources:+"$sources"}
}
