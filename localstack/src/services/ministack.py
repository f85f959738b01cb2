"""Starts MiniStack with what it lacks for this stack: the program behind the AWS APIs of `cargo run`."""

import collections
import socketserver
import time

import hypercorn.config
import ministack.app
from ministack.services import sqs

# Else each call of a function waits 40 ms for a delayed acknowledgement.
socketserver.StreamRequestHandler.disable_nagle_algorithm = True
# Clients that are waiting for messages would hold up the end for three seconds.
hypercorn.config.Config.graceful_timeout = 0.3
# A connection that finds the queue of the listener full waits a second for its next try.
hypercorn.config.Config.backlog = 1024

in_order_of_arrival = sqs._collect_msgs


def fairly(queue, most, visibility):
    """What `ReceiveMessage` takes, by the rule of SQS's fair queues, which MiniStack does not have.

    On a standard queue a message whose group has fewer messages in flight goes before those of a busier group; messages of
    groups that are equally busy, and those of no group, go in the order of their arrival. AWS promises less: it tells
    busy groups from quiet ones.
    """
    if queue["is_fifo"] or not any(message.get("group_id") for message in queue["messages"]):
        return in_order_of_arrival(queue, most, visibility)
    now = time.time()
    waiting, in_flight = collections.defaultdict(collections.deque), collections.Counter()
    for place, message in enumerate(queue["messages"]):
        # What has no group stands for itself.
        group = message.get("group_id") or place
        if message["visible_at"] <= now:
            waiting[group].append((place, message))
        elif message.get("receive_count", 0) > 0:
            in_flight[group] += 1
    taken = []
    while waiting and len(taken) < most:
        group = min(waiting, key=lambda group: (in_flight[group], waiting[group][0][0]))
        taken.append(waiting[group].popleft()[1])
        in_flight[group] += 1
        if not waiting[group]:
            del waiting[group]
    # MiniStack itself marks them as received.
    return in_order_of_arrival({**queue, "messages": taken}, most, visibility)


sqs._collect_msgs = fairly

ministack.app.main()
