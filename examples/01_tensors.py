"""Tensors: making them, looking at them, computing with them, sharing memory with NumPy.

Run it with `python -m rushlight examples/01_tensors.py`; real PyTorch runs it unchanged.
"""

import numpy as np
import torch

torch.manual_seed(0)

# ---- from data, from NumPy, from another tensor ----

data = [[1, 2], [3, 4]]
x_data = torch.tensor(data)
x_np = torch.from_numpy(np.array(data))
print(f"From a list:\n {x_data}\nFrom NumPy:\n {x_np}\n")

x_ones = torch.ones_like(x_data)  # keeps shape and dtype
print(f"Ones Tensor: \n {x_ones} \n")

x_rand = torch.rand_like(x_data, dtype=torch.float)  # keeps the shape only
print(f"Random Tensor: \n {x_rand} \n")

# ---- of a given shape ----

shape = (2, 3)
print(f"Random Tensor: \n {torch.rand(shape)} \n")
print(f"Ones Tensor: \n {torch.ones(shape)} \n")
print(f"Zeros Tensor: \n {torch.zeros(shape)}")
print(torch.empty(5, 3).shape)  # not set: only the shape is known
print(torch.zeros(5, 3, dtype=torch.long))
print(torch.tensor([5.5, 3]))
x = torch.randn(2, 2, dtype=torch.double)
print(x, x.size())
print(torch.randn_like(x, dtype=torch.float))

# ---- what a tensor says about itself ----

tensor = torch.rand(3, 4)
print(f"Shape of tensor: {tensor.shape}")
print(f"Datatype of tensor: {tensor.dtype}")
print(f"Device tensor is stored on: {tensor.device}")

# ---- indexing and assignment, as in NumPy ----

if torch.cuda.is_available():
    tensor = tensor.to("cuda")
tensor = torch.ones(4, 4)
tensor[:, 1] = 0
print(tensor)
print(tensor[0], tensor[..., -1], tensor[1, 1], tensor[:2, 1:3].shape)

# ---- joining and multiplying ----

t1 = torch.cat([tensor, tensor, tensor], dim=1)
print(t1)
print(f"tensor.mul(tensor) \n {tensor.mul(tensor)} \n")
print(f"tensor * tensor \n {tensor * tensor}")
print(f"tensor.matmul(tensor.T) \n {tensor.matmul(tensor.T)} \n")
print(f"tensor @ tensor.T \n {tensor @ tensor.T}")

# ---- adding, four ways ----

x, y = torch.rand(5, 3), torch.rand(5, 3)
result = torch.empty(5, 3)
torch.add(x, y, out=result)
print(torch.equal(x + y, torch.add(x, y)), torch.equal(result, x + y))
print(x + y)

# ---- in place: the names that end in an underscore ----

print(tensor, "\n")
tensor.add_(5)
print(tensor)
y.sub_(x)
m = torch.zeros(2, 3)
m.copy_(torch.arange(6.0).view(2, 3))
print(m.t_())
print(m.zero_())

# ---- one piece of memory, seen from both sides ----

t = torch.ones(5)
n = t.numpy()
print(f"t: {t}")
print(f"n: {n}")
t.add_(1)
print(f"t: {t}")
print(f"n: {n}")

n = np.ones(5)
t = torch.from_numpy(n)
np.add(n, 1, out=n)
print(f"t: {t}")
print(f"n: {n}")
