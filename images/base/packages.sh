# What is in the base image beside Debian's essential packages.
PACKAGES=apt,ca-certificates,curl,git,iproute2,iputils-ping,jq,less,netbase,nodejs,npm,openssh-sftp-server,procps,python3,python3-pip,python3-venv,vim-tiny
