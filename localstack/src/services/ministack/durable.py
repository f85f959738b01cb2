"""What MiniStack would forget: all of its state when it is killed, and the records of streams whenever it stops.

MiniStack writes its state at an orderly end. Here it is also written soon after a change, by a copy of the process (`fork`): so
it is of one moment between two requests, and nothing waits for it. The records of DynamoDB's streams are written with it.
"""

import asyncio
import copy
import fcntl
import os
import signal
import time
import warnings

import ministack.app
from ministack.core import persistence
from ministack.core.responses import AccountRegionScopedDict
from ministack.services import dynamodb

# What changes nothing; whoever waits for messages would cause a copy after the other.
READS = ("BatchGet", "Describe", "Get", "List", "Query", "Receive", "Scan", "TransactGet")
# Seconds from a change until it is written, or ten times what the last copy took: it has a tenth of a core at most.
PAUSE = 1.0
# After so many seconds something is wrong with a copy.
LONGEST = 120
# Of each stream so many of the newest records: readers are seldom further behind.
MOST_RECORDS = 2_000

serve = ministack.app.app
save_in_order = ministack.app.save_all
tables_state, restore_tables = dynamodb.get_state, dynamodb.load_persisted_state


class Copies:
    """The copies of this process that write its state, one at a time."""

    def __init__(self):
        self.changed = False
        self.planned = None
        self.child = None
        self.began = 0.0
        self.took = 0.0

    def note_change(self):
        """Has the state written soon."""
        self.changed = True
        if self.planned is None and self.child is None:
            self.plan()

    def plan(self):
        pause = max(PAUSE, 10 * self.took)
        self.planned = asyncio.get_running_loop().call_later(pause, self.begin)

    def begin(self):
        self.planned, self.changed, self.began = None, False, time.monotonic()
        with warnings.catch_warnings():
            # Other threads are not copied. The copy needs none of them.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.child = os.fork()
        if self.child == 0:
            write_and_exit()
        asyncio.get_running_loop().call_later(0.05, self.look)

    def look(self):
        """Sees whether the copy has ended."""
        if self.child is None:
            return
        if os.waitpid(self.child, os.WNOHANG) == (0, 0):
            asyncio.get_running_loop().call_later(0.05, self.look)
            return
        self.child, self.took = None, time.monotonic() - self.began
        if self.changed:
            self.plan()

    def stop(self):
        """Ends the copy that runs: what comes is newer."""
        if self.child is not None:
            os.kill(self.child, signal.SIGKILL)
            os.waitpid(self.child, 0)
            self.child = None


copies = Copies()


def write_and_exit():
    """The copy's whole life. It closes the connections at once, or their other ends would not see them end before it does."""
    code = 1
    try:
        os.closerange(3, 65_536)
        os.nice(10)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        signal.alarm(LONGEST)
        with alone():
            persistence.save_all(ministack.app._build_persistence_save_dict())
        code = 0
    finally:
        os._exit(code)


def alone():
    """The right to write the state or to read the whole of it: a copy may outlive the process that it was made of."""
    os.makedirs(persistence.STATE_DIR, exist_ok=True)
    lock = open(os.path.join(persistence.STATE_DIR, "lock"), "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def is_change(scope):
    """Whether a request may change something."""
    if scope["type"] != "http" or scope["method"] in ("GET", "HEAD", "OPTIONS"):
        return False
    target = next((value for name, value in scope["headers"] if name == b"x-amz-target"), b"").decode("latin-1")
    return not target.rpartition(".")[2].startswith(READS)


async def noticing(scope, receive, send):
    """MiniStack's application."""
    try:
        await serve(scope, receive, send)
    finally:
        if is_change(scope):
            copies.note_change()


def save_at_the_end(services):
    """MiniStack's own writing."""
    copies.stop()
    with alone():
        save_in_order(services)


def with_records():
    """The state of DynamoDB with the newest records of its streams."""
    newest = AccountRegionScopedDict()
    for (account, region, table), records in dynamodb._stream_records.all_items():
        newest.set_scoped(account, region, table, copy.deepcopy(records[-MOST_RECORDS:]))
    return {**tables_state(), "stream_records": newest}


def restore_with_records(state):
    """Takes in what `with_records` gave."""
    restore_tables(state)
    dynamodb._stream_records.update(state.get("stream_records", {}))


def install():
    """Puts this in place of MiniStack's own, if the state is to be kept."""
    dynamodb.get_state, dynamodb.load_persisted_state = with_records, restore_with_records
    if persistence.PERSIST_STATE:
        ministack.app.app, ministack.app.save_all = noticing, save_at_the_end
        # A copy of an earlier process has the time to end.
        alone().close()
