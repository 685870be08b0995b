"""Runs workloads in one process per provider, round about, and makes the table.

Standard library only.  Used by run.py.
"""

import fnmatch
import glob
import json
import os
import select
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


class Died(Exception):
    pass


def thread_env(threads, module):
    env = dict(os.environ)
    for k in (
        "OMP_NUM_THREADS",
        "MKL_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "RUSHLIGHT_NUM_THREADS",
        "NUM_CPU_THREADS",
        "NPROC",
    ):
        env[k] = str(threads)
    if module == "torch.compile":  # a cache of our own: others may break theirs
        env["TORCHINDUCTOR_CACHE_DIR"] = os.path.join(tempfile.gettempdir(), "bench-inductor")
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    env["TOKENIZERS_PARALLELISM"] = "false"
    return env


class Worker:
    """A provider: PY:module or PY:module@threads."""

    def __init__(self, spec, threads, cpu, label=None, log=None):
        py, _, module = spec.rpartition(":")
        module, _, th = module.partition("@")
        self.py, self.module = py or sys.executable, module
        self.threads = int(th or threads)
        self.cpu = str(cpu) if cpu is not None and self.threads == 1 else "-"
        self.label = label or module + (f"@{th}" if th else "")
        self.log = log
        self.proc = None

    def start(self):
        self.proc = subprocess.Popen(
            [self.py, os.path.join(HERE, "worker.py"), self.module, str(self.threads), self.cpu],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            bufsize=1,
            env=thread_env(self.threads, self.module),
        )

    def ask(self, cmd, timeout=900, **kw):
        if self.proc is None or self.proc.poll() is not None:
            try:
                self.start()
            except OSError as e:
                raise Died(str(e)) from e
        try:
            self.proc.stdin.write(json.dumps(dict(cmd=cmd, **kw)) + "\n")
            self.proc.stdin.flush()
        except BrokenPipeError:
            raise Died(f"process ended, exit status {self.proc.wait()}") from None
        ready, _, _ = select.select([self.proc.stdout], [], [], timeout)
        if not ready:
            self.proc.kill()
            self.proc.wait()
            raise Died(f"no answer within {timeout} s")
        line = self.proc.stdout.readline()
        if not line:
            raise Died(f"process ended, exit status {self.proc.wait()}") from None
        reply = json.loads(line)
        if "error" in reply:
            raise Died(reply["error"])
        return reply

    def busy_ns(self):
        """Time that all threads of the process have run so far; 0 where the system does not say."""
        total = 0
        for path in glob.glob(f"/proc/{self.proc.pid}/task/*/schedstat"):
            try:
                with open(path) as f:
                    total += int(f.read().split()[0])
            except OSError:  # the thread ended
                pass
        return total

    def settle(self, limit=0.5):
        """Waits until the process sleeps: thread pools spin for a while after their last work."""
        end = time.perf_counter() + limit
        before = self.busy_ns()
        while time.perf_counter() < end:
            time.sleep(0.002)
            now = self.busy_ns()
            if now - before < 100_000:
                return
            before = now

    def stop(self):
        if self.proc is not None and self.proc.poll() is None:
            try:
                self.proc.stdin.write('{"cmd": "quit"}\n')
                self.proc.stdin.close()
                self.proc.wait(10)
            except Exception:
                self.proc.kill()


