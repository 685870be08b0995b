"""Models: shapes, keys, numbers of parameters, initialisation, weights."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

import pytest

import rushlight as torch
from rushlight import hub, nn
from rushlight.vision import models
from rushlight.vision.models import ResNet18_Weights, resnet18


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("resnet18", 11689512),
        ("resnet50", 25557032),
        ("resnext50_32x4d", 25028904),
        ("squeezenet1_1", 1235496),
        ("mobilenet_v2", 3504872),
    ],
)
def test_numbers_of_parameters(name: str, parameters: int) -> None:
    model = models.get_model(name)
    assert count(model) == parameters
    assert models.get_model_weights(name).DEFAULT.meta["num_params"] == parameters


def test_resnet18_keys() -> None:
    keys = list(resnet18().state_dict())
    assert len(keys) == 122
    assert keys[:3] == ["conv1.weight", "bn1.weight", "bn1.bias"]
    assert "layer2.0.downsample.0.weight" in keys and keys[-2:] == ["fc.weight", "fc.bias"]


def test_one_training_step_as_in_the_documents() -> None:
    torch.manual_seed(0)
    model = resnet18()
    data, labels = torch.rand(1, 3, 64, 64), torch.rand(1, 1000)
    prediction = model(data)
    assert prediction.shape == (1, 1000)
    (prediction - labels).sum().backward()
    before = model.fc.bias.detach().clone()
    torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9).step()
    assert torch.allclose(model.fc.bias, before - 0.01)  # d loss / d bias is 1
    assert all(p.grad is not None for p in model.parameters())


def test_freezing_and_a_new_head() -> None:
    model = resnet18()
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.fc = nn.Linear(512, 10)
    model(torch.rand(2, 3, 32, 32)).sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is not None] == [
        "fc.weight",
        "fc.bias",
    ]


def test_initialisation() -> None:
    torch.manual_seed(0)
    model = resnet18(zero_init_residual=True)
    assert model.layer1[0].bn2.weight.sum().item() == 0.0
    spread = model.layer4[1].conv2.weight.std().item()
    assert spread == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.01)  # Kaiming, fan out


def test_dilation_keeps_the_size() -> None:
    model = models.resnet50(replace_stride_with_dilation=[False, True, True], num_classes=3)
    x = model.maxpool(model.relu(model.bn1(model.conv1(torch.rand(1, 3, 64, 64)))))
    assert model.layer4(model.layer3(model.layer2(model.layer1(x)))).shape == (1, 2048, 8, 8)
    with pytest.raises(ValueError, match="3-element"):
        models.resnet50(replace_stride_with_dilation=[True])
    with pytest.raises(NotImplementedError, match="Dilation"):
        resnet18(replace_stride_with_dilation=[True, True, True])


def test_names() -> None:
    assert (
        "resnet18" in models.list_models()
        and models.list_models(include="vgg*_bn", exclude="*1*") == []
    )
    with pytest.raises(ValueError, match="Unknown model nothing"):
        models.get_model("nothing")
    assert models.get_weight("ResNet18_Weights.DEFAULT") is ResNet18_Weights.IMAGENET1K_V1
    for name in ("ResNet18_Weights", "No_Weights.DEFAULT"):
        with pytest.raises(ValueError, match="Invalid weight name|couldn't be retrieved"):
            models.get_weight(name)


def test_weights_tell_what_they_are() -> None:
    weights = ResNet18_Weights.DEFAULT
    assert repr(weights) == "ResNet18_Weights.IMAGENET1K_V1"
    assert weights.url.endswith("/resnet18-f37072fd.pth")
    assert len(weights.meta["categories"]) == 1000 and weights.meta["categories"][0] == "tench"
    assert weights.transforms()(torch.rand(3, 300, 400)).shape == (3, 224, 224)
    with pytest.raises(TypeError, match="expected ResNet18_Weights"):
        resnet18(weights=models.ResNet50_Weights.DEFAULT)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected value 1000 but got 10"):
        resnet18(weights=weights, num_classes=10)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(hub, "_hub_dir", None)
    return tmp_path / "hub" / "checkpoints"


def test_weights_from_a_file_put_there_by_hand(cache: Path) -> None:
    cache.mkdir(parents=True)
    torch.manual_seed(1)
    source = resnet18()
    torch.save(source.state_dict(), cache / "resnet18-f37072fd.pth")
    model = resnet18(weights=ResNet18_Weights.DEFAULT)
    assert torch.equal(model.fc.weight, source.fc.weight)
    assert torch.equal(resnet18(weights="DEFAULT").conv1.weight, source.conv1.weight)
    with pytest.warns(UserWarning, match="pretrained|weight enum"):
        assert torch.equal(resnet18(pretrained=True).conv1.weight, source.conv1.weight)


def test_offline_says_where_to_put_the_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: Any, **__: Any) -> Any:
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", offline)
    with pytest.raises(RuntimeError, match="Name or service not known") as caught:
        resnet18(weights=ResNet18_Weights.DEFAULT)
    assert ResNet18_Weights.DEFAULT.url in str(caught.value)
    assert str(cache / "resnet18-f37072fd.pth") in str(caught.value)
    assert list(cache.iterdir()) == []


def test_a_download_is_checked_and_kept(cache: Path, tmp_path: Path) -> None:
    served = tmp_path / "served.pth"
    torch.save({"w": torch.arange(3)}, served)
    digest = hashlib.sha256(served.read_bytes()).hexdigest()
    named = tmp_path / f"net-{digest[:8]}.pth"
    named.write_bytes(served.read_bytes())
    state = hub.load_state_dict_from_url(named.as_uri(), progress=False, check_hash=True)
    assert state["w"].tolist() == [0, 1, 2]
    named.unlink()
    assert hub.load_state_dict_from_url(named.as_uri())["w"].tolist() == [0, 1, 2]  # from the cache
    wrong = tmp_path / "net-00000000.pth"
    wrong.write_bytes(served.read_bytes())
    with pytest.raises(RuntimeError, match='expected "00000000"'):
        hub.load_state_dict_from_url(wrong.as_uri(), progress=False, check_hash=True)
    assert [path.name for path in cache.iterdir()] == [f"net-{digest[:8]}.pth"]


def test_a_checkpoint_zipped_once_more(cache: Path, tmp_path: Path) -> None:
    torch.save({"w": torch.arange(2)}, tmp_path / "inner.pth")
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as archive:
        archive.write(tmp_path / "inner.pth", "inner.pth")
    url = (tmp_path / "outer.zip").as_uri()
    assert hub.load_state_dict_from_url(url, progress=False)["w"].tolist() == [0, 1]


def test_hub_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(hub, "_hub_dir", None)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert hub.get_dir() == str(tmp_path / "hub")
    hub.set_dir(tmp_path / "mine")
    assert hub.get_dir() == str(tmp_path / "mine")


def test_local_models(tmp_path: Path) -> None:
    (tmp_path / "hubconf.py").write_text(
        "dependencies = ['json']\n"
        "import helper\n"
        "def net(size, bias=True):\n"
        "    'A small net.'\n"
        "    return helper.make(size, bias)\n"
        "def _hidden(): ...\n"
    )
    (tmp_path / "helper.py").write_text("def make(size, bias): return (size, bias)\n")
    assert hub.load(str(tmp_path), "net", 3, source="local", bias=False) == (3, False)
    assert hub.list(str(tmp_path), source="local") == ["net"]
    assert hub.help(str(tmp_path), "net", source="local") == "A small net."
    with pytest.raises(RuntimeError, match="Cannot find callable other"):
        hub.load(str(tmp_path), "other", source="local")
    with pytest.raises(NotImplementedError, match="GitHub"):
        hub.load("pytorch/vision", "resnet18")
    with pytest.raises(ValueError, match="Unknown source"):
        hub.load(str(tmp_path), "net", source="disk")
    with pytest.raises(FileNotFoundError, match="no hub folder"):
        hub.load(str(tmp_path / "none"), "net", source="local")
