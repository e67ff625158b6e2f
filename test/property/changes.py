"""Random changes below /data, for a number of seconds or steps: changes.py <seed> <steps> <pause>"""

import os
import random
import shutil
import stat
import sys
import time

seed, steps, pause = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
chance = random.Random(seed)
ROOT = "/data"
os.makedirs(ROOT, exist_ok=True)


def entries(kind=lambda mode: True):
    found = []
    for place, directories, files in os.walk(ROOT):
        for name in directories + files:
            path = os.path.join(place, name)
            if kind(os.lstat(path).st_mode):
                found.append(path)
    return found


def some(kind):
    found = entries(kind)
    return chance.choice(sorted(found)) if found else None


def fresh():
    directories = [ROOT] + sorted(entries(stat.S_ISDIR))
    name = "%s%d" % (chance.choice(["a", "Ä ö", "with\nline", "-dash", "."]), chance.randrange(1000))
    return os.path.join(chance.choice(directories), name)


def content():
    size = chance.choice([0, 1, 100, 4096, 5000, 70000, 1 << 20, 3 << 20])
    return chance.randbytes(size) if chance.random() < 0.7 else b"x" * size


def create():
    path = fresh()
    if not os.path.lexists(path):
        with open(path, "wb") as file:
            file.write(content())


def append():
    path = some(stat.S_ISREG)
    if path:
        with open(path, "ab") as file:
            file.write(content())


def overwrite():
    path = some(stat.S_ISREG)
    if path:
        with open(path, "r+b") as file:
            file.seek(chance.randrange(os.path.getsize(path) + 1))
            file.write(content())


def truncate():
    path = some(stat.S_ISREG)
    if path:
        os.truncate(path, chance.randrange(2 * os.path.getsize(path) + 2))


def sparse():
    path = fresh()
    if not os.path.lexists(path):
        with open(path, "wb") as file:
            file.seek(chance.randrange(64 << 20))
            file.write(b"end")


def rename():
    path = some(lambda mode: True)
    target = some(stat.S_ISREG) if chance.random() < 0.3 else fresh()
    if path and target and not target.startswith(path + "/"):
        try:
            os.rename(path, target)
        except OSError:
            pass


def hard_link():
    path = some(stat.S_ISREG)
    target = fresh()
    if path and not os.path.lexists(target):
        os.link(path, target)


def symbolic_link():
    target = fresh()
    if not os.path.lexists(target):
        os.symlink(chance.choice(["/etc/passwd", "nowhere", "../up", some(lambda mode: True) or "x"]), target)


def attribute():
    path = some(stat.S_ISREG)
    if path:
        os.setxattr(path, "user.test%d" % chance.randrange(3), chance.randbytes(chance.choice([0, 10, 500])))


def owner():
    path = some(lambda mode: True)
    if path:
        os.lchown(path, chance.randrange(65000), chance.randrange(65000))


def mode():
    path = some(lambda mode: not stat.S_ISLNK(mode))
    if path:
        os.chmod(path, chance.choice([0o000, 0o600, 0o755, 0o4755, 0o2770, 0o1777]))


def times():
    path = some(stat.S_ISREG)
    if path:
        os.utime(path, ns=(chance.randrange(1 << 60), chance.randrange(1 << 60)))


def directory():
    path = fresh()
    if not os.path.lexists(path):
        os.mkdir(path)


def remove():
    path = some(lambda mode: True)
    if path and stat.S_ISDIR(os.lstat(path).st_mode):
        shutil.rmtree(path)
    elif path:
        os.unlink(path)


def image():
    """Files that come from the image: changed, deleted, made again."""
    path = chance.choice(["/etc/services", "/etc/motd", "/etc/hosts.allow"])
    if os.path.lexists(path) and chance.random() < 0.4:
        os.unlink(path)
    else:
        with open(path, "ab") as file:
            file.write(chance.randbytes(chance.randrange(10000)))


makers = [create, create, create, append, overwrite, truncate, sparse, rename, rename, hard_link, symbolic_link]
others = [attribute, owner, mode, times, directory, remove, image]
for step in range(steps):
    chance.choice(makers + others)()
    if len(entries()) > 150 or shutil.disk_usage(ROOT).free < 300 << 20:
        remove()
        remove()
        remove()
    time.sleep(pause)
