#!/bin/sh
# Builds what every virtual machine boots into <image dir>/.vm: Debian's cloud kernel, unpacked and not installed, and a
# small first file system of Debian's binaries and the scripts in guest/. Does nothing when it is up to date.
# Usage: images/vm/build.sh <image dir>
set -eu
images=$(realpath -m "$1")
here=$(cd "$(dirname "$0")" && pwd)
out=$images/.vm
fail() { printf 'error: %s\n' "$1" >&2; exit 1; }

package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image/ { print $2; exit }')
recipe=$(cd "$here" && { find . -type f | LC_ALL=C sort | xargs sha256sum; dpkg-query -W busybox-static dropbear-bin perl-base catatonit libc6 e2fsprogs; } | sha256sum | cut -d' ' -f1)
up_to_date() { [ -f "$out/vm.json" ] && grep -q "\"recipe\": \"$recipe\"" "$out/vm.json" && { [ -z "$package" ] || grep -q "\"package\": \"$package\"" "$out/vm.json"; }; }
up_to_date && exit 0
# Without apt's word the kernel that is here will do.
[ -n "$package" ] || package=$(sed -n 's/.*"package": "\(.*\)".*/\1/p' "$out/vm.json" 2>/dev/null) || true
[ -n "$package" ] || fail "apt knows no linux-image-cloud-amd64: run apt-get update"
mkdir -p "$images"
# As for the base image, the lock ends with its last holder.
exec 8>"$images/.vm.lock"
flock 8
up_to_date && exit 0
rm -rf "$images"/.vm-*
work=$(mktemp -d "$images/.vm-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/vm"
if ! cp "$out/$package.deb" "$work/vm/" 2>/dev/null; then
  echo "  virtual machines: fetching $package" >&2
  (cd "$work" && apt-get download -q "$package") >"$work/log" 2>&1 || { tail -n 5 "$work/log" >&2; fail "$package could not be downloaded"; }
  mv "$work"/*.deb "$work/vm/$package.deb"
fi
dpkg-deb -x "$work/vm/$package.deb" "$work/kernel"
version=$(ls "$work/kernel/lib/modules")

root=$work/root
mkdir -p "$root/bin" "$root/sbin" "$root/etc" "$root/proc" "$root/sys" "$root/dev" "$root/run" "$root/root" "$root/modules"
cp "$here/guest/init" "$root/init"
cp "$here/guest/identify" "$here/guest/box" "$here/guest/box-init" "$here/guest/enter" "$here/guest/renew" "$here/guest/readdress" "$here/guest/rejoin" "$root/sbin/"
chmod 755 "$root/init" "$root/sbin"/*
cp /bin/busybox "$root/bin/busybox"
cp /usr/bin/catatonit "$root/bin/init"
cp /usr/sbin/dropbear /usr/bin/dropbearkey /usr/bin/perl /sbin/resize2fs "$root/bin/"
for program in dropbear dropbearkey perl resize2fs; do
  ldd "$root/bin/$program" | grep -o '/[^ ]*'
done | sort -u | while read -r library; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done
echo 'root:x:0:0:root:/root:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:' >"$root/etc/group"

# Modules in the order in which they are to be loaded, each after those that it needs.
depmod -b "$work/kernel" "$version"
for module in virtio_pci virtio_blk virtio_scsi sd_mod virtio_net pvpanic-pci erofs overlay; do
  modprobe -d "$work/kernel" -S "$version" --show-depends "$module" | awk '$1 == "insmod" { print $2 }'
done | awk '!seen[$0]++' | while read -r path; do
  cp "$path" "$root/modules/"
  basename "$path"
done >"$root/modules/order"

(cd "$root" && find . | LC_ALL=C sort | cpio -o -H newc --quiet -R 0:0) | gzip -9 >"$work/vm/initramfs.gz"
cp "$work/kernel/boot/vmlinuz-$version" "$work/vm/vmlinuz"
cat >"$work/vm/vm.json" <<JSON
{
  "kernel": "$version",
  "package": "$package",
  "recipe": "$recipe"
}
JSON
rm -rf "$out"
mv "$work/vm" "$out"
echo "  virtual machines: kernel $version is ready" >&2
