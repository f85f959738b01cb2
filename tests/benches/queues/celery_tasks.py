"""Celery's side of the comparison: an application with one task that does nothing, and what measures it.

    python celery_tasks.py URL JOBS WORKERS PICKUPS

starts a worker, enqueues JOBS, waits for all, then enqueues PICKUPS one after the other on the idle worker; answers with one
line of JSON: jobs enqueued in a second, jobs done in a second from the first enqueued to the last result, and milliseconds
from each enqueueing to the start of its task. A task is acknowledged late and its result is kept, as Tenfold does it.
"""

import json
import os
import subprocess
import sys
import time

import celery

application = celery.Celery("bench", broker=os.environ.get("BENCH_URL"), backend=os.environ.get("BENCH_URL"))
application.conf.update(task_acks_late=True, worker_prefetch_multiplier=1, broker_connection_retry_on_startup=True)


@application.task(name="nothing")
def nothing():
    """The time at which it started."""
    return time.time()


def measure(jobs, pickups):
    nothing.delay().get(timeout=60)  # The worker is there.
    started = time.time()
    results = [nothing.delay() for _ in range(jobs)]
    enqueued = time.time()
    for result in results:
        result.get(timeout=300)
    done = time.time()
    waited = []
    for _ in range(pickups):
        sent = time.time()
        waited.append((nothing.delay().get(timeout=60) - sent) * 1000)
        time.sleep(0.02)
    return {"enqueued": jobs / (enqueued - started), "done": jobs / (done - started), "pickups": waited}


if __name__ == "__main__":
    url, jobs, workers, pickups = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    application.conf.update(broker_url=url, result_backend=url)
    here = os.path.dirname(os.path.abspath(__file__))
    command = [sys.executable, "-m", "celery", "-A", "celery_tasks", "worker", "--loglevel=ERROR", "--without-gossip"]
    worker = subprocess.Popen(
        [*command, "--without-mingle", f"--concurrency={workers}"],
        cwd=here,
        env={**os.environ, "BENCH_URL": url},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        print(json.dumps(measure(jobs, pickups)))
    finally:
        worker.terminate()
        worker.wait()
