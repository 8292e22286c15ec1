#!/usr/bin/env python3
"""A workload that says less than it does.

It prints that it formatted a report. Meanwhile it reads system files, writes,
renames and deletes, opens sockets, starts children and removes its traces:
what a recorder has to see although the program does not tell.

    sneaky.py [--confess FILE] [--network]

--confess FILE writes a JSON object of everything that was really done, the
writing of FILE included, so that a receipt can be compared with it both ways.
--network adds one attempt to reach an address off this machine (203.0.113.1,
which is set apart for documentation). Without it all traffic is on loopback.

Needs Python 3.7 and its standard library, no network and no privilege.
"""

import sys

# An import must not leave a .pyc behind: nothing would confess it.
sys.dont_write_bytecode = True

import argparse
import errno
import json
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading

OFF_MACHINE = ("203.0.113.1", 443)
CHURN_ROUNDS = 8
THREADS = 4

# Python as a child that reads no site packages and writes no bytecode.
PYTHON = [sys.executable, "-ISB"]

RESULTS = {
    0: "connected",
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.ETIMEDOUT: "timeout",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.EINPROGRESS: "in_progress",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
}


def spell(name):
    r"""Text of a name as a receipt spells it.

    Valid UTF-8 stands as it is. Otherwise each invalid byte is \xHH, and a
    backslash of the name is doubled.
    """
    raw = os.fsencode(name)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")


class Deeds:
    """Does things and remembers them. Safe to use from threads."""

    def __init__(self, root):
        self.root = root
        self.lock = threading.Lock()
        self.read_files = set()
        self.written_files = set()
        self.deleted = set()
        self.created = []
        self.renamed = []
        self.failed = []
        self.attempts = {}
        self.listens = []
        self.accepts = []
        self.children = []
        self.forks = []
        self.exec_failures = []

    def at(self, *parts):
        return os.path.join(self.root, *parts)

    # Files

    def opened(self, path, readable, writable):
        """An open has succeeded. path is where the file really is."""
        with self.lock:
            if readable:
                self.read_files.add(spell(path))
            if writable:
                self.written_files.add(spell(path))

    def refused(self, op, path, err):
        with self.lock:
            self.failed.append(
                {"op": op, "path": spell(path), "errno": errno.errorcode[err.errno]}
            )

    def made(self, path, kind, target=None):
        with self.lock:
            self.created.append(
                {"path": spell(path), "kind": kind, "target": target and spell(target)}
            )

    def read(self, path):
        """Reads a file that may be missing or forbidden."""
        try:
            with open(path, "rb") as f:
                data = f.read()
        except OSError as err:
            self.refused("open", os.path.abspath(path), err)
            return b""
        self.opened(os.path.realpath(path), True, False)
        return data

    def write(self, path, data, mode="wb"):
        """Writes a file. path may be relative or lead over a symbolic link."""
        new = not os.path.exists(path)
        with open(path, mode) as f:
            f.write(data)
        real = os.path.realpath(path)
        self.opened(real, "+" in mode, True)
        if new:
            self.made(real, "file")

    def mkdir(self, path):
        os.mkdir(path)
        self.made(path, "dir")

    def rename(self, old, new):
        os.replace(old, new)
        with self.lock:
            self.renamed.append({"from": spell(old), "to": spell(new)})

    def unlink(self, path, folder=None):
        """With folder, a descriptor, the kernel is told the last part alone."""
        if folder is None:
            os.unlink(path)
        else:
            os.unlink(os.path.basename(path), dir_fd=folder)
        with self.lock:
            self.deleted.add(spell(path))

    def rmdir(self, path):
        os.rmdir(path)
        with self.lock:
            self.deleted.add(spell(path))

    def expect_failure(self, op, call, path, *rest):
        try:
            call(path, *rest)
        except OSError as err:
            self.refused(op, path, err)

    # Network

    def attempted(self, dst, protocol, result):
        with self.lock:
            key = (dst, protocol, result)
            self.attempts[key] = self.attempts.get(key, 0) + 1

    def listening(self, addr, protocol):
        with self.lock:
            self.listens.append({"addr": addr, "protocol": protocol})

    def accepted(self, src, addr, protocol):
        with self.lock:
            self.accepts.append({"src": src, "addr": addr, "protocol": protocol})

    # Processes

    def child(self, argv, image=None, kill=False):
        """Runs a child to its end. image is the argv that the kernel made."""
        try:
            # Popen returns only after the child's exec, so a kill cannot
            # come before the child has its argv.
            proc = subprocess.Popen(argv, stdout=subprocess.PIPE)
        except OSError as err:
            with self.lock:
                self.exec_failures.append(
                    {
                        "path": spell(argv[0]),
                        "argv": [spell(a) for a in argv],
                        "errno": errno.errorcode[err.errno],
                        # What subprocess ends the fork with, the exec of
                        # which failed.
                        "fork_exit_code": 255,
                    }
                )
            return
        if kill:
            proc.kill()
        proc.communicate()
        code = proc.returncode
        with self.lock:
            self.children.append(
                {
                    "pid": proc.pid,
                    "requested": spell(argv[0]),
                    "argv": [spell(a) for a in image or argv],
                    "exit_code": code if code >= 0 else None,
                    "signal": signal.Signals(-code).name if code < 0 else None,
                }
            )

    def forked(self, pid, code):
        with self.lock:
            self.forks.append({"pid": pid, "exit_code": code})

    def confession(self, claimed):
        """All of it. Lists are sorted where their order says nothing."""
        return {
            "claimed": claimed,
            "pid": os.getpid(),
            "root": spell(self.root),
            "read": sorted(self.read_files),
            "written": sorted(self.written_files),
            "deleted": sorted(self.deleted),
            "created": sorted(self.created, key=lambda c: c["path"]),
            "renamed": self.renamed,
            "failed": self.failed,
            "attempts": [
                {"dst": dst, "protocol": protocol, "result": result, "count": n}
                for (dst, protocol, result), n in sorted(self.attempts.items())
            ],
            "listens": self.listens,
            "accepts": self.accepts,
            "children": sorted(self.children, key=lambda c: c["pid"]),
            "forks": self.forks,
            "exec_failures": self.exec_failures,
        }


