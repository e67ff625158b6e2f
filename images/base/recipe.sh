# What the base image is made of. Sourced by images/build.sh; a change here builds the image anew.

# Beside Debian's essential packages.
PACKAGES=apt,ca-certificates,curl,git,iproute2,iputils-ping,jq,less,netbase,nodejs,openssh-client,openssh-sftp-server,procps,python3,python3-pip,python3-venv,rsync,vim-tiny

# npm from its own registry: Debian's package brings 350 others with it (webpack, babel, eslint, OpenSSL's headers), 160 MB.
NPM_VERSION=10.9.4
NPM_SHA512=3a7506f37e85c1ba1021baad79f0cd9724748131f321fc117c4dc3ba235ec01be7327584a41d15117c01945560aa9373220628fcc1e1dddd877a5fe9b336a900

# Manuals and translations: nobody reads them in there.
dpkg_options() {
  set -- "path-exclude=/usr/share/man/*" "path-exclude=/usr/share/locale/*" "path-exclude=/usr/share/info/*" \
    "path-exclude=/usr/share/doc/*" "path-include=/usr/share/doc/*/copyright"
  for option in "$@"; do echo "--dpkgopt=$option"; done
}
