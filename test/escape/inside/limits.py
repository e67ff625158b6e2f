"""Taking more than its share: of memory, terminals, connections, files, threads. Each must end in an error, at the sandbox's own limit."""

import errno
import os
import resource
import socket
import threading

from attempt import FACTS, Escaped, attempt, fails

LIMITS = "limits"


def until_error(take, most):
    """Takes until it fails; `most` is more than a sandbox may have."""
    for _ in range(most):
        error = fails(take)
        if error:
            return error
    raise Escaped(f"{most} were given")


def no_descriptor_limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@attempt(LIMITS, "take all terminals of the machine")
def _():
    no_descriptor_limit()
    return until_error(lambda: os.open("/dev/ptmx", os.O_RDWR), 1000)


@attempt(LIMITS, "hold more memory than its limit in buffers of sockets")
def _():
    def held():
        lines = dict(line.split(": ", 1) for line in open("/proc/net/sockstat").read().splitlines())
        words = " ".join(lines.values()).split()
        return sum(int(words[at + 1]) for at, word in enumerate(words) if word == "mem") * os.sysconf("SC_PAGESIZE")

    no_descriptor_limit()
    before, keep = held(), []
    for _ in range(5000):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind(("127.0.0.1", 0))
        keep.append(receiver)
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for _ in range(4):
            if fails(sender.sendto, b"x" * 60000, receiver.getsockname()):
                break
        sender.close()
    if held() - before > FACTS["memory"]:
        raise Escaped(f"{held() - before} bytes")
    return "what is over its share is dropped"


@attempt(LIMITS, "take all descriptors")
def _():
    no_descriptor_limit()
    return until_error(lambda: os.open("/dev/null", os.O_RDONLY), 2_000_000)


@attempt(LIMITS, "take all process numbers with threads")
def _():
    waiting = threading.Event()

    def start():
        try:
            threading.Thread(target=waiting.wait, daemon=True).start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, str(error)) from error

    threading.stack_size(64 * 1024)
    return until_error(start, 5000)


@attempt(LIMITS, "use up inodes")
def _():
    os.makedirs("/root/inodes", exist_ok=True)
    names = iter(range(10_000_000))
    try:
        return until_error(lambda: os.close(os.open(f"/root/inodes/{next(names)}", os.O_CREAT | os.O_WRONLY)), 5_000_000)
    finally:
        for entry in os.scandir("/root/inodes"):
            os.unlink(entry)


@attempt(LIMITS, "fill /dev and /dev/shm")
def _():
    errors = set()
    for path in ("/dev/fill", "/dev/shm/fill"):
        fd = os.open(path, os.O_CREAT | os.O_WRONLY)
        errors.add(until_error(lambda fd=fd: os.write(fd, bytes(1 << 20)), 1000))
        os.unlink(path)
    return ", ".join(sorted(errors))


@attempt(LIMITS, "start a program with endless arguments")
def _():
    os.execv("/bin/true", ["true"] + ["x" * 100_000] * 200)


@attempt(LIMITS, "make a file larger than its disk can address")
def _():
    with open("/root/sparse", "wb") as file:
        return until_error(lambda: file.truncate(1 << 62), 1)


@attempt(LIMITS, "raise its limits or its priority")
def _():
    def raised():
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 31, 1 << 31))
        except ValueError as error:
            raise OSError(errno.EPERM, str(error)) from error

    errors = {
        fails(raised),
        fails(os.nice, -5) if os.getpriority(os.PRIO_PROCESS, 0) == 0 else "EACCES",
        fails(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(50)),
    }
    if "" in errors:
        raise Escaped("one was raised")
    return ", ".join(sorted(errors))
