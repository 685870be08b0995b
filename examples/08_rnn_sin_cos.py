"""A recurrent network that reads a sine and writes the cosine; draws the fit."""

import argparse
import os

import numpy as np
import torch
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
TIME_STEP = 10


class RNN(nn.Module):
    """One recurrent layer of 32 units and a linear read-out at every step."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(input_size=1, hidden_size=32, num_layers=1, batch_first=True)
        self.out = nn.Linear(32, 1)

    def forward(self, x, h_state):
        r_out, h_state = self.rnn(x, h_state)
        return self.out(r_out), h_state


def curves(step):
    """Times, sine and cosine of one stretch of half a period."""
    start, end = step * np.pi, (step + 1) * np.pi
    times = np.linspace(start, end, TIME_STEP, dtype=np.float32, endpoint=False)
    return times, np.sin(times), np.cos(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--out", default=os.path.join(HERE, "out"))
    args = parser.parse_args()

    torch.manual_seed(0)
    rnn = RNN()
    print(rnn)
    optimizer = torch.optim.Adam(rnn.parameters(), lr=0.02)
    loss_func = nn.MSELoss()
    h_state = None
    fit = []
    for step in range(args.steps):
        times, sine, cosine = curves(step)
        x = torch.from_numpy(sine[np.newaxis, :, np.newaxis])
        y = torch.from_numpy(cosine[np.newaxis, :, np.newaxis])
        prediction, h_state = rnn(x, h_state)
        h_state = h_state.data  # the next stretch starts from here, without its history
        loss = loss_func(prediction, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        fit.append((times, cosine, prediction.data.numpy().flatten()))
        if step % 20 == 19:
            print(f"step {step + 1:3d}  loss {loss.item():.6f}")
    draw(fit[-6:], args.out)


def draw(fit, out):
    """Writes rnn.png: the cosine and the network's line over the last stretches."""
    try:
        import matplotlib
    except ImportError:
        print('no picture drawn: matplotlib is missing (pip install "rushlight[plot]")')
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    os.makedirs(out, exist_ok=True)
    times, cosine, prediction = (np.concatenate(parts) for parts in zip(*fit))
    figure, ax = plt.subplots(figsize=(8, 3.5))
    ax.plot(times, cosine, "r-", label="cos")
    ax.plot(times, prediction, "b--", label="network")
    ax.legend()
    figure.savefig(os.path.join(out, "rnn.png"), dpi=110)
    print(f"picture: {out}/rnn.png")


if __name__ == "__main__":
    main()
