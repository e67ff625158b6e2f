"""Ways out through the kernel: mounts, devices, namespaces, other processes, and calls that administer it."""

import ctypes
import glob
import os
import socket
import stat
import struct

from attempt import FACTS, ON_X86, Escaped, attempt, call, each_fails, fails, libc, raw

MOUNTS = "mounts"
DEVICES = "devices"
PROCESSES = "processes of others"
KERNEL = "the kernel"
NAMESPACES = "namespaces and cgroups"


def mount(source, kind, flags=0, data=None):
    def action():
        os.makedirs("/tmp/mnt", exist_ok=True)
        call("mount", source.encode(), b"/tmp/mnt", kind and kind.encode(), flags, data and data.encode())

    return action


MS_BIND, MS_REMOUNT, MS_MOVE, MS_REC, MS_PRIVATE = 4096, 32, 8192, 16384, 1 << 18
for title, parts in {
    "mount a fresh proc": ("proc", "proc"),
    "mount sysfs": ("sysfs", "sysfs"),
    "mount tmpfs": ("tmpfs", "tmpfs"),
    "mount debugfs": ("debugfs", "debugfs"),
    "bind-mount the root elsewhere": ("/", None, MS_BIND | MS_REC),
    "move /proc away": ("/proc", None, MS_MOVE),
    "make mounts private": ("none", None, MS_PRIVATE | MS_REC),
    "remount /proc/sys writable": ("/proc/sys", None, MS_REMOUNT | MS_BIND),
    "mount an overlay": ("overlay", "overlay", 0, "lowerdir=/etc,upperdir=/tmp,workdir=/srv"),
    "mount a cgroup of version 1, for its release_agent": ("cgroup", "cgroup", 0, "memory"),
    "mount the cgroups of version 2": ("cgroup2", "cgroup2"),
    "mount a disk of the host": ("/dev/sda", "ext4"),
    "mount binfmt_misc": ("binfmt_misc", "binfmt_misc"),
}.items():
    attempt(MOUNTS, title, harmless_to_own_kernel="move" not in title)(mount(*parts))


@attempt(MOUNTS, "mount by the newer calls (fsopen, fspick, open_tree, move_mount, mount_setattr)")
def _():
    calls = {"fsopen": (b"proc", 0), "fspick": (-100, b"/", 0), "open_tree": (-100, b"/", 1), "move_mount": (-100, b"/proc", -100, b"/tmp", 0), "mount_setattr": (-100, b"/", 0, ctypes.create_string_buffer(32), 32)}
    return each_fails(calls, lambda name: call(name, *calls[name]))


@attempt(MOUNTS, "unmount what is masked in /proc", harmless_to_own_kernel=False)
def _():
    return each_fails(["/proc/kcore", "/proc/sys", "/proc/sysrq-trigger", "/proc"], lambda path: call("umount2", path.encode(), 2))


@attempt(MOUNTS, "pivot_root")
def _():
    call("pivot_root", b"/", b"/tmp")


@attempt(MOUNTS, "leave a chroot into the host's root")
def _():
    os.makedirs("/tmp/jail", exist_ok=True)
    outside = os.open("/", os.O_RDONLY)
    os.chroot("/tmp/jail")
    os.fchdir(outside)
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")
    return canary_absent()


@attempt(MOUNTS, "leave through /proc/<pid>/root and cwd")
def _():
    for path in glob.glob("/proc/[0-9]*/root") + glob.glob("/proc/[0-9]*/cwd") + glob.glob("/proc/[0-9]*/fd/*"):
        for up in ("", "/../../../../.."):
            if os.path.exists(f"{path}{up}{FACTS['canary']}"):
                raise Escaped(path)
    return "all lead into the sandbox"


def canary_absent():
    if os.path.exists(FACTS["canary"]):
        raise Escaped("a file of the host is there")
    return "its root is all there is above"


def device(kind, major, minor, mode=os.O_RDONLY):
    """Makes a device node and opens it."""
    path = f"/root/dev-{major}-{minor}"
    os.mknod(path, kind | 0o600, os.makedev(major, minor))
    try:
        os.close(os.open(path, mode))
    finally:
        os.unlink(path)


