"""python3 listen.py PORT…: takes every connection on these ports, by whichever address and protocol."""

import selectors
import socket
import sys

ready = selectors.DefaultSelector()
for port in sys.argv[1:]:
    ready.register(socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512), selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in ready.select():
        key.fileobj.accept()[0].close()
