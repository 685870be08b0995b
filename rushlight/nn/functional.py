"""`torch.nn.functional`: the stateless forms of the layers, from the op files."""

from __future__ import annotations

from rushlight.ops.activation import (
    gelu,
    glu,
    hardshrink,
    logsigmoid,
    prelu,
    relu,
    relu_,
    rrelu,
    rrelu_,
    silu,
    softplus,
    softshrink,
    softsign,
    tanhshrink,
)  # fmt: skip
from rushlight.ops.attention import scaled_dot_product_attention
from rushlight.ops.conv import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)  # fmt: skip
from rushlight.ops.ctc import ctc_loss
from rushlight.ops.distance import cosine_similarity, pairwise_distance, pdist
from rushlight.ops.dropout import (
    alpha_dropout,
    dropout,
    feature_alpha_dropout,
    feature_dropout,
)  # fmt: skip
from rushlight.ops.embedding import embedding, one_hot
from rushlight.ops.embedding_bag import embedding_bag
from rushlight.ops.fold import (
    channel_shuffle,
    fold,
    native_channel_shuffle,
    pixel_shuffle,
    pixel_unshuffle,
    unfold,
)  # fmt: skip
from rushlight.ops.fractional_pool import (
    fractional_max_pool2d,
    fractional_max_pool2d_with_indices,
    fractional_max_pool3d,
    fractional_max_pool3d_with_indices,
)  # fmt: skip
from rushlight.ops.grid import affine_grid, grid_sample
from rushlight.ops.interpolate import (
    interpolate,
    upsample,
    upsample_bilinear,
    upsample_nearest,
)  # fmt: skip
from rushlight.ops.linear import bilinear, linear
from rushlight.ops.loss import cross_entropy, mse_loss, nll_loss
from rushlight.ops.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cosine_embedding_loss,
    gaussian_nll_loss,
    hinge_embedding_loss,
    huber_loss,
    kl_div,
    l1_loss,
    margin_ranking_loss,
    multi_margin_loss,
    multilabel_margin_loss,
    multilabel_soft_margin_loss,
    poisson_nll_loss,
    smooth_l1_loss,
    soft_margin_loss,
    triplet_margin_loss,
    triplet_margin_with_distance_loss,
)  # fmt: skip
from rushlight.ops.norm import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
    normalize,
    rms_norm,
)  # fmt: skip
from rushlight.ops.pad import pad
from rushlight.ops.pool import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
    max_pool1d,
    max_pool1d_with_indices,
    max_pool2d,
    max_pool2d_with_indices,
    max_pool3d,
    max_pool3d_with_indices,
    max_unpool1d,
    max_unpool2d,
    max_unpool3d,
)  # fmt: skip
from rushlight.ops.softmax import gumbel_softmax, log_softmax, softmax, softmin
from rushlight.ops.unary import sigmoid, tanh
from rushlight.ops.units import (
    celu,
    celu_,
    elu,
    elu_,
    hardsigmoid,
    hardswish,
    hardtanh,
    hardtanh_,
    leaky_relu,
    leaky_relu_,
    mish,
    relu6,
    selu,
    selu_,
    threshold,
    threshold_,
)  # fmt: skip

dropout1d = dropout2d = dropout3d = feature_dropout
