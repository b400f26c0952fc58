"""Keys of a daemon's configuration that the harness owns: with them a daemon would leave the root made for it.

A private daemon lives on a root, sockets and a cgroup of its own, and touches no network of the host. A scenario that
names another root would have its prunes delete what lies there, without `--allow-host-damage`; one that names a program
would have it run as root. Keys are compared without regard to case, as both daemons read them (Go's ``encoding/json``,
pelletier's TOML), which take ``ſ`` for an s, too.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

_ANYWHERE: Final[Mapping[str, str]] = {
    **dict.fromkeys(("data-root", "graph", "exec-root", "pidfile"), "the daemon's folders"),
    **dict.fromkeys(
        ("hosts", "host", "group", "metrics-addr", "debug-address", "debugaddress"), "the daemon's sockets"
    ),
    **dict.fromkeys(
        ("containerd", "containerd-namespace", "containerd-plugins-namespace"), "the containerd that it starts"
    ),
    **dict.fromkeys(("cgroup-parent", "defaultcgroupparent"), "the daemon's cgroup"),
    **dict.fromkeys(
        (
            *("bridge", "bip", "bip6", "iptables", "ip6tables", "ip-forward", "ip-masq", "fixed-cidr", "fixed-cidr-v6"),
            *("networkmode", "bridgename", "bridgesubnet"),
        ),
        "the host's network",
    ),
    "userns-remap": "the host's users",
    "noprocesssandbox": "the host's processes",
    "provenanceenvdir": "what of the host's files is told",
    **dict.fromkeys(("cdi-spec-dirs", "specdirs"), "the host's devices"),
    **dict.fromkeys(
        (
            *("runtimes", "default-runtime", "init-path", "userland-proxy-path", "authorization-plugins"),
            *("binary", "cnibinarypath", "cniconfigpath", "proxysnapshotterpath"),
        ),
        "the programs that it runs",
    ),
}
"""Names that mean the same wherever they stand, and what they would change."""

_AT: Final[Mapping[tuple[str, ...], str]] = {
    ("root",): "the daemon's folders",
    ("grpc",): "the daemon's sockets",
    ("otel", "socketpath"): "the daemon's sockets",
    ("worker", "containerd"): "the containerd that it uses",
}
"""Names that mean it only where they stand, in buildkitd.toml."""


_OPTIONS: Final[Mapping[str, str]] = {
    "zfs.fsname": "the file system that it is on",
    "dm.": "the devices that it is on",
    "native.cgroupdriver": "the daemon's cgroup",
}
"""How options begin that dockerd takes as texts, in ``storage-opts`` and ``exec-opts``, and what they would change."""


def owned_keys(config: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the path of each key that the harness owns, as it is written, and what the key would change."""
    for key, value in config.items():
        here = (*path, str(key))
        folded = tuple(part.casefold() for part in here)
        what = _AT.get(folded) or _ANYWHERE.get(folded[-1])
        if what:
            yield here, what
        else:
            for item in value if isinstance(value, list | tuple) else [value]:
                if isinstance(item, Mapping):
                    yield from owned_keys(item, here)
                elif isinstance(item, str) and folded[-1] in {"storage-opts", "exec-opts"}:
                    changed = [what for start, what in _OPTIONS.items() if item.strip().casefold().startswith(start)]
                    yield from (((*here, item), what) for what in changed)
