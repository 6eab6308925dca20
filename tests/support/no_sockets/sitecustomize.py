"""On the path of a process, this blocks every socket but those between processes of this machine's kernel (AF_UNIX)."""

import socket


def _refused(name):
    real = getattr(socket.socket, name)

    def method(self, address, *rest):
        if self.family != socket.AF_UNIX:
            raise PermissionError(f"sockets are blocked: {name} {address}")
        return real(self, address, *rest)

    return method


for _name in ("connect", "connect_ex", "bind"):
    setattr(socket.socket, _name, _refused(_name))


def _no_names(*arguments, **options):
    raise PermissionError(f"sockets are blocked: getaddrinfo {arguments[:1]}")


socket.getaddrinfo = _no_names
