"""python3 sniff.py INTERFACE: says which frames with the mark of an escape arrive there, and every honest one."""

import socket
import sys

sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sock.bind((sys.argv[1], 0))
print("ready", flush=True)
while True:
    frame, address = sock.recvfrom(65536)
    for mark in (b"ESCAPED-", b"HONEST-"):
        if mark in frame:
            at = frame.index(mark)
            print(frame[at : at + 16].decode(errors="replace").strip("\0"), frame[:14].hex(), flush=True)