def median(v):
    v = sorted(v)
    n = len(v)
    return v[n // 2] if n % 2 else (v[n // 2 - 1] + v[n // 2]) / 2


def geomean(v):
    p = 1.0
    for x in v:
        p *= x ** (1.0 / len(v))
    return p


def select_names(names, only, skip=None):
    """Comma-separated patterns; a plain word matches the start of a name or a '/' part."""

    def hit(n, pats):
        for p in pats.split(","):
            if any(c in p for c in "*?["):
                if fnmatch.fnmatch(n, p):
                    return True
            elif n == p or n.startswith(p) or p in n.split("/"):
                return True
        return False

    out = [n for n in names if not only or hit(n, only)]
    return [n for n in out if not (skip and hit(n, skip))]


def load_now():
    return os.getloadavg()[0]


def run_workload(workers, name, args, tmp, say):
    """Result dictionary: per worker `us` (list), `error`, and the check against worker 0."""
    res = dict(name=name, load=load_now(), providers={})
    alive = []
    paths = {}
    for w in workers:
        r = res["providers"][w.label] = {}
        try:
            if not args.no_check:
                path = os.path.join(tmp, w.label.replace("/", "_") + ".npz")
                c = w.ask("check", name=name, path=path, timeout=args.timeout)
                r["check"] = c
                paths[w.label] = path
                if w is not workers[0] and workers[0].label in paths:
                    r["match"] = workers[0].ask(
                        "compare",
                        a=paths[workers[0].label],
                        b=path,
                        tol=res["providers"][workers[0].label]["check"]["tol"],
                    )
            if args.check_only:
                continue
            s = w.ask("setup", name=name, timeout=args.timeout)
            r.update(est_us=s["est"] * 1e6, setup_s=round(s["seconds"], 3))
            for k in ("samples", "flops"):
                if s.get(k):
                    res.setdefault(k, s[k])
            r["us"], r["cpu_us"], r["at"] = [], [], []
            alive.append(w)
        except Died as e:
            r["error"] = str(e)
            if w is workers[0]:
                break
    if alive and alive[0] is workers[0]:
        est = {w: res["providers"][w.label]["est_us"] / 1e6 for w in alive}
        ns = {}
        for w in alive:
            target = args.round_ms / 1e3 * (0.5 if est[w] < 30e-6 else 1)
            ns[w] = max(1, round(target / est[w]))
        # a slow provider takes part in fewer of the rounds, evenly spread
        per = {
            w: int(min(args.rounds, max(args.min_rounds, args.budget / (ns[w] * est[w]))))
            for w in alive
        }
        per[alive[0]] = rounds = max(per.values())
        for i in range(rounds):
            todo = [w for w in alive if (i + 1) * per[w] // rounds > i * per[w] // rounds]
            for w in todo if i % 2 == 0 else todo[::-1]:
                r = res["providers"][w.label]
                if "error" in r:
                    continue
                try:
                    for other in alive:
                        if other is not w and other.threads > 1:
                            other.settle()
                    got = w.ask("round", n=ns[w], each=args.touch == "each", timeout=args.timeout)
                    r["us"].append(got["us"])
                    r["cpu_us"].append(got["cpu_us"])
                    r["at"].append(i)
                except Died as e:
                    r["error"] = str(e)
                    r.pop("us", None)
        for w in alive:
            r = res["providers"][w.label]
            r["n"] = ns[w]
            try:
                w.ask("drop")
            except Died:
                pass
    base = res["providers"][workers[0].label].get("us")
    for w in workers:
        r = res["providers"][w.label]
        u = r.get("us")
        if u:
            r["med"], r["min"], r["cpu_med"] = median(u), min(u), median(r["cpu_us"])
            if base and w is not workers[0]:
                b = res["providers"][workers[0].label]
                q = [y / base[i] for i, y in zip(r["at"], u)]
                r["ratio"] = [min(q), median(q), max(q)]
                r["ratio_of_mins"] = min(u) / min(base)
                q = [y / b["cpu_us"][i] for i, y in zip(r["at"], r["cpu_us"]) if b["cpu_us"][i] > 0]
                if q:
                    r["cpu_ratio"] = [min(q), median(q), max(q)]
    return res


def fmt_us(us):
    return f"{us:.2f}" if us < 100 else f"{us:.0f}" if us < 1e5 else f"{us:,.0f}"


def fmt_ratio(r):
    return f"{r[0]:.2f}–{r[1]:.2f}–{r[2]:.2f}" if r else "-"


def fmt_time(r):
    return f"{fmt_us(r['med'])} ({fmt_us(r['min'])})" if "med" in r else "-"


def short(e, n=60):
    return e if len(e) <= n else e[: n - 1] + "…"


def status(r):
    """'' when numbers match, else the reason."""
    if "error" in r:
        return "ERROR " + short(r["error"], 90)
    m = r.get("match")
    if m and not m["ok"]:
        return "MISMATCH " + m["why"]
    return ""


def probe(w, what, n, workload=None):
    env = thread_env(w.threads, w.module)
    env.pop("PYTHONDONTWRITEBYTECODE")
    t = time.perf_counter()
    p = subprocess.run(
        [w.py, os.path.join(HERE, "probe.py"), what, w.module, str(w.threads)]
        + ([workload] if workload else []),
        capture_output=True,
        text=True,
        env=env,
        timeout=600,
    )
    wall = time.perf_counter() - t
    if p.returncode:
        raise Died(p.stderr.strip().split("\n")[-1][:200])
    r = json.loads(p.stdout.strip().split("\n")[-1])
    r["wall_ms"] = wall * 1e3
    return r


PEAK_OF = [  # trainings whose peak memory is taken, a fresh process each
    "lenet_train/B32",
    "lenet_train/B128",
    "two_layer_nn_adam",
    "mnist_cnn_train/B64",
    "chargpt_train/B12",
    "mlp_large_train",
    "lstm_sin_train/H64/B16",
    "resnet18_train/B16/px64",
    "resnet18_train/B16/px224",
]
PROBES = [
    "proc/import_ms",
    "proc/import_wall_ms",
    "proc/rss_import_mb",
    "proc/size_own_mb",
    "proc/size_total_mb",
    *(f"proc/peak_mb/{name}" for name in PEAK_OF),
]


def run_probes(workers, names, rounds=7):
    """Import time (fresh processes, round about), memory, size: name -> label -> values."""
    out = {n: {w.label: [] for w in workers} for n in names}
    err = {}

    def get(w, what, workload=None):
        if w.label in err:
            return {}
        try:
            return probe(w, what, 1, workload)
        except Exception as e:
            err[w.label] = str(e)
            return {}

    if any("import" in n for n in names):
        for w in workers:
            get(w, "import")  # page cache, .pyc files
        for i in range(rounds):
            for w in workers if i % 2 == 0 else workers[::-1]:
                g = get(w, "rss_import")
                for key, field in (
                    ("import_ms", "import_ms"),
                    ("import_wall_ms", "wall_ms"),
                    ("rss_import_mb", "rss_mb"),
                ):
                    if f"proc/{key}" in out and field in g:
                        out[f"proc/{key}"][w.label].append(g[field])
    for w in workers:
        for workload in PEAK_OF:
            row = f"proc/peak_mb/{workload}"
            if row in out and (g := get(w, "peak", workload)):
                out[row][w.label].append(g["rss_mb"])
        if "proc/size_own_mb" in out or "proc/size_total_mb" in out:
            g = get(w, "size")
            for key in ("own", "total"):
                if f"proc/size_{key}_mb" in out and g.get(key) is not None:
                    out[f"proc/size_{key}_mb"][w.label].append(g[key])
    return out, err


def add_args(ap):
    ap.add_argument("--only", help="comma-separated names, prefixes or patterns")
    ap.add_argument("--skip", help="the same, left out")
    ap.add_argument("--threads", type=int, default=1)
    ap.add_argument(
        "--cpu",
        type=int,
        default=0,
        help="core to pin one-thread providers to; -1: do not pin (default 0)",
    )
    ap.add_argument("--rounds", type=int, default=60)
    ap.add_argument("--min-rounds", type=int, default=5)
    ap.add_argument("--round-ms", type=float, default=6, help="length of one round")
    ap.add_argument(
        "--budget",
        type=float,
        default=4,
        help="seconds of measuring per workload and provider, at most (about)",
    )
    ap.add_argument("--timeout", type=float, default=900)
    ap.add_argument(
        "--touch",
        choices=["last", "each"],
        default="last",
        help="force each step's result to exist, or only the last of a round",
    )
    ap.add_argument("--no-check", action="store_true", help="do not compare numbers first")
    ap.add_argument("--check-only", action="store_true", help="compare numbers, time nothing")
    ap.add_argument("--json", help="write all rounds here")
    ap.add_argument("--md", help="write the table here")
    ap.add_argument("--list", action="store_true", help="list the workloads")
    ap.add_argument("--log", help="stderr of the workers (default: a temporary file)")


def machine():
    cpu = ""
    try:
        for line in open("/proc/cpuinfo"):
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    return dict(
        cpu=cpu, cores=os.cpu_count(), load=os.getloadavg(), date=time.strftime("%Y-%m-%d %H:%M:%S")
    )


def open_log(args):
    if args.log:
        return open(args.log, "a")
    return tempfile.NamedTemporaryFile("w", prefix="bench-", suffix=".log", delete=False)
