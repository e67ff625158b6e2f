# Alpine's own minimal root, as published, so that `apk` is the real one.
# MAGS_ALPINE_MIRROR is another place to fetch it and its packages from.
ALPINE_VERSION=3.23.2
ALPINE_MIRROR=${MAGS_ALPINE_MIRROR:-https://dl-cdn.alpinelinux.org/alpine}
case $(uname -m) in
  aarch64) ALPINE_SHA256=0a6c278a906bb7dc1c14f3dae426b4494280cdc421697977459bd37f91287d09 ;;
  *) ALPINE_SHA256=b50bf42e519420ca2be48dd0efa22aa087c708d0602b67d413406533bef9dab5 ;;
esac
ALPINE_SHA256=${MAGS_ALPINE_SHA256:-$ALPINE_SHA256}

recipe_inputs() { echo "$ALPINE_MIRROR $ALPINE_SHA256"; }

make_rootfs() {
  branch=v${ALPINE_VERSION%.*}
  url=$ALPINE_MIRROR/$branch/releases/$(uname -m)/alpine-minirootfs-$ALPINE_VERSION-$(uname -m).tar.gz
  step "downloading $url"
  logged "Alpine could not be fetched from $ALPINE_MIRROR. Set MAGS_ALPINE_MIRROR to a mirror that this host reaches" \
    curl -fsSL --retry 2 --connect-timeout 10 --max-time 300 -o "$work/alpine.tar.gz" "$url"
  echo "$ALPINE_SHA256  $work/alpine.tar.gz" | sha256sum --status -c ||
    fail "what $url answered is not the Alpine $ALPINE_VERSION of images/alpine/recipe.sh: its SHA-256 is $(sha256sum "$work/alpine.tar.gz" | cut -d' ' -f1)"
  mkdir "$work/root"
  tar --numeric-owner --no-xattrs -xpzf "$work/alpine.tar.gz" -C "$work/root"
  printf '%s\n' "$ALPINE_MIRROR/$branch/main" "$ALPINE_MIRROR/$branch/community" >"$work/root/etc/apk/repositories"
  tar --numeric-owner -cf "$work/rootfs.tar" -C "$work/root" .
  rm -r "$work/root"
}
