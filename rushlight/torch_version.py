"""`TorchVersion`: a version string that compares by number, as `torch.__version__` does."""

from __future__ import annotations

import re
from typing import Any

from ._version import TORCH_VERSION

__all__ = ["TorchVersion", "__version__"]

_VERSION = (
    r"v?(?P<release>\d+(?:\.\d+)*)"
    r"(?:[-_.]?(?P<stage>a|alpha|b|beta|c|rc|pre|preview)[-_.]?(?P<stage_number>\d*))?"
    r"(?:[-_.]?post(?P<post>\d*))?"
    r"(?:[-_.]?(?P<dev>dev)(?P<dev_number>\d*))?"
    r"(?:\+(?P<local>[a-z0-9._-]+))?"
)
_STAGES = {"a": 0, "alpha": 0, "b": 1, "beta": 1, "c": 2, "rc": 2, "pre": 2, "preview": 2}
_FINAL, _DEV = 3, -1


def _sort_key(version: Any) -> tuple[Any, ...] | None:
    """A tuple that orders as PEP 440 orders versions; None for what is no version."""
    text = ".".join(map(str, version)) if isinstance(version, (tuple, list)) else str(version)
    match = re.fullmatch(_VERSION, text.strip(), re.IGNORECASE)
    if match is None:
        return None
    release = [int(part) for part in match["release"].split(".")]
    while release and release[-1] == 0:
        release.pop()
    if match["stage"]:
        stage = (_STAGES[match["stage"].lower()], int(match["stage_number"] or 0))
    else:
        stage = (_DEV if match["dev"] and match["post"] is None else _FINAL, 0)
    post = -1 if match["post"] is None else int(match["post"] or 0)
    dev = (0, int(match["dev_number"] or 0)) if match["dev"] else (1, 0)
    return tuple(release), stage, post, dev, match["local"] or ""


class TorchVersion(str):
    """A version that is a string and compares by number with strings and tuples.

    `+local` parts count last. Text that is no version compares as text.

    >>> TorchVersion("2.13.0") > "2.6", TorchVersion("2.13.0+rushlight") >= (2, 13)
    (True, True)
    """

    def _keys(self, other: Any) -> tuple[Any, Any]:
        mine, theirs = _sort_key(self), _sort_key(other)
        return (str(self), str(other)) if mine is None or theirs is None else (mine, theirs)

    def __eq__(self, other: object) -> bool:
        mine, theirs = self._keys(other)
        return bool(mine == theirs)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: Any) -> bool:
        mine, theirs = self._keys(other)
        return bool(mine < theirs)

    def __le__(self, other: Any) -> bool:
        return self < other or self == other

    def __gt__(self, other: Any) -> bool:
        return not self <= other

    def __ge__(self, other: Any) -> bool:
        return not self < other

    __hash__ = str.__hash__


__version__ = TorchVersion(TORCH_VERSION)