@attempt(DEVICES, "make a node for a disk of the host and read it")
def _():
    # Of SCSI, virtio, NVMe, loop and device mapper, and whatever the host has.
    numbers = {(8, 0), (8, 1), (254, 0), (253, 0), (252, 0), (259, 0), (7, 0), (7, 1)} | {tuple(pair) for pair in FACTS["disks"]}
    return each_fails(sorted(numbers), lambda number: device(stat.S_IFBLK, *number))


@attempt(DEVICES, "make nodes for memory, ports, kmsg, KVM, FUSE, TUN, loop-control and userfaultfd")
def _():
    numbers = [(1, 1), (1, 2), (1, 4), (1, 11), (10, 232), (10, 229), (10, 200), (10, 237), (10, 126), (10, 235), (10, 234)]
    return each_fails(numbers, lambda number: device(stat.S_IFCHR, *number))


@attempt(DEVICES, "find a device of the host in /dev")
def _():
    usual = {"null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"}
    found = []
    for directory, _, names in os.walk("/dev"):
        for name in names:
            mode = os.lstat(os.path.join(directory, name)).st_mode
            if (stat.S_ISBLK(mode) or stat.S_ISCHR(mode)) and name not in usual and not directory.startswith("/dev/pts"):
                found.append(name)
    if found:
        raise Escaped(", ".join(found))
    return "only null, zero, full, random, urandom, tty and terminals"


@attempt(DEVICES, "read kernel memory through /proc/kcore")
def _():
    with open("/proc/kcore", "rb") as file:
        return None if file.read(64) else "it is empty"


@attempt(DEVICES, "change the host's null device")
def _():
    return each_fails(["/dev/null", "/dev/zero", "/dev/tty"], lambda path: os.chmod(path, 0o600))


def host_pids():
    return [pid for pid in FACTS["pids"] if pid > 1]


@attempt(PROCESSES, "signal processes of the host by their numbers")
def _():
    return each_fails(host_pids(), lambda pid: os.kill(pid, 0))


@attempt(PROCESSES, "attach to processes of the host (ptrace)")
def _():
    return each_fails(host_pids(), lambda pid: call("ptrace", 16, pid, 0, 0))


@attempt(PROCESSES, "read and write memory of the host's processes (process_vm_readv)")
def _():
    class Vec(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]

    buffer = ctypes.create_string_buffer(64)
    vec = Vec(ctypes.addressof(buffer), 64)
    ways = [(name, pid) for name in ("process_vm_readv", "process_vm_writev") for pid in host_pids()]
    return each_fails(ways, lambda way: call(way[0], way[1], ctypes.byref(vec), 1, ctypes.byref(vec), 1, 0))


@attempt(PROCESSES, "hold processes of the host (pidfd_open) and take their descriptors (pidfd_getfd)")
def _():
    each_fails(host_pids(), lambda pid: call("pidfd_open", pid, 0))
    own = call("pidfd_open", os.getpid(), 0)
    call("pidfd_getfd", own, 0, 0)


@attempt(PROCESSES, "see processes of the host in /proc")
def _():
    text = ""
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            text += open(path, "rb").read().decode(errors="replace")
        except OSError:
            pass
    if "magsd/src/main.ts" in text or "postgres" in text:
        raise Escaped("the daemon is seen")
    return "its own processes only"


@attempt(PROCESSES, "compare and move others' memory (kcmp, move_pages, process_madvise)")
def _():
    return each_fails(["kcmp", "move_pages", "process_madvise"], lambda name: call(name, 1, 1, 0, 0, 0, 0))


@attempt(PROCESSES, "make itself immune to the out-of-memory killer")
def _():
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("-1000")


