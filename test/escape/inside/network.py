"""Ways over the network: to the host, to neighbours, to metadata and private addresses, and under others' addresses."""

import errno
import glob
import select
import socket
import struct
import time

from attempt import FACTS, Escaped, attempt, each_fails, fails

NETWORK = "network"
RAW = "raw packets"
WAIT = 3
# In two parts, so that this file on its way to the sandbox is not what the sniffers look for.
MARK = b"ESC" + b"APED-"


def connections(targets):
    """The targets that take a TCP connection; all are tried at the same time."""
    waiting, open_, errors = {}, [], set()
    for address, port in targets:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setblocking(False)
            code = sock.connect_ex((address, port))
        except OSError as error:
            errors.add(errno.errorcode.get(error.errno, "?"))
            continue
        if code == errno.EINPROGRESS:
            waiting[sock.fileno()] = (sock, address, port)
        elif code == 0:
            open_.append((address, port))
        else:
            errors.add(errno.errorcode.get(code, "?"))
    poll = select.poll()
    for number in waiting:
        poll.register(number, select.POLLOUT)
    end = time.monotonic() + WAIT
    while waiting and time.monotonic() < end:
        for number, _ in poll.poll(200):
            sock, address, port = waiting.pop(number)
            poll.unregister(number)
            code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code == 0:
                open_.append((address, port))
            else:
                errors.add(errno.errorcode.get(code, "?"))
            sock.close()
    if waiting:
        errors.add("no answer")
    return open_, errors


def unreachable(targets):
    found, errors = connections(targets)
    if found:
        raise Escaped(", ".join(f"{address} port {port}" for address, port in found))
    return ", ".join(sorted(errors))


@attempt(NETWORK, "reach API, gateway, SSH, agent, database and other ports of the host, by all of its addresses")
def _():
    return unreachable([(address, port) for address in FACTS["host_addresses"] for port in FACTS["host_ports"]])


@attempt(NETWORK, "reach the host's loopback by a route of its own making or by 0.0.0.0")
def _():
    return unreachable([(address, port) for address in ("127.0.0.1", "0.0.0.0", "127.8.8.8") for port in FACTS["host_ports"]])


@attempt(NETWORK, "reach cloud metadata (169.254.169.254, 168.63.129.16, 100.100.100.200)")
def _():
    return unreachable([(address, 80) for address in FACTS["metadata"]])


@attempt(NETWORK, "reach private addresses that the host has or routes (10/8, 172.16/12, 192.168/16)")
def _():
    return unreachable([(address, 80) for address in FACTS["private"]])


@attempt(NETWORK, "reach a port of a neighbour")
def _():
    return unreachable([(FACTS["neighbour"], 8000), (FACTS["neighbour"], 22)])


@attempt(NETWORK, "scan the range of the sandboxes for anybody who answers")
def _():
    prefix = FACTS["neighbour"].rsplit(".", 1)[0]
    own = FACTS["own"]
    return unreachable([(f"{prefix}.{last}", port) for last in range(1, 255) for port in (22, 8000) if f"{prefix}.{last}" != own])


@attempt(NETWORK, "send to a neighbour, to everybody (broadcast) and to groups (multicast)")
def _():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    # What is not refused here must not arrive there, which is seen outside.
    for address in (FACTS["neighbour"], "255.255.255.255", "224.0.0.1", "224.0.0.251", "10.213.255.255"):
        fails(sock.sendto, MARK + b"udp", (address, 8000))
    return "nothing arrives"


@attempt(NETWORK, "reach host and neighbour over IPv6: link-local, mapped, translated")
def _():
    mapped = [f"::ffff:{address}" for address in (*FACTS["host_addresses"], *FACTS["metadata"], FACTS["neighbour"])]
    others = ["fe80::1%eth0", "ff02::1%eth0", "2002:cb00:710b::1", "64:ff9b::a9fe:a9fe", "fd00::1", "fd00:ec2::254"]
    return unreachable([(address, port) for address in mapped + others for port in (80, 7070, 8000)])


@attempt(NETWORK, "send under another's address (IP_FREEBIND, IP_TRANSPARENT, IP_PKTINFO)")
def _():
    errors = set()
    for source in (FACTS["neighbour"], FACTS["gateway"], "198.51.100.77"):
        for option in (15, 19):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            errors.add(fails(sock.setsockopt, socket.IPPROTO_IP, option, 1))
            refused = fails(sock.bind, (source, 0))
            errors.add(refused)
            for target in (FACTS["neighbour"], FACTS["outside"]):
                errors.add(refused or fails(sock.sendto, MARK + b"bind", (target, 8000)))
        info = struct.pack("I4s4s", 0, socket.inet_aton(source), bytes(4))
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        errors.add(fails(sock.sendmsg, [MARK + b"info"], [(socket.IPPROTO_IP, 8, info)], 0, (FACTS["outside"], 8000)))
    return ", ".join(sorted(errors - {""})) or "nothing arrives"


