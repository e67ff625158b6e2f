#!/bin/sh
# Last touches to the unpacked root ($1): files of ours from the recipe's directory ($2), npm from its archive ($3), and
# what must not be the same in every machine goes.
set -eu
root=$1
recipe=$2
cp -R "$recipe/files"/. "$root"/
chmod 755 "$root/usr/local/bin/apk"

npm=$root/usr/local/lib/node_modules/npm
mkdir -p "$npm"
tar -xzf "$3" -C "$npm" --strip-components=1 --no-same-owner --exclude=package/man --exclude=package/docs
cp "$recipe/npmrc" "$npm/npmrc"
for name in npm npx; do ln -s "../lib/node_modules/npm/bin/$name-cli.js" "$root/usr/local/bin/$name"; done

# Certificate authorities that the operator added to this host: where it trusts a proxy or mirror, sandboxes can too.
if ls /usr/local/share/ca-certificates/*.crt >/dev/null 2>&1; then
  cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
  chroot "$root" update-ca-certificates >/dev/null
fi

# pip.conf allows it to pip; this is for other installers that look at the marker.
rm -f "$root"/usr/lib/python3*/EXTERNALLY-MANAGED
# Links of the root lead through this host's /etc/alternatives when looked at from here, so they count as they are.
there() { [ -e "$1" ] || [ -L "$1" ]; }
there "$root/usr/bin/vi" || ln -s vim.tiny "$root/usr/bin/vi"
there "$root/usr/local/bin/python" || ln -s /usr/bin/python3 "$root/usr/local/bin/python"

rm -f "$root"/etc/ssh/ssh_host_* "$root"/var/lib/dbus/machine-id
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/* "$root"/tmp/* "$root"/run/*
# The directories that a machine's own mounts go on, and those that apt and ssh expect.
for dir in proc sys dev root run/lock var/cache/apt/archives/partial var/lib/apt/lists/partial var/log/apt; do
  mkdir -p "$root/$dir"
done
install -d -m 1777 "$root/tmp"
: >"$root/etc/machine-id"
rm -f "$root/etc/resolv.conf" && : >"$root/etc/resolv.conf"
echo sandbox >"$root/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
