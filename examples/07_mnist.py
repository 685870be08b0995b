"""Handwritten digits: a convolutional network that reads 98.5 % of MNIST after one epoch."""

import argparse
import os

import torch
import torch.nn as nn
import torch.nn.functional as F
from torchvision import datasets, transforms

HERE = os.path.dirname(os.path.abspath(__file__))


class Net(nn.Module):
    """Two convolutions with batch normalisation and two linear layers."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5, padding=2)
        self.bn1 = nn.BatchNorm2d(16)
        self.conv2 = nn.Conv2d(16, 32, 5, padding=2)
        self.bn2 = nn.BatchNorm2d(32)
        self.dropout = nn.Dropout(0.25)
        self.fc1 = nn.Linear(32 * 7 * 7, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.max_pool2d(F.relu(self.bn2(self.conv2(x))), 2)
        x = self.dropout(torch.flatten(x, 1))
        x = F.relu(self.fc1(x))
        return F.log_softmax(self.fc2(x), dim=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=os.path.join(HERE, "data"))
    parser.add_argument("--limit", type=int, default=60000, help="training pictures to use")
    args = parser.parse_args()

    torch.manual_seed(1)
    transform = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    )
    trainset = datasets.MNIST(args.data, train=True, transform=transform)
    testset = datasets.MNIST(args.data, train=False, transform=transform)
    trainset = torch.utils.data.Subset(trainset, range(args.limit))
    trainloader = torch.utils.data.DataLoader(trainset, batch_size=64, shuffle=True)
    testloader = torch.utils.data.DataLoader(testset, batch_size=1000)

    model = Net()
    steps = len(trainloader)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step, (images, labels) in enumerate(trainloader):
        optimizer.zero_grad()
        loss = F.nll_loss(model(images), labels)
        loss.backward()
        optimizer.step()
        scheduler.step()
        if step % 100 == 0:
            print(f"[{step * 64:5d}/{args.limit}] loss: {loss.item():.4f}")

    model.eval()
    correct = 0
    with torch.no_grad():
        for images, labels in testloader:
            correct += (model(images).argmax(1) == labels).sum().item()
    print(f"Accuracy on the {len(testset)} test digits: {100 * correct / len(testset):.2f} %")


if __name__ == "__main__":
    main()
