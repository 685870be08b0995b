"""Facts of a fresh process: import time, memory, install size.  Prints one JSON line.

PYTHON probe.py import|rss_import|size MODULE THREADS
PYTHON probe.py peak MODULE THREADS WORKLOAD
"""

import time

T0 = time.perf_counter()
import os  # noqa: E402
import sys  # noqa: E402

TARGETS = {"torch.compile": ["torch"]}


def imports(module):
    import importlib

    for m in TARGETS.get(module, [module]):
        importlib.import_module(m)
    return sys.modules[module.split(".")[0]]


def hwm():
    """Largest resident size of this process so far, MB (VmHWM: starts anew at exec)."""
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024


def dist_sizes(top):
    """MB of the distribution that holds `top`, and of it with all it requires."""
    import importlib.metadata as md
    import re

    def norm(n):
        return re.sub(r"[-_.]+", "-", n).lower()

    def files_mb(d):
        total = 0
        for f in d.files or []:
            try:
                total += os.stat(d.locate_file(f)).st_size
            except OSError:
                pass
        return total / 1e6

    def folder_mb(path):
        return (
            sum(os.lstat(os.path.join(r, f)).st_size for r, _, fs in os.walk(path) for f in fs)
            / 1e6
        )

    names = md.packages_distributions().get(top, [])
    if not names:
        mod = __import__(top)
        return dict(own=folder_mb(os.path.dirname(mod.__file__)), total=None, dists=[])
    seen, todo = {}, [norm(n) for n in names]
    while todo:
        n = todo.pop()
        if n in seen:
            continue
        try:
            d = md.distribution(n)
        except md.PackageNotFoundError:
            continue
        seen[n] = files_mb(d)
        for r in d.requires or []:
            if "extra ==" in r:
                continue
            todo.append(norm(re.match(r"[A-Za-z0-9._-]+", r).group()))
    own = sum(seen[norm(n)] for n in set(names) if norm(n) in seen)
    if own < 0.2:  # an editable install lists no files
        own = folder_mb(os.path.dirname(__import__(top).__file__))
    return dict(
        own=own,
        total=sum(seen.values()),
        dists=sorted(((k, round(v, 1)) for k, v in seen.items()), key=lambda kv: -kv[1]),
    )


def main():
    what, module = sys.argv[1:3]
    res = {}
    if what == "size":
        res = dist_sizes(module.split(".")[0])
    else:
        t = time.perf_counter()
        imports(module)
        res["import_ms"] = (time.perf_counter() - t) * 1e3
        if what == "peak":
            sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
            from worker import Provider

            w = Provider(module, int(sys.argv[3])).build(sys.argv[4], timing=True)
            for _ in range(5):
                w.step()
        res["rss_mb"] = hwm()
    import json

    print("\n" + json.dumps(res))


main()
