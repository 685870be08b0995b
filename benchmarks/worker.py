"""One provider's process: builds workloads, checks them and times rounds, told by JSON lines.

Started by harness.py as `PYTHON worker.py MODULE THREADS CPU`; not run by hand.
"""

import gc
import json
import os
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)


class Provider:
    def __init__(self, module, threads):
        self.module, self.threads = module, threads
        self.torch = self.compile = None
        import importlib

        name = "torch" if module == "torch.compile" else module
        self.torch = importlib.import_module(name)
        self.version = getattr(self.torch, "__version__", "?")
        if hasattr(self.torch, "set_num_threads"):
            self.torch.set_num_threads(threads)
        if module == "torch.compile":
            self.compile = self.torch.compile

    def names(self):
        import workloads

        return list(workloads.REGISTRY)

    def build(self, name, timing):
        import workloads

        fn, kw, _ = workloads.REGISTRY[name]
        if self.compile:
            self.torch._dynamo.reset()
        if hasattr(self.torch, "manual_seed"):
            self.torch.manual_seed(0)
        ctx = workloads.Ctx(self.torch, timing, self.threads, self.compile, self.module)
        return fn(self.torch, ctx, **kw)


def touch(r):
    """Make sure that what the last step returned exists."""
    for attr in ("block_until_ready", "data_ptr"):
        f = getattr(r, attr, None)
        if f is not None:
            try:
                f()
            except Exception:
                pass
            return


class Server:
    def __init__(self, provider, cpus):
        self.p, self.cpus, self.work, self.est = provider, cpus, None, None
        self.all = os.sched_getaffinity(0)

    def pin(self, cpus):
        for tid in os.listdir("/proc/self/task"):
            try:
                os.sched_setaffinity(int(tid), cpus or self.all)
            except OSError:
                pass

    def hello(self):
        import platform

        import workloads

        return dict(
            version=str(self.p.version),
            python=platform.python_version(),
            names=self.p.names(),
            groups={n: o["group"] for n, (_, _, o) in workloads.REGISTRY.items()},
        )

    def check(self, name, path):
        import numpy as np

        t0 = time.perf_counter()
        self.pin(None if self.p.compile else self.cpus)  # let the compiler use all cores
        work = self.p.build(name, timing=False)
        try:
            losses, out = [], {}
            for _ in range(work.check_steps):
                r = work.step()
                if isinstance(r, float):
                    losses.append(r)
            if losses:
                out["losses"] = np.array(losses)
            if work.outputs:
                out.update({k: np.asarray(v) for k, v in work.outputs().items()})
            np.savez(path, **out)
            return dict(
                keys=sorted(out), tol=work.tol, losses=losses[:8], seconds=time.perf_counter() - t0
            )
        finally:
            if work.close:
                work.close()

    def compare(self, a, b, tol):
        import numpy as np

        rtol, atol = tol
        A, B = np.load(a), np.load(b)
        common = sorted(set(A.files) & set(B.files))
        if not common and (A.files or B.files):
            return dict(ok=False, why=f"nothing in common: {A.files} and {B.files}")
        worst = 0.0
        for k in common:
            x, y = A[k], B[k]
            if x.shape != y.shape:
                return dict(ok=False, why=f"{k}: shape {x.shape} and {y.shape}")
            if not x.size:
                continue
            x, y = x.astype("float64"), y.astype("float64")
            if not (np.isfinite(x).all() and np.isfinite(y).all()):
                if not np.array_equal(np.isfinite(x), np.isfinite(y)):
                    return dict(ok=False, why=f"{k}: not finite")
                x, y = x[np.isfinite(x)], y[np.isfinite(y)]
                if not x.size:
                    continue
            err = np.abs(x - y).max()
            limit = atol + rtol * np.abs(x).max()
            worst = max(worst, err / limit)
            if err > limit:
                return dict(ok=False, why=f"{k}: differs by {err:.3g}, allowed {limit:.3g}")
        return dict(ok=True, keys=len(common), worst=worst)

    def setup(self, name):
        t0 = time.perf_counter()
        self.drop()
        self.pin(None if self.p.compile else self.cpus)
        self.work = work = self.p.build(name, timing=True)
        step = work.step
        for i in range(4):  # compilation, caches
            touch(step())
            if i and time.perf_counter() - t0 > 2:
                break
        self.pin(None if work.all_cpus else self.cpus)
        n = 1
        while True:
            t = time.perf_counter()
            for _ in range(n):
                r = step()
            touch(r)
            dt = time.perf_counter() - t
            if dt > 0.004 or n > 100000:
                break
            n *= 2
        for _ in range(2 if dt < 0.2 else 0):  # one disturbed reading would cost rounds
            t = time.perf_counter()
            for _ in range(n):
                r = step()
            touch(r)
            dt = min(dt, time.perf_counter() - t)
        self.est = dt / n
        return dict(
            est=self.est, samples=work.samples, flops=work.flops, seconds=time.perf_counter() - t0
        )

    def round(self, n, each):
        step, perf = self.work.step, time.perf_counter
        if self.est < 0.02:  # back to a warm cache and clock
            end = perf() + 0.0015
            while True:
                touch(step())
                if perf() > end:
                    break
        c0, t0 = time.process_time(), perf()
        if each:
            for _ in range(n):
                touch(step())
        else:
            for _ in range(n):
                r = step()
            touch(r)
        t1, c1 = perf(), time.process_time()
        return dict(us=(t1 - t0) / n * 1e6, cpu_us=(c1 - c0) / n * 1e6)

    def drop(self):
        if self.work is not None and self.work.close:
            self.work.close()
        self.work = None
        gc.collect()
        return {}


def main():
    module, threads, cpu = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    cpus = {int(cpu)} if cpu != "-" else None
    all_cpus = os.sched_getaffinity(0)
    if cpus:
        os.sched_setaffinity(0, cpus)  # so that thread pools made at import are sized for it
    server = None
    for line in sys.stdin:
        msg = json.loads(line)
        cmd = msg.pop("cmd")
        if cmd == "quit":
            break
        try:
            if server is None:
                server = Server(Provider(module, threads), cpus)
                server.all = all_cpus
            reply = getattr(server, cmd)(**msg)
        except BaseException as e:
            traceback.print_exc()
            reply = dict(error=f"{type(e).__name__}: {e}".split("\n")[0][:300])
            if cmd in ("setup", "round") and server is not None:
                try:
                    server.drop()
                except Exception:
                    server.work = None
        out.write(json.dumps(reply) + "\n")
        out.flush()
    out.close()
    os._exit(0)


if __name__ == "__main__":
    main()
