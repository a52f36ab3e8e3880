"""The realtime gateway: conversations live, over WebSocket.

`frames.py` says what goes over the wire and `protocol.py` what a connection may say when, both
without input and output; `gateway.py` has the sockets, `hub.py` knows who listens to what, and
`bus.py` wakes the other processes.
"""
