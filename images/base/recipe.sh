# The default image: Debian with what scripts usually want.
. "$here/debian.sh"

# Beside Debian's essential packages.
PACKAGES=apt,ca-certificates,curl,git,iproute2,iputils-ping,jq,less,netbase,nodejs,openssh-client,openssh-sftp-server,procps,python3,python3-pip,python3-venv,rsync,vim-tiny

recipe_inputs() { cat "$here/debian.sh"; host_authorities; }

make_rootfs() {
  fetch_npm
  debootstrap_with "sh '$here/base/customize.sh' \"\$1\" '$here/base' '$npm'"
}
