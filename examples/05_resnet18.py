"""ResNet-18: one training step, then fine-tuning a new last layer while the rest is frozen.

The pretrained weights come from a file in the hub cache, or from the network:

    python -m rushlight examples/05_resnet18.py            # downloads resnet18-f37072fd.pth once
    python -m rushlight examples/05_resnet18.py --random   # random weights, no download
"""

import sys

import torch
from torch import nn, optim
from torchvision.models import ResNet18_Weights, resnet18

torch.manual_seed(0)
weights = None if "--random" in sys.argv else ResNet18_Weights.DEFAULT
model = resnet18(weights=weights)
data = torch.rand(1, 3, 64, 64)
labels = torch.rand(1, 1000)

# ---- one step: forward, backward, update ----

prediction = model(data)
print(prediction.shape)
loss = (prediction - labels).sum()
print(f"loss {loss.item():.4f}")
loss.backward()
sgd = optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)
before = model.conv1.weight.detach().clone()
sgd.step()
print("conv1 changed:", not torch.equal(before, model.conv1.weight))

# ---- fine-tuning: everything frozen but a new last layer for 10 classes ----

model = resnet18(weights=weights)
for param in model.parameters():
    param.requires_grad = False
model.fc = nn.Linear(512, 10)
optimizer = optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)
trained = [name for name, p in model.named_parameters() if p.requires_grad]
print("trained:", trained)

images = torch.rand(8, 3, 64, 64)
targets = torch.randint(10, (8,))
criterion = nn.CrossEntropyLoss()
model.eval()  # the statistics of the frozen layers stay as they are
frozen = model.layer1[0].conv1.weight.clone()
for step in range(5):
    optimizer.zero_grad()
    loss = criterion(model(images), targets)
    loss.backward()
    optimizer.step()
    print(step, f"{loss.item():.4f}")
print("frozen layers unchanged:", torch.equal(frozen, model.layer1[0].conv1.weight))
print(len(model.state_dict()), list(model.state_dict())[:6])
