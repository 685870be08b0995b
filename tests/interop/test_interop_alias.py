"""`python -m rushlight` and the alias behind it."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

import rushlight
from rushlight.interop import alias

ROOT = Path(rushlight.__file__).parents[1]


def run(*args: str, cwd: Path, **options):
    """The finished process of `python -m rushlight args…`."""
    command = [sys.executable, "-W", "error", "-m", "rushlight", *args]
    env = {"PYTHONPATH": str(ROOT), "PATH": "", "RUSHLIGHT_PURE": "1"}
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120, **options
    )


def script(folder: Path, text: str, name: str = "prog.py") -> str:
    (folder / name).write_text(textwrap.dedent(text), encoding="utf-8")
    return name


@pytest.fixture(autouse=True)
def no_real_torch():
    module = sys.modules.get("torch")
    if module is not None and module is not rushlight:
        pytest.skip("the real PyTorch is imported in this process; run without the parity tests")


@pytest.fixture
def installed():
    alias.install()
    yield
    alias.uninstall()


def test_the_very_same_modules(installed):
    import torch
    import torch.nn.functional as functional
    import torch.optim.lr_scheduler as scheduler
    import torch.utils.data
    import torchvision.transforms

    assert torch is rushlight and functional is rushlight.nn.functional
    assert scheduler is rushlight.optim.lr_scheduler
    assert sys.modules["torch.utils.data"] is sys.modules["rushlight.utils.data"]
    assert torchvision is rushlight.vision and torchvision.transforms is rushlight.vision.transforms
    assert torch.nn.Linear.__module__.startswith("rushlight.nn")
    for name in ("rushlight", "rushlight.nn", "rushlight.vision"):
        assert sys.modules[name].__spec__.name == name


def test_every_submodule_is_one_object(installed):
    import importlib

    for name in sorted(n for n in sys.modules if n.startswith("rushlight.nn.")):
        assert importlib.import_module("torch" + name[9:]) is sys.modules[name]


def test_metadata_and_specs(installed):
    import importlib.metadata
    import importlib.util

    assert importlib.metadata.version("torch") == "2.13.0+rushlight"
    assert importlib.metadata.version("torchvision") == "0.28.0+rushlight"
    assert importlib.metadata.metadata("torch")["Name"] == "torch"
    assert importlib.util.find_spec("torch.nn") is not None
    assert importlib.util.find_spec("torch.no_such_module") is None


def test_what_is_missing_says_so(installed):
    with pytest.raises(ModuleNotFoundError, match="rushlight stands in for 'torch'") as caught:
        import torch.no_such_module  # noqa: F401
    assert caught.value.name == "torch.no_such_module"


def test_modules_behind_functions_do_not_take_their_place(installed):
    import torch
    from torch.nn.parallel.data_parallel import DataParallel

    assert torch.nn.parallel.DataParallel is DataParallel
    assert callable(torch.nn.parallel.data_parallel)
    import torch.tensor

    assert torch.tensor([1.0]).tolist() == [1.0]


def test_install_twice_and_uninstall():
    before = list(sys.meta_path)
    alias.install()
    alias.install()
    assert len(sys.meta_path) == len(before) + 1 and alias.installed()
    import torch

    assert torch is rushlight
    alias.uninstall()
    alias.uninstall()
    assert sys.meta_path == before and not alias.installed()
    assert not [n for n in sys.modules if n.partition(".")[0] in ("torch", "torchvision")]


def test_a_real_torch_is_not_replaced(monkeypatch):
    import types

    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    with pytest.raises(RuntimeError, match="already imported"):
        alias.install()
    assert not alias.installed()


def test_a_script_sees_what_python_gives_it(tmp_path):
    (tmp_path / "sub").mkdir()
    script(tmp_path / "sub", "VALUE = 7\n", "neighbour.py")
    script(
        tmp_path / "sub",
        """
        import sys, torch
        from neighbour import VALUE
        assert __name__ == "__main__" and __file__ == "sub/prog.py" and __spec__ is None
        assert sys.modules["__main__"].__dict__ is globals()
        print(sys.argv, VALUE, torch.ones(2).sum().item(), sys.path[0])
    """,
    )
    done = run("sub/prog.py", "a", "-b", cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout == f"['sub/prog.py', 'a', '-b'] 7 2.0 {(tmp_path / 'sub').resolve()}\n"


def test_modules_code_folders_and_standard_input(tmp_path):
    script(tmp_path, "import sys, torch; print(sys.argv[1:], torch.__version__)\n", "mod.py")
    script(tmp_path, "import sys, torch; print(sys.argv[1:], torch.__version__)\n", "__main__.py")
    with zipfile.ZipFile(tmp_path / "app.pyz", "w") as out:
        out.write(tmp_path / "__main__.py", "__main__.py")
    code = "import sys, torch; print(sys.argv[1:], torch.__version__)"
    wanted = "['x'] 2.13.0+rushlight\n"
    for args in (["-m", "mod", "x"], ["-c", code, "x"], [".", "x"], ["app.pyz", "x"]):
        done = run(*args, cwd=tmp_path)
        assert (done.stdout, done.stderr) == (wanted, ""), args
    assert run("-", "x", cwd=tmp_path, input=code).stdout == wanted


def test_exit_codes_and_tracebacks(tmp_path):
    script(
        tmp_path,
        """
        import torch
        def boom():
            torch.ones(2) @ torch.ones(3)
        boom()
    """,
    )
    done = run("prog.py", cwd=tmp_path)
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and lines[0].startswith("Traceback")
    assert '"prog.py", line 5' in lines[1] or 'prog.py", line 5' in lines[1]
    assert run("-c", "import sys; sys.exit(3)", cwd=tmp_path).returncode == 3
    assert run(cwd=tmp_path).returncode == 2
    assert "can't open file" in run("no.py", cwd=tmp_path).stderr
    assert "unknown option" in run("--what", cwd=tmp_path).stderr
    assert run("--version", cwd=tmp_path).stdout.startswith("rushlight ")
    assert "script.py" in run("--help", cwd=tmp_path).stdout


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_child_processes_have_the_alias(tmp_path, method):
    import multiprocessing

    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no start method {method}")
    script(
        tmp_path,
        f"""
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        class Twice(torch.nn.Module):
            def forward(self, x):
                return 2 * x

        def work(model, x):
            import torch as again
            assert again is torch and torch.__name__ == "rushlight"
            return model(x)

        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                print(pool.submit(work, Twice(), torch.ones(2)).result().tolist())
            data = TensorDataset(torch.arange(6.0))
            loader = DataLoader(data, 3, num_workers=1, multiprocessing_context={method!r})
            print([batch[0].sum().item() for batch in loader])
    """,
    )
    done = run("prog.py", cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("[2.0, 2.0]\n[3.0, 12.0]\n", "")
