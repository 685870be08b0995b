"""Every optimizer over ResNet-18's parameters (62 tensors, 11.7 M values).

The reference runs its fused form where it has one (SGD, Adam, AdamW, Adagrad), else its default.
"""

from ._common import Work, rs, workload
from ._models import resnet18

FUSED = {"SGD", "Adam", "AdamW", "Adagrad"}
OPTIMIZERS = {
    "sgd": ("SGD", {}),
    "sgd_momentum": ("SGD", {"momentum": 0.9, "weight_decay": 1e-4}),
    "adam": ("Adam", {}),
    "adam_amsgrad": ("Adam", {"amsgrad": True}),
    "adamw": ("AdamW", {}),
    "adagrad": ("Adagrad", {}),
    "adadelta": ("Adadelta", {}),
    "adamax": ("Adamax", {}),
    "asgd": ("ASGD", {}),
    "nadam": ("NAdam", {}),
    "radam": ("RAdam", {}),
    "rmsprop": ("RMSprop", {}),
    "rmsprop_momentum": ("RMSprop", {"momentum": 0.9, "centered": True}),
    "rprop": ("Rprop", {}),
}


@workload("optim_resnet", kind=list(OPTIMIZERS))
def optim_resnet(torch, ctx, kind):
    model = ctx.load(resnet18(torch), "resnet18")
    params = list(model.parameters())
    for i, p in enumerate(params):
        p.grad = ctx.t(rs("og", i).standard_normal(tuple(p.shape)).astype("float32") * 0.01)
    name, options = OPTIMIZERS[kind]
    if name in FUSED:
        options = {**options, "fused": True}
    optimizer = getattr(torch.optim, name)(params, lr=ctx.lr(0.01), **options)

    def step():
        optimizer.step()

    return Work(
        step,
        samples=sum(p.numel() for p in params),
        check_steps=8,  # RAdam leaves its warm-up in the sixth step
        outputs=ctx.small_params(model, 40000),
    )