@attempt(NETWORK, "fill the host's table of connections")
def _():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for port in range(20000, 50000):
        fails(sock.sendto, b"x", (FACTS["outside"], port))
    # Whether that was all of it is seen outside.
    return "dropped from 8,192 on"


@attempt(RAW, "raw sockets (ICMP, TCP, UDP, any protocol)")
def _():
    return each_fails([1, 6, 17, 255], lambda protocol: socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol))


@attempt(RAW, "packet sockets")
def _():
    return each_fails([socket.SOCK_RAW, socket.SOCK_DGRAM], lambda kind: socket.socket(socket.AF_PACKET, kind, socket.htons(3)))


@attempt(RAW, "change addresses, routes, neighbours or the firewall of its network (netlink)")
def _():
    # RTM_NEWADDR, RTM_NEWROUTE, RTM_NEWNEIGH, RTM_NEWLINK by rtnetlink; a new table by nfnetlink
    def told(request):
        protocol, kind, body = request
        sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        sock.settimeout(5)
        sock.send(struct.pack("IHHII", 16 + len(body), kind, 0x605, 1, 0) + body)
        code = struct.unpack_from("i", sock.recv(4096), 16)[0]
        if code < 0:
            raise OSError(-code, "netlink")

    address = struct.pack("BBBBI", 2, 24, 0, 0, 2) + struct.pack("HH4s", 8, 2, socket.inet_aton("10.213.9.9"))
    route = struct.pack("BBBBBBBBI", 2, 24, 0, 0, 254, 3, 0, 1, 0) + struct.pack("HH4s", 8, 1, socket.inet_aton("10.9.9.0"))
    return each_fails([(0, 20, address), (0, 24, route), (0, 16, struct.pack("BBHiII", 0, 0, 1, 2, 0, 1))], told)


@attempt(RAW, "switch IPv6 on")
def _():
    return each_fails(glob.glob("/proc/sys/net/ipv6/conf/*/disable_ipv6") or ["/proc/sys/net/ipv6"], lambda path: open(path, "w").write("0"))


FORGED = "forged packets"
OWN_MAC = bytes.fromhex("026666666666")


def frames():
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind(("eth0", 0))
    return sock


def ip(source, target, protocol, payload):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 7, 0, 64, protocol, 0, socket.inet_aton(source), socket.inet_aton(target))
    total = sum(struct.unpack("!10H", head))
    total = (total >> 16) + (total & 0xFFFF)
    return head[:10] + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + head[12:] + payload


def udp(payload):
    return struct.pack("!HHHH", 8000, 8000, 8 + len(payload), 0) + payload


def gateway_mac():
    known = [line.split() for line in open("/proc/net/arp").read().splitlines()[1:]]
    macs = [fields[3] for fields in known if fields[0] == FACTS["gateway"]] or ["ff:ff:ff:ff:ff:ff"]
    return bytes.fromhex(macs[0].replace(":", ""))


@attempt(FORGED, "ARP: say that the neighbour's, the gateway's and the metadata address are here")
def _():
    sock = frames()
    for claimed in (FACTS["neighbour"], FACTS["gateway"], "169.254.169.254", *FACTS["host_addresses"]):
        for operation in (1, 2):
            body = struct.pack("!HHBBH6s4s6s4s", 1, 0x800, 6, 4, operation, OWN_MAC, socket.inet_aton(claimed), b"\xff" * 6, socket.inet_aton(claimed))
            sock.send(b"\xff" * 6 + OWN_MAC + b"\x08\x06" + body + MARK + b"arp")
    return "nobody else hears it, and the host's table stays"


@attempt(FORGED, "IP packets under the address of a neighbour, of the gateway, of the host and of nobody")
def _():
    sock = frames()
    for source in (FACTS["neighbour"], FACTS["gateway"], *FACTS["host_addresses"], "198.51.100.77", "127.0.0.1"):
        for target in (FACTS["neighbour"], FACTS["outside"], *FACTS["metadata"], FACTS["gateway"]):
            sock.send(gateway_mac() + OWN_MAC + b"\x08\x00" + ip(source, target, 17, udp(MARK + b"forged")))
    return "dropped before they leave"


@attempt(FORGED, "IPv6 router advertisements, VLAN tags, IP in IP, source routes")
def _():
    sock = frames()
    to = gateway_mac()
    sock.send(b"\x33\x33\x00\x00\x00\x01" + OWN_MAC + b"\x86\xdd" + bytes.fromhex("6000000000183aff") + bytes(32) + MARK + b"ra")
    inner = ip(FACTS["gateway"], FACTS["neighbour"], 17, udp(MARK + b"inner"))
    for outer in (4, 47, 41):
        sock.send(to + OWN_MAC + b"\x08\x00" + ip(FACTS["own"], FACTS["neighbour"], outer, inner))
    for tag in (b"\x81\x00", b"\x88\xa8"):
        sock.send(to + OWN_MAC + tag + b"\x00\x01\x08\x00" + inner)
    return "dropped before they leave"
