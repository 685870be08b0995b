"""Devices: where tensors live, what CUDA answers without a GPU, and DataParallel."""

import torch
import torch.nn as nn

device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
print(device, torch.device("cuda", 1), torch.device("cpu").type)

print("is_available", torch.cuda.is_available())
print("device_count", torch.cuda.device_count())
torch.cuda.empty_cache()
torch.cuda.manual_seed(0)
torch.cuda.manual_seed_all(0)
for name, call in {
    "current_device": torch.cuda.current_device,
    "get_device_name": lambda: torch.cuda.get_device_name(0),
    "get_device_capability": lambda: torch.cuda.get_device_capability(0),
    "to('cuda')": lambda: torch.zeros(1).to("cuda"),
}.items():
    try:
        print(name, call())
    except (AssertionError, RuntimeError) as error:
        print(name, "raises", type(error).__name__)

# the same program on any device: move the network and every batch
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
net.to(device)
inputs = torch.ones(5, 4).to(device)
print(net(inputs).device, next(net.parameters()).device)

# DataParallel splits a batch over all GPUs; with none it is the module itself
parallel = nn.DataParallel(net)
if torch.cuda.device_count() > 1:
    print("using", torch.cuda.device_count(), "GPUs")
parallel.to(device)
print(torch.equal(parallel(inputs), net(inputs)), parallel.module is net)
print(parallel(inputs))