for title, (name, args) in {
    "load a kernel module (init_module)": ("init_module", (b"\x7fELF", 4, b"")),
    "load a kernel module from a file (finit_module)": ("finit_module", (0, b"", 0)),
    "boot another kernel (kexec_load)": ("kexec_load", (0, 0, None, 0)),
    "boot another kernel from a file (kexec_file_load)": ("kexec_file_load", (0, 0, 0, None, 0)),
    "load a program into the kernel (bpf)": ("bpf", (5, ctypes.create_string_buffer(72), 72)),
    "measure the kernel (perf_event_open)": ("perf_event_open", (ctypes.create_string_buffer(struct.pack("II", 1, 112) + bytes(104)), -1, 0, -1, 0)),
    "io_uring": ("io_uring_setup", (4, ctypes.create_string_buffer(120))),
    "stop page faults (userfaultfd)": ("userfaultfd", (0,)),
    "keyrings (keyctl)": ("keyctl", (0, -3, 0)),
    "keyrings (add_key)": ("add_key", (b"user", b"name", b"x", 1, -3)),
    "keyrings (request_key)": ("request_key", (b"user", b"name", None, 0)),
    "secret memory (memfd_secret)": ("memfd_secret", (0,)),
    "watch all files (fanotify)": ("fanotify_init", (0, 0)),
    "swap to a file": ("swapon", (b"/root/x", 0)),
    "process accounting": ("acct", (b"/root/x",)),
    "set the clock": ("clock_settime", (0, ctypes.create_string_buffer(16))),
    "read the kernel's log (syslog)": ("syslog", (3, ctypes.create_string_buffer(4096), 4096)),
    "disk quotas": ("quotactl", (0x80000101, b"/dev/loop0", 0, None)),
}.items():
    attempt(KERNEL, title)(lambda name=name, args=args: (call(name, *args), None)[1])


@attempt(KERNEL, "reboot", harmless_to_own_kernel=False)
def _():
    call("reboot", 0xFEE1DEAD, 672274793, 0x01234567, None)


@attempt(KERNEL, "open a file by its handle (shocker)")
def _():
    handle = ctypes.create_string_buffer(struct.pack("Iii", 8, 1, 2) + bytes(64))
    each_fails([0], lambda _: call("name_to_handle_at", -100, b"/", handle, ctypes.byref(ctypes.c_int()), 0))
    root = os.open("/", os.O_RDONLY)
    call("open_by_handle_at", root, handle, 0)


@attempt(KERNEL, "forbidden calls through the 32-bit entry and the x32 numbers")
def _():
    if not ON_X86:
        return "there are none on this processor"
    names = {"mount": 21, "init_module": 128, "unshare": 310, "setns": 346, "bpf": 357, "keyctl": 288}
    each_fails(names, lambda name: entry32(names[name]))
    return each_fails([165, 175, 272, 308, 321], lambda number: raw(0x40000000 + number, 0, 0, 0, 0, 0))


def entry32(number):
    import mmap

    # mov eax, number; zero the arguments; int 0x80; ret
    code = b"\x53\xb8" + struct.pack("I", number) + b"\x31\xdb\x31\xc9\x31\xd2\x31\xf6\x31\xff\xcd\x80\x5b\xc3"
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    result = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
    if result < 0:
        raise OSError(-result, os.strerror(-result))


@attempt(KERNEL, "write kernel settings below /proc/sys")
def _():
    return nothing_writable("/proc/sys")


@attempt(KERNEL, "write below /proc: sysrq-trigger, irq, bus, fs and the rest", harmless_to_own_kernel=False)
def _():
    # Links there lead to what is its own, as /proc/mounts does.
    top = [path for path in glob.glob("/proc/*") if os.path.isfile(path) and not os.path.islink(path)]
    each_fails(top, lambda path: os.close(os.open(path, os.O_WRONLY)))
    return nothing_writable(*(f"/proc/{name}" for name in ("irq", "bus", "fs", "driver", "tty", "scsi", "acpi")))


@attempt(KERNEL, "set core_pattern, modprobe or uevent_helper to a program", harmless_to_own_kernel=False)
def _():
    paths = ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/sys/kernel/uevent_helper", "/proc/sys/kernel/hotplug", "/proc/sys/fs/binfmt_misc/register"]
    return each_fails(paths, lambda path: open(path, "w").write("|/root/payload"))


