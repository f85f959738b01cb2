"""Starts MiniStack with what it lacks for this stack: the program behind the AWS APIs of `cargo run`."""

import socketserver

import callers
import durable
import fair_queues
import hypercorn.config
import ministack.app
import ordered_indexes

# Else each call of a function waits 40 ms for a delayed acknowledgement.
socketserver.StreamRequestHandler.disable_nagle_algorithm = True
# Clients that are waiting for messages would hold up the end for three seconds.
hypercorn.config.Config.graceful_timeout = 0.3
# A connection that finds the queue of the listener full waits a second for its next try.
hypercorn.config.Config.backlog = 1024

callers.install()
durable.install()
fair_queues.install()
ordered_indexes.install()

ministack.app.main()
