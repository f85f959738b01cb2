"""Argon2id in C by its authors. For each line of input, hashes as often as the first argument says, with the memory in KiB and
the passes that follow it, and answers the nanoseconds of CPU time and of time that all of them took."""

import sys
import time

from argon2.low_level import Type, hash_secret_raw

count, memory, passes, lanes = map(int, sys.argv[1:])
for line in sys.stdin:
    password = line.rstrip("\n").encode()
    used, now = time.process_time_ns(), time.perf_counter_ns()
    for _ in range(count):
        hash_secret_raw(password, bytes(16), passes, memory, lanes, 32, Type.ID)
    print(time.process_time_ns() - used, time.perf_counter_ns() - now, flush=True)