def look_around(do):
    """Reads what tells about the machine."""
    for path in (
        "/etc/hostname",
        "/etc/passwd",
        "/etc/os-release",  # most often a symbolic link
        "/etc/shadow",  # refused unless root
        "/proc/self/status",
        "/proc/self/cmdline",
        "/proc/meminfo",
    ):
        do.read(path)
    os.chdir("/etc")
    do.read("../proc/self/comm")
    os.chdir(do.root)


def write_things(do):
    do.write(do.at("notes.txt"), b"first\n")
    do.write(do.at("notes.txt"), b"second\n", "ab")
    do.write(do.at("notes.txt"), b"FIRST\n", "r+b")
    do.write("relative.txt", b"written by a relative name\n")
    do.write(do.at("with space\nand line.txt"), b"odd name\n")
    do.write(do.at("na\u00efve \u2615.txt"), b"UTF-8 name\n")

    os.symlink("notes.txt", do.at("alias"))
    do.made(do.at("alias"), "symlink", "notes.txt")
    do.write(do.at("alias"), b"through a link\n", "ab")
    os.link(do.at("notes.txt"), do.at("twin"))
    do.made(do.at("twin"), "hardlink", do.at("notes.txt"))
    os.mkfifo(do.at("pipe"))
    do.made(do.at("pipe"), "fifo")

    # A file system may refuse a name that is no UTF-8.
    latin1 = os.fsdecode(os.fsencode(do.root) + b"/caf\xe9.txt")
    try:
        do.write(latin1, b"Latin-1 name\n")
    except OSError as err:
        do.refused("open", latin1, err)

    do.expect_failure("open", os.open, do.at("missing.txt"), os.O_RDONLY)
    do.expect_failure("unlink", os.unlink, do.at("missing.txt"))
    do.expect_failure("rmdir", os.rmdir, do.root)
    do.expect_failure("rename", os.rename, do.at("missing.txt"), do.at("other.txt"))


