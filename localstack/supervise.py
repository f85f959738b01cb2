"""Starts the servers of the local stack and sees to it that none outlives the program that asked for them.

Commands come in as JSON lines on standard input, reports go out as JSON lines on standard output:

    {"start": {"name", "argv", "env", "cwd", "log", "stop_signal", "grace", "user", "group"}}
        -> {"started": name, "pid": n} or {"failed": name, "error": text}
    {"stop": name}    the process's own stop signal, SIGKILL after `grace` seconds
    {"kill": name}    SIGKILL at once
        -> {"exited": name, "code": n}, also when a process ends by itself; negative: the signal that ended it
    {"remove": path}  a directory to delete when all is over

The end of standard input means that the parent is gone, however it went: every process is stopped, then this one ends.
Standard library only: it runs before any package is installed.
"""

import fcntl
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1

try:
    import ctypes

    PRCTL = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None
except (ImportError, OSError, AttributeError):
    PRCTL = None


def report(**message):
    try:
        os.write(1, (json.dumps(message) + "\n").encode())
    except OSError:
        pass  # The parent is gone; standard input says so too.


def children_of(parent):
    """The process ids of the children; on a system without /proc, none."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else []):
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                # The name, in brackets, may hold anything; after it come the state and the parent.
                if int(file.read().rpartition(b")")[2].split()[1]) == parent:
                    found.append(int(pid))
        except (OSError, IndexError):
            pass  # It has just ended.
    return found


class Child:
    def __init__(self, spec):
        self.stop_signal = signal.Signals[spec["stop_signal"]]
        self.grace = spec["grace"]
        self.deadline = None
        supervisor = os.getpid()

        def follow_the_supervisor():
            # The kernel forgets this setting when the user changes, so it comes after the switch.
            if PRCTL is not None:
                PRCTL(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
                if os.getppid() != supervisor:
                    os._exit(1)

        log = os.open(spec["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self.process = subprocess.Popen(
                spec["argv"],
                env=spec["env"],
                cwd=spec["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=0o077,
                user=spec["user"],
                group=spec["group"],
                extra_groups=None if spec["user"] is None else [],
                preexec_fn=follow_the_supervisor,
            )
        finally:
            os.close(log)

    def stop(self):
        if self.deadline is None:
            self.deadline = time.monotonic() + self.grace
            self.process.send_signal(self.stop_signal)

    def kill(self):
        """Kills the process group, which may have no member left, and children that made groups of their own.

        PostgreSQL's do, and one that is busy would not notice that its parent has gone.
        """
        for kill, number in [(os.killpg, self.process.pid)] + [(os.kill, pid) for pid in children_of(self.process.pid)]:
            try:
                kill(number, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass


class Supervisor:
    def __init__(self, wakeup):
        self.children = {}
        self.directories = []
        self.ending = False
        self.pending = b""
        self.wakeup = wakeup
        self.selector = selectors.DefaultSelector()
        self.selector.register(0, selectors.EVENT_READ)
        self.selector.register(wakeup, selectors.EVENT_READ)

    def run(self):
        while self.children or not self.ending:
            for key, _ in self.selector.select(self.time_left()):
                if key.fileobj == 0:
                    self.read_commands()
                elif b"%c" % signal.SIGTERM in os.read(self.wakeup, 4096):
                    self.end()
            self.reap()
            now = time.monotonic()
            for child in self.children.values():
                if child.deadline is not None and now >= child.deadline:
                    child.kill()
                    child.deadline = now + 1
        for path in self.directories:
            shutil.rmtree(path, ignore_errors=True)

    def time_left(self):
        deadlines = [child.deadline for child in self.children.values() if child.deadline is not None]
        return max(0, min(deadlines) - time.monotonic()) if deadlines else None

    def read_commands(self):
        data = os.read(0, 65536)
        if not data:
            self.end()
            return
        *lines, self.pending = (self.pending + data).split(b"\n")
        for line in lines:
            for verb, argument in json.loads(line).items():
                getattr(self, "on_" + verb)(argument)

    def on_start(self, spec):
        name = spec["name"]
        try:
            self.children[name] = Child(spec)
        except (OSError, subprocess.SubprocessError) as error:
            report(failed=name, error=str(error))
        else:
            report(started=name, pid=self.children[name].process.pid)

    def on_stop(self, name):
        if name in self.children:
            self.children[name].stop()

    def on_kill(self, name):
        if name in self.children:
            self.children[name].kill()

    def on_remove(self, path):
        self.directories.append(path)

    def reap(self):
        for name, child in list(self.children.items()):
            code = child.process.poll()
            if code is not None:
                child.kill()  # What it left behind.
                del self.children[name]
                report(exited=name, code=code)

    def end(self):
        if not self.ending:
            self.ending = True
            self.selector.unregister(0)
            for child in self.children.values():
                child.stop()


def main():
    # Its own session: an interrupt typed at the terminal reaches the parent only. Handlers that do nothing, not
    # SIG_IGN, which the servers would inherit.
    wakeup, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    os.setsid()
    # Held to the very end: the next stack on the same data waits here until the last server of this one is gone.
    lock = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    report(ready=os.getpid())
    supervisor = Supervisor(wakeup)
    try:
        supervisor.run()
    finally:
        for child in supervisor.children.values():
            child.kill()


main()
