"""What attempts have in common. Each runs in a process of its own and prints one line of JSON: how it went, and what stopped it."""

import ctypes
import errno
import json
import os
import platform
import select
import signal
import sys
import traceback

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
ATTEMPTS = []
# What the test knows of the host and of the neighbour.
FACTS = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
SECONDS = 60
ON_X86 = platform.machine() == "x86_64"
NUMBERS = {
    # name: (x86_64, arm64)
    "acct": (163, 89), "add_key": (248, 217), "bpf": (321, 280), "clock_settime": (227, 112), "clone3": (435, 435),
    "fanotify_init": (300, 262), "finit_module": (313, 273), "fsopen": (430, 430), "fspick": (433, 433),
    "init_module": (175, 105), "io_uring_setup": (425, 425), "kcmp": (312, 272), "kexec_file_load": (320, 294),
    "kexec_load": (246, 104), "keyctl": (250, 219), "memfd_secret": (447, 447), "mount": (165, 40),
    "mount_setattr": (442, 442), "move_mount": (429, 429), "move_pages": (279, 239), "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265), "open_tree": (428, 428), "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438), "pidfd_open": (434, 434), "pivot_root": (155, 41), "process_madvise": (440, 440),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117), "quotactl": (179, 60),
    "reboot": (169, 142), "request_key": (249, 218), "setns": (308, 268), "swapon": (167, 224),
    "syslog": (103, 116), "umount2": (166, 39), "unshare": (272, 97), "userfaultfd": (323, 282),
}


class Escaped(Exception):
    """It worked, and this is what it gave."""


def attempt(group, name, harmless_to_own_kernel=True):
    """An attempt that comes to its end without an answer has worked; an answer says what stopped it, as an OSError does."""

    def note(action):
        ATTEMPTS.append((group, name, harmless_to_own_kernel, action))
        return action

    return note


def call(name, *args):
    """A system call by its number; the C library knows not all, and may know better."""
    return raw(NUMBERS[name][0 if ON_X86 else 1], *args)


def raw(number, *args):
    ctypes.set_errno(0)
    result = libc.syscall(*[ctypes.c_long(a) if isinstance(a, int) else a for a in (number, *args)])
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def fails(action, *args):
    """The name of the error that `action` ends with; empty when it works."""
    try:
        action(*args)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
    return ""


def each_fails(things, action):
    """All of them must fail; answers the errors, each once."""
    seen = {}
    for thing in things:
        error = fails(action, thing)
        if not error:
            raise Escaped(f"{thing} worked")
        seen[error] = thing
    return ", ".join(sorted(seen)) or "there is nothing of the kind"


def run(groups, own_kernel):
    for group, name, harmless, action in ATTEMPTS:
        if group in groups and (harmless or not own_kernel):
            print(json.dumps({"group": group, "name": name, **apart(action)}), flush=True)


def apart(action):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.setpgid(0, 0)
        os.write(writer, json.dumps(judged(action)).encode()[:4000])
        os._exit(0)
    os.close(writer)
    try:
        ready, _, _ = select.select([reader], [], [], SECONDS)
        said = os.read(reader, 4096) if ready else b""
        if not ready:
            return {"stopped": False, "by": f"it hung for {SECONDS} s"}
        return json.loads(said) if said else {"stopped": True, "by": died(child)}
    finally:
        os.close(reader)
        try:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
        except OSError:
            pass


def died(child):
    _, status = os.waitpid(child, 0)
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "its process ended"


def judged(action):
    try:
        by = action()
        return {"stopped": by is not None, "by": by or "nothing"}
    except OSError as error:
        return {"stopped": True, "by": errno.errorcode.get(error.errno, str(error))}
    except Escaped as error:
        return {"stopped": False, "by": str(error)}
    except Exception:
        return {"stopped": False, "by": "the attempt is broken: " + traceback.format_exc()[-600:]}
