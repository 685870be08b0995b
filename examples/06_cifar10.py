"""A classifier of CIFAR-10 pictures: load, train, save, load back, test, draw.

`make demo` runs it as `python -m rushlight examples/06_cifar10.py`; real PyTorch and torchvision
run it unchanged. Pictures are written to the folder given by `--out`.
"""

import argparse
import os
import time

import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
import torchvision
import torchvision.transforms as transforms

HERE = os.path.dirname(os.path.abspath(__file__))
CLASSES = ("plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Net(nn.Module):
    """Two convolutions (3 → 6 → 16 channels) and three linear layers (120, 84, 10)."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.pool = nn.MaxPool2d(2, 2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = self.pool(F.relu(self.conv1(x)))
        x = self.pool(F.relu(self.conv2(x)))
        x = torch.flatten(x, 1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


def progress(iterable, description):
    """A progress bar, if tqdm is installed."""
    try:
        from tqdm import tqdm
    except ImportError:
        return iterable
    return tqdm(iterable, desc=description, unit="batch", leave=False)


def load(root, batch_size, workers):
    """Loaders of the training and test pictures, with values from -1 to 1."""
    transform = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))]
    )
    trainset = torchvision.datasets.CIFAR10(root, train=True, download=True, transform=transform)
    testset = torchvision.datasets.CIFAR10(root, train=False, download=True, transform=transform)
    options = {"batch_size": batch_size, "num_workers": workers}
    trainloader = torch.utils.data.DataLoader(trainset, shuffle=True, **options)
    testloader = torch.utils.data.DataLoader(testset, shuffle=False, **options)
    return trainloader, testloader


def train(net, loader, epochs, report_every):
    """Stochastic gradient descent with momentum; prints and returns the running losses."""
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
    history = []
    for epoch in range(epochs):
        running_loss = 0.0
        for i, data in enumerate(progress(loader, f"epoch {epoch + 1}"), 0):
            inputs, labels = data
            optimizer.zero_grad()
            outputs = net(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
            if i % report_every == report_every - 1:
                print(f"[{epoch + 1}, {i + 1:5d}] loss: {running_loss / report_every:.3f}")
                history.append(running_loss / report_every)
                running_loss = 0.0
    print("Finished Training")
    return history


def test(net, loader):
    """Counts of true (rows) and predicted (columns) classes over the test pictures."""
    confusion = [[0] * len(CLASSES) for _ in CLASSES]
    with torch.no_grad():
        for images, labels in loader:
            _, predicted = torch.max(net(images), 1)
            for label, prediction in zip(labels, predicted):
                confusion[label][prediction] += 1
    return confusion


def report(confusion):
    """Prints the accuracy over all pictures and of each class."""
    total = sum(map(sum, confusion))
    correct = sum(confusion[i][i] for i in range(len(CLASSES)))
    print(f"Accuracy of the network on the {total} test images: {100 * correct // total} %")
    for i, name in enumerate(CLASSES):
        accuracy = 100 * confusion[i][i] / max(sum(confusion[i]), 1)
        print(f"Accuracy for class: {name:5s} is {accuracy:.1f} %")
    return 100 * correct / total


def draw(net, loader, history, confusion, report_every, out):
    """Writes predictions.png, loss.png and confusion.png, if matplotlib is installed."""
    try:
        import matplotlib
    except ImportError:
        print('no pictures drawn: matplotlib is missing (pip install "rushlight[plot]")')
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    images, labels = [], []
    for x, y in loader:
        images.append(x)
        labels.append(y)
        if sum(len(v) for v in labels) >= 24:
            break
    images, labels = torch.cat(images)[:24], torch.cat(labels)[:24]
    with torch.no_grad():
        predicted = net(images).argmax(1)
    figure, axes = plt.subplots(4, 6, figsize=(9, 6.6))
    for ax, image, label, guess in zip(axes.flat, images, labels, predicted):
        ax.imshow((image / 2 + 0.5).permute(1, 2, 0).numpy())
        color = "green" if label == guess else "crimson"
        ax.set_title(f"{CLASSES[label]} → {CLASSES[guess]}", fontsize=8, color=color)
        ax.axis("off")
    figure.suptitle("test pictures: true → predicted")
    figure.tight_layout()
    figure.savefig(os.path.join(out, "predictions.png"), dpi=110)

    figure, ax = plt.subplots(figsize=(6, 3.5))
    ax.plot([report_every * (i + 1) for i in range(len(history))], history, marker="o")
    ax.set(xlabel="batches", ylabel="running loss", title="training loss")
    figure.tight_layout()
    figure.savefig(os.path.join(out, "loss.png"), dpi=110)

    figure, ax = plt.subplots(figsize=(5.5, 5))
    ax.imshow(confusion, cmap="Blues")
    ax.set_xticks(range(10), CLASSES, rotation=45)
    ax.set_yticks(range(10), CLASSES)
    for i, row in enumerate(confusion):
        for j, count in enumerate(row):
            ax.text(j, i, count, ha="center", va="center", fontsize=7)
    ax.set(xlabel="predicted", ylabel="true", title="confusion matrix")
    figure.tight_layout()
    figure.savefig(os.path.join(out, "confusion.png"), dpi=110)
    print(f"pictures: {out}/predictions.png, loss.png, confusion.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=os.path.join(HERE, "data"))
    parser.add_argument("--out", default=os.path.join(HERE, "out"))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--report-every", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)

    torch.manual_seed(args.seed)
    trainloader, testloader = load(args.data, args.batch_size, args.workers)
    dataiter = iter(trainloader)
    images, labels = next(dataiter)
    print(
        "some training pictures:", " ".join(f"{CLASSES[labels[j]]:5s}" for j in range(len(labels)))
    )
    grid = torchvision.utils.make_grid(images)
    print("as one grid:", tuple(grid.shape))
    del dataiter

    net = Net()
    print(net)
    start = time.perf_counter()
    history = train(net, trainloader, args.epochs, args.report_every)
    print(f"trained {args.epochs} epochs in {time.perf_counter() - start:.1f} s")

    path = os.path.join(args.out, "cifar_net.pth")
    torch.save(net.state_dict(), path)
    net = Net()
    print(net.load_state_dict(torch.load(path)))

    dataiter = iter(testloader)
    images, labels = next(dataiter)
    print("GroundTruth: ", " ".join(f"{CLASSES[labels[j]]:5s}" for j in range(len(labels))))
    _, predicted = torch.max(net(images), 1)
    print("Predicted:   ", " ".join(f"{CLASSES[predicted[j]]:5s}" for j in range(len(labels))))
    del dataiter

    confusion = test(net, testloader)
    report(confusion)
    draw(net, testloader, history, confusion, args.report_every, args.out)


if __name__ == "__main__":
    main()
