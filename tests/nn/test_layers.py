"""Layers by closed form, and their argument checks; PyTorch comparisons stand in parity/nn."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch
from rushlight import nn


def test_linear_by_hand() -> None:
    layer = nn.Linear(2, 1)
    layer.weight.data.copy_(torch.tensor([[2.0, 3.0]]))
    layer.bias.data.fill_(1.0)
    assert layer(torch.tensor([[1.0, 1.0], [0.0, 2.0]])).tolist() == [[6.0], [7.0]]


def test_conv_padding_modes_by_hand() -> None:
    x = torch.tensor([[[1.0, 2.0, 3.0]]])
    expected = {
        "zeros": [3.0, 6.0, 5.0],
        "reflect": [5.0, 6.0, 7.0],
        "replicate": [4.0, 6.0, 8.0],
        "circular": [6.0, 6.0, 6.0],
    }
    for mode, values in expected.items():
        conv = nn.Conv1d(1, 1, 3, padding=1, padding_mode=mode, bias=False)
        conv.weight.data.fill_(1.0)
        assert conv(x).flatten().tolist() == values, mode


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "in_channels must be divisible"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), ValueError, "out_channels must be divisible"),
        (lambda: nn.Conv2d(1, 1, 3, padding="full"), ValueError, "Invalid padding string"),
        (lambda: nn.Conv2d(1, 1, 3, padding="same", stride=2), ValueError, "strided"),
        (lambda: nn.Conv2d(1, 1, 3, padding_mode="wrap"), ValueError, "padding_mode must be"),
        (lambda: nn.ConvTranspose2d(1, 1, 3, padding_mode="reflect"), ValueError, "zeros"),
        (lambda: nn.Dropout(1.5), ValueError, "between 0 and 1"),
        (lambda: nn.GroupNorm(3, 4), ValueError, "divisible by num_groups"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), AssertionError, "within num_embeddings"),
        (lambda: nn.RNN(2, 3, nonlinearity="sin"), ValueError, "Unknown nonlinearity"),
        (lambda: nn.GRU(2, 3, proj_size=1), ValueError, "only supported for LSTM"),
        (lambda: nn.LSTM(2, 3, proj_size=3), ValueError, "smaller than hidden_size"),
        (lambda: nn.LSTM(2, 3, dropout=2.0), ValueError, "range"),
        (lambda: nn.MultiheadAttention(5, 2), AssertionError, "divisible by num_heads"),
        (lambda: nn.Unflatten(1, (2, 2.0)), TypeError, "tuple of ints"),
        (lambda: nn.Hardtanh(1.0, -1.0), AssertionError, "larger than min_val"),
        (lambda: nn.MultiMarginLoss(p=3), ValueError, "p == 1 and p == 2"),
    ],
)
def test_constructor_errors(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()


def test_output_size_of_a_transposed_convolution() -> None:
    conv = nn.ConvTranspose1d(1, 1, 3, stride=2)
    x = torch.ones(1, 1, 4)
    assert conv(x).shape[-1] == 9
    assert conv(x, output_size=[10]).shape[-1] == 10
    with pytest.raises(ValueError, match=r"valid sizes range from \[9\] to \[10\]"):
        conv(x, output_size=[11])


def test_batch_norm_running_statistics() -> None:
    norm = nn.BatchNorm1d(1, momentum=0.5)
    norm(torch.tensor([[1.0], [3.0]]))
    assert norm.running_mean.tolist() == [1.0]
    assert norm.running_var.tolist() == [1.5]  # the unbiased variance 2, half way from 1
    assert norm.num_batches_tracked.item() == 1
    norm.eval()
    out = norm(torch.tensor([[1.0]]))
    assert out.item() == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(ValueError, match="expected 2D or 3D input"):
        norm(torch.ones(3))


def test_sync_batch_norm_refuses_training() -> None:
    norm = nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm2d(2)))
    with pytest.raises(ValueError, match="process group"):
        norm(torch.ones(2, 2, 2, 2))
    assert norm.eval()(torch.ones(2, 2, 2, 2)).shape == (2, 2, 2, 2)


def test_embedding_padding_row_has_no_gradient() -> None:
    table = nn.Embedding(4, 2, padding_idx=-1)
    assert table.padding_idx == 3 and table.weight[3].tolist() == [0.0, 0.0]
    table(torch.tensor([3, 1, 1])).sum().backward()
    assert table.weight.grad.tolist() == [[0, 0], [2, 2], [0, 0], [0, 0]]
    frozen = nn.Embedding.from_pretrained(torch.ones(2, 2))
    assert not frozen.weight.requires_grad


def test_rnn_by_hand() -> None:
    rnn = nn.RNN(1, 1, nonlinearity="relu", bias=False)
    rnn.weight_ih_l0.data.fill_(1.0)
    rnn.weight_hh_l0.data.fill_(2.0)
    output, last = rnn(torch.ones(3, 1, 1))
    assert output.flatten().tolist() == [1.0, 3.0, 7.0] and last.item() == 7.0


@pytest.mark.parametrize("kind", [nn.RNN, nn.LSTM, nn.GRU])
def test_packed_equals_single_sequences(kind: Any) -> None:
    torch.manual_seed(0)
    net = kind(2, 3, 2, bidirectional=True)
    sequences = [torch.randn(length, 2) for length in (2, 4, 1)]
    packed = nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)
    output, state = net(packed)
    last = state[0] if isinstance(state, tuple) else state
    padded, lengths = nn.utils.rnn.pad_packed_sequence(output, batch_first=True)
    assert lengths.tolist() == [2, 4, 1]
    for index, sequence in enumerate(sequences):
        alone, alone_state = net(sequence)
        alone_last = alone_state[0] if isinstance(alone_state, tuple) else alone_state
        assert torch.allclose(padded[index, : len(sequence)], alone, atol=1e-6)
        assert torch.allclose(last[:, index], alone_last, atol=1e-6)


def test_rnn_input_errors() -> None:
    net = nn.LSTM(2, 3)
    with pytest.raises(RuntimeError, match="Expected 2, got 5"):
        net(torch.ones(1, 1, 5))
    with pytest.raises(ValueError, match="2D or 3D, got 1D"):
        net(torch.ones(2))
    with pytest.raises(RuntimeError, match=r"Expected hidden\[0\] size"):
        net(torch.ones(1, 1, 2), (torch.ones(1, 2, 3), torch.ones(1, 2, 3)))
    with pytest.raises(RuntimeError, match="should also be 3-D"):
        net(torch.ones(1, 1, 2), (torch.ones(1, 3), torch.ones(1, 3)))
    with pytest.raises(ValueError, match="dtype"):
        net(torch.ones(1, 1, 2).double())


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_lazy_linear_becomes_linear() -> None:
    net = nn.LazyLinear(3)
    assert "Uninitialized" in repr(net.weight)
    with pytest.raises(RuntimeError, match="run the module once"):
        _ = net.weight.shape
    assert net(torch.ones(2, 5)).shape == (2, 3)
    assert type(net) is nn.Linear and net.in_features == 5
    other = nn.LazyLinear(3)
    other.load_state_dict(net.state_dict())
    assert other.weight.shape == (3, 5)


def test_functional_call_and_parametrization() -> None:
    net = nn.Sequential(nn.Linear(2, 1, bias=False))
    call = nn.utils.stateless.functional_call
    out = call(net, {"0.weight": torch.ones(1, 2)}, (torch.tensor([2.0, 3.0]),))
    assert out.item() == 5.0

    class Positive(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.exp()

        def right_inverse(self, y: torch.Tensor) -> torch.Tensor:
            return y.log()

    parametrize = nn.utils.parametrize
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Positive(), unsafe=True)
    layer.weight = torch.full((2, 2), 3.0)
    assert layer.weight.flatten().tolist() == pytest.approx([3.0] * 4, rel=1e-6)
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and isinstance(layer.weight, nn.Parameter)


def test_clipping_and_vectors() -> None:
    weight = nn.Parameter(torch.ones(2))
    weight.grad = torch.tensor([3.0, -4.0])
    assert nn.utils.clip_grad_norm_([weight], 1.0).item() == 5.0
    assert weight.grad.tolist() == pytest.approx([0.6, -0.8], rel=1e-5)
    nn.utils.clip_grad_value_(weight, 0.5)
    assert weight.grad.tolist() == pytest.approx([0.5, -0.5])
    weight.grad = torch.tensor([float("inf"), 0.0])
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_(weight, 1.0, error_if_nonfinite=True)
    net = nn.Linear(2, 1)
    nn.utils.vector_to_parameters(torch.tensor([1.0, 2.0, 3.0]), net.parameters())
    assert net.bias.item() == 3.0
    assert nn.utils.parameters_to_vector(net.parameters()).tolist() == [1.0, 2.0, 3.0]
