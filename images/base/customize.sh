#!/bin/sh
# Last touches to the unpacked root ($1): files of ours ($2), and what must not be the same in every machine goes.
set -eu
root=$1
cp -R "$2"/. "$root"/
chmod 755 "$root/usr/local/bin/apk"
mkdir -p "$root/run/mags" "$root/root"
# Certificate authorities that the operator added to this host: where it trusts a proxy or mirror, sandboxes can too.
if ls /usr/local/share/ca-certificates/*.crt >/dev/null 2>&1; then
  cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
  chroot "$root" update-ca-certificates >/dev/null
fi
# The machine belongs to the script alone, so pip may install beside Debian's packages.
rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
rm -f "$root"/etc/machine-id "$root"/etc/ssh/ssh_host_* "$root"/var/lib/dbus/machine-id
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/* "$root"/tmp/* "$root"/run/*
mkdir -p "$root/run/mags" "$root/run/lock" "$root/var/cache/apt/archives/partial" "$root/var/lib/apt/lists/partial"
: >"$root/etc/machine-id"
rm -f "$root/etc/resolv.conf" && : >"$root/etc/resolv.conf"
echo sandbox >"$root/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
[ -e "$root/usr/bin/vim" ] || ln -sf vim.tiny "$root/usr/bin/vi" 2>/dev/null || true