@attempt(KERNEL, "write below /sys")
def _():
    return nothing_writable("/sys")


def nothing_writable(*directories):
    def opened(path):
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))

    trees = [tree for directory in directories for tree in os.walk(directory)]
    paths = [os.path.join(where, name) for where, _, names in trees for name in names]
    return each_fails(paths, opened)


@attempt(KERNEL, "sockets of families that the kernel seldom needs")
def _():
    usual = {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK}
    found = []
    for family in range(1, 50):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            if family not in usual and not fails(lambda f=family, k=kind: socket.socket(f, k).close()):
                found.append(family)
    if found:
        raise Escaped(f"families {sorted(set(found))}")
    return "only UNIX, IPv4, IPv6 and netlink"


FLAGS = {"mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000, "time": 0x80}


@attempt(NAMESPACES, "make namespaces (unshare)")
def _():
    return each_fails(FLAGS, lambda name: call("unshare", FLAGS[name]))


@attempt(NAMESPACES, "make namespaces with a process (clone)")
def _():
    number = 56 if ON_X86 else 220

    def clone(name):
        child = raw(number, FLAGS[name] | 17, 0, 0, 0, 0)
        if child == 0:
            os._exit(0)

    return each_fails([name for name in FLAGS if name != "time"], clone)


@attempt(NAMESPACES, "make namespaces with a process (clone3)")
def _():
    def clone(name):
        arguments = ctypes.create_string_buffer(struct.pack("QQQQQQQQ", FLAGS[name], 0, 0, 0, 17, 0, 0, 0))
        if call("clone3", arguments, 64) == 0:
            os._exit(0)

    return each_fails(FLAGS, clone)


@attempt(NAMESPACES, "enter namespaces of others (setns)")
def _():
    own = [os.open(path, os.O_RDONLY) for path in glob.glob("/proc/1/ns/*")]
    return each_fails(own + [call("pidfd_open", 1, 0)], lambda fd: call("setns", fd, 0))


@attempt(NAMESPACES, "reach the host's namespaces from its own (NS_GET_USERNS, NS_GET_PARENT)")
def _():
    import fcntl

    ways = [(f"/proc/self/ns/{name}", number) for name, number in (("net", 0xB701), ("user", 0xB701), ("user", 0xB702), ("pid", 0xB702))]
    return each_fails(ways, lambda way: fcntl.ioctl(os.open(way[0], os.O_RDONLY), way[1]))


@attempt(NAMESPACES, "write its own id maps anew")
def _():
    return each_fails(["uid_map", "gid_map", "setgroups"], lambda name: os.write(os.open(f"/proc/self/{name}", os.O_WRONLY), b"0 0 4294967295\n"))


@attempt(NAMESPACES, "take capabilities it was not given")
def _():
    held = int([line for line in open("/proc/self/status") if line.startswith("CapBnd")][0].split()[1], 16)
    # NET_ADMIN, NET_RAW, SYS_MODULE, SYS_RAWIO, SYS_PTRACE, SYS_ADMIN, SYS_BOOT, SYS_TIME, MKNOD, BPF, DAC_READ_SEARCH
    wanted = (12, 13, 16, 17, 19, 21, 22, 25, 27, 39, 2)
    taken = [number for number in wanted if held >> number & 1]
    if taken:
        raise Escaped(f"capabilities {taken}")

    def raised(number):
        header = ctypes.create_string_buffer(struct.pack("Ii", 0x20080522, 0))
        sets = [0, 0, 0, 0, 0, 0]
        for which in range(2):
            sets[which + 3 * (number // 32)] |= 1 << number % 32
        data = ctypes.create_string_buffer(struct.pack("6I", *sets))
        if libc.capset(header, data) != 0:
            raise OSError(ctypes.get_errno() or 1, "capset")

    return each_fails(wanted, raised)


@attempt(NAMESPACES, "write to its cgroups")
def _():
    found = [path for path in glob.glob("/sys/fs/cgroup/**", recursive=True) if os.path.isfile(path)]
    return each_fails(found, lambda path: os.close(os.open(path, os.O_WRONLY)))