def churn_folders(do):
    for i in range(CHURN_ROUNDS):
        old, new = do.at("round-%d" % i), do.at("round-%d-done" % i)
        do.mkdir(old)
        do.write(os.path.join(old, "scratch"), b"%d\n" % i)
        do.rename(old, new)
        do.unlink(os.path.join(new, "scratch"))
        do.rmdir(new)


def format_report(do):
    """The one thing that it owns up to."""
    report, draft = do.at("report.json"), do.at("report.json.new")
    text = json.dumps({"items": [1, 2, 3], "done": False})
    do.write(report, text.encode())
    items = json.loads(do.read(report).decode())
    items["done"] = True
    do.write(draft, json.dumps(items, indent=2).encode())
    do.rename(draft, report)


def endpoint(addr):
    return ("[%s]:%d" if ":" in addr[0] else "%s:%d") % addr[:2]


def settle(sock):
    """The error that an attempt in progress ends with, 0 for none."""
    _, writable, _ = select.select([], [sock], [], 0.3)
    if not writable:
        return errno.EINPROGRESS
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def tcp_attempt(do, family, addr, blocking=True):
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setblocking(blocking)
        err = sock.connect_ex(addr)
        if err == errno.EINPROGRESS:
            err = settle(sock)
    result = RESULTS.get(err, "failed")
    do.attempted(endpoint(addr), "tcp", result)
    return result


def tcp(do, family, host):
    """A listener that accepts, and a port that is taken but does not listen."""
    with socket.socket(family, socket.SOCK_STREAM) as server, socket.socket(
        family, socket.SOCK_STREAM
    ) as closed:
        try:
            server.bind((host, 0))
            closed.bind((host, 0))
        except OSError:
            # IPv6 is switched off: an attempt can be made all the same.
            tcp_attempt(do, family, (host, 9))
            return
        server.listen(8)
        server.settimeout(5)
        here = server.getsockname()[:2]
        do.listening(endpoint(here), "tcp")
        for blocking in (True, False):
            # Loopback may be down too.
            if tcp_attempt(do, family, here, blocking) == "connected":
                peer, src = server.accept()
                peer.close()
                do.accepted(endpoint(src), endpoint(here), "tcp")
            tcp_attempt(do, family, closed.getsockname()[:2], blocking)


def udp(do, family, host):
    """One peer that is connected to first, one that only gets a datagram."""
    for connect in (True, False):
        with socket.socket(family, socket.SOCK_DGRAM) as server, socket.socket(
            family, socket.SOCK_DGRAM
        ) as client:
            try:
                server.bind((host, 0))
            except OSError:
                return
            server.settimeout(5)
            here = server.getsockname()[:2]
            do.listening(endpoint(here), "udp")
            try:
                if connect:
                    client.connect(here)
                    client.send(b"ping")
                else:
                    client.sendto(b"ping", here)
                server.recv(16)
                result = "connected" if connect else "sent"
            except OSError as err:
                result = RESULTS.get(err.errno, "failed")
            do.attempted(endpoint(here), "udp", result)


def unix(do):
    """A named and an abstract socket, and a name that nobody has."""
    path = do.at("bus.sock")
    abstract = "glasshouse-demo-%d" % os.getpid()
    for addr, shown in ((path, path), ("\0" + abstract, "@" + abstract)):
        with socket.socket(socket.AF_UNIX) as server, socket.socket(
            socket.AF_UNIX
        ) as client:
            server.bind(addr)
            server.listen(1)
            do.listening("unix:" + shown, "unix")
            client.connect(addr)
            server.accept()[0].close()
            do.accepted("unix:", "unix:" + shown, "unix")
            do.attempted("unix:" + shown, "unix", "connected")
    do.made(path, "socket")

    # The listener is gone, its name is not.
    for name in (path, do.at("nobody.sock")):
        with socket.socket(socket.AF_UNIX) as client:
            err = client.connect_ex(name)
            do.attempted("unix:" + name, "unix", RESULTS.get(err, "failed"))


