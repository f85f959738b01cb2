"""The fair queues of SQS, which MiniStack does not have.

On a standard queue a message whose group has fewer messages in flight goes before those of a busier group; messages of groups
that are equally busy, and those of no group, go in the order of their arrival. AWS promises less: it tells busy groups from
quiet ones.
"""

import collections
import time

from ministack.services import sqs

in_order_of_arrival = sqs._collect_msgs


def fairly(queue, most, visibility):
    """What `ReceiveMessage` takes."""
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


def install():
    """Puts the rule in place of MiniStack's."""
    sqs._collect_msgs = fairly
