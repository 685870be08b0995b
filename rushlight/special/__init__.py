"""`torch.special`: special functions."""