def call_home(do, off_machine):
    tcp(do, socket.AF_INET, "127.0.0.1")
    udp(do, socket.AF_INET, "127.0.0.1")
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError:
        pass  # a kernel without IPv6: there is nothing to attempt
    else:
        tcp(do, socket.AF_INET6, "::1")
        udp(do, socket.AF_INET6, "::1")
    unix(do)
    if off_machine:
        tcp_attempt(do, socket.AF_INET, OFF_MACHINE, blocking=False)


def run_children(do):
    odd = ["two words", "line\nbreak", "na\u00efve \u2615", "", os.fsdecode(b"\xff!")]
    do.child(PYTHON + ["-c", "pass"] + odd)
    do.child(PYTHON + ["-c", "raise SystemExit(3)"])
    do.child(PYTHON + ["-c", "import time; time.sleep(60)"], kill=True)
    do.child([do.at("no-such-helper"), "--quiet"])

    # A script: the kernel puts the interpreter of its first line in front.
    script = do.at("helper")
    first_line = "#!%s %s\n" % tuple(PYTHON)
    do.write(script, os.fsencode(first_line) + b"raise SystemExit(0)\n")
    os.chmod(script, stat.S_IRWXU)
    do.child([script, "--fix"], image=PYTHON + [script, "--fix"])


def fork_without_exec(do):
    """A child that stays Python, and its own child, which outlives it."""
    done, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(done)
            grandchild = os.fork()
            if grandchild == 0:
                with open(do.at("orphan.txt"), "wb") as f:
                    f.write(b"written by an orphan\n")
                os.write(tell, b"%d" % os.getpid())
                code = 0
            else:
                code = 7
        finally:
            os._exit(code)
    os.close(tell)
    _, status = os.waitpid(pid, 0)
    with os.fdopen(done, "rb") as f:
        orphan = int(f.read())
    do.opened(do.at("orphan.txt"), False, True)
    do.made(do.at("orphan.txt"), "file")
    do.forked(pid, os.WEXITSTATUS(status))
    do.forked(orphan, 0)


def run_threads(do):
    def work(i):
        path = do.at("thread-%d.txt" % i)
        do.write(path, b"by a thread\n")
        do.read(path)
        do.unlink(path)
        if i == 0:
            do.child(PYTHON + ["-c", "pass", "from a thread"])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(THREADS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def delete_traces(do):
    folder = os.open(do.root, os.O_RDONLY | os.O_DIRECTORY)
    do.opened(do.root, True, False)
    do.unlink(do.at("relative.txt"), folder)
    os.close(folder)
    for name in sorted(os.listdir(do.root)):
        do.unlink(do.at(name))
    os.chdir("/")
    do.rmdir(do.root)


def main():
    parser = argparse.ArgumentParser(
        description="A workload that says less than it does."
    )
    parser.add_argument(
        "--confess", metavar="FILE", help="write what was really done to FILE, as JSON"
    )
    parser.add_argument(
        "--network",
        action="store_true",
        help="try to reach %s as well; all else stays on loopback" % OFF_MACHINE[0],
    )
    args = parser.parse_args()
    confess = args.confess and os.path.realpath(args.confess)

    # Without dir, tempfile tries the folder out with a file of its own, the
    # name of which it does not tell.
    base = os.environ.get("TMPDIR") or "/tmp"
    root = os.path.realpath(tempfile.mkdtemp(prefix="sneaky-", dir=base))
    do = Deeds(root)
    do.made(root, "dir")
    try:
        look_around(do)
        write_things(do)
        churn_folders(do)
        format_report(do)
        fork_without_exec(do)
        call_home(do, args.network)
        run_children(do)
        run_threads(do)
        delete_traces(do)
    except BaseException:
        shutil.rmtree(root, ignore_errors=True)
        raise

    claimed = ["formatted a report", "nothing to see here"]
    print("\n".join(claimed))
    if confess:
        if not os.path.exists(confess):
            do.made(confess, "file")
        do.opened(confess, False, True)
        with open(confess, "w", encoding="utf-8") as f:
            json.dump(do.confession(claimed), f, indent=2)
            f.write("\n")


if __name__ == "__main__":
    main()
