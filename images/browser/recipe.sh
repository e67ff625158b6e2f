# The default image with Debian's Chromium, which runs headless and is driven through port 9222.
. "$here/base/recipe.sh"
PACKAGES=$PACKAGES,chromium,fonts-dejavu-core,fonts-noto-color-emoji

recipe_inputs() { cat "$here/debian.sh"; files_of "$here/base"; host_authorities; }

make_rootfs() {
  fetch_npm
  debootstrap_with "sh '$here/base/customize.sh' \"\$1\" '$here/base' '$npm'" "cp -R '$here/browser/files/.' \"\$1\""
}
