"""The transports by URL scheme. A new one is a class in a module of its own and a line here.

Each class is made of a URL and options, checks the URL, and sends nothing yet; `URL` says how its URLs look.
"""

from snsearch.device.transports.adb import AdbTransport
from snsearch.device.transports.local import LocalTransport
from snsearch.device.transports.ssh import SshTransport
from snsearch.device.transports.transport import Transport

TRANSPORTS: dict[str, type[Transport]] = {"local": LocalTransport, "ssh": SshTransport, "adb": AdbTransport}
