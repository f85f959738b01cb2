// BullMQ's side of the comparison: a queue with one processor that does nothing, and what measures it.
//
//   node bullmq.mjs URL JOBS PLACES PICKUPS
//
// enqueues JOBS with a worker of PLACES jobs at a time in a process of its own, waits for all, then enqueues PICKUPS one after
// the other on the idle worker; answers with one line of JSON, as celery_tasks.py does.

import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Queue, QueueEvents, Worker } from "bullmq";

const [url, jobs, places, pickups, role] = process.argv.slice(2);
const { hostname, port, password } = new URL(url);
const connection = { host: hostname, port: Number(port), password, maxRetriesPerRequest: null };
const name = "bench";

if (role === "worker") {
  process.on("disconnect", () => process.exit());
  new Worker(name, async () => Date.now(), { connection, concurrency: Number(places) });
} else {
  const worker = fork(fileURLToPath(import.meta.url), [url, jobs, places, pickups, "worker"]);
  const queue = new Queue(name, { connection });
  const events = new QueueEvents(name, { connection });
  await events.waitUntilReady();
  const once = async () => (await queue.add("nothing", {})).waitUntilFinished(events);
  await once();

  let left = Number(jobs);
  const all = new Promise((resolve) => events.on("completed", () => --left === 0 && resolve()));
  const started = performance.now();
  for (let sent = 0; sent < Number(jobs); sent += 16) {
    const some = Math.min(16, Number(jobs) - sent);
    await Promise.all(Array.from({ length: some }, () => queue.add("nothing", {})));
  }
  const enqueued = performance.now();
  await all;
  const done = performance.now();
  const waited = [];
  for (let count = 0; count < Number(pickups); count += 1) {
    const sent = Date.now();
    waited.push((await once()) - sent);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const rate = (until) => (Number(jobs) * 1000) / (until - started);
  console.log(JSON.stringify({ enqueued: rate(enqueued), done: rate(done), pickups: waited }));
  worker.kill();
  await Promise.all([queue.close(), events.close()]);
  process.exit(0);
}
