"""The transports by URL scheme. A new one is a class in a module of its own and a line here."""

from snsearch.device.transports.adb import AdbTransport
from snsearch.device.transports.local import LocalTransport
from snsearch.device.transports.ssh import SshTransport
from snsearch.device.transports.transport import TransportClass

TRANSPORTS: dict[str, TransportClass] = {"local": LocalTransport, "ssh": SshTransport, "adb": AdbTransport}
