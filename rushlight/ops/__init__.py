"""Operations, one file per family: public function, forward, derivative, method line."""

from __future__ import annotations

from .activation import ActivationMethods
from .arithmetic import ArithmeticMethods
from .choose import ChooseMethods
from .compare import CompareMethods
from .copy import CopyMethods
from .create import CreateMethods
from .cumulative import CumulativeMethods
from .einsum import EinsumMethods
from .expand import ExpandMethods
from .extrema import ExtremaMethods
from .factor import FactorMethods
from .from_data import FromDataMethods
from .gather import GatherMethods
from .index import IndexMethods
from .index_select import IndexSelectMethods
from .linear import LinearMethods
from .logic import LogicMethods
from .masked import MaskedMethods
from .matmul import MatmulMethods
from .numeric import NumericMethods
from .parts import PartsMethods
from .pointwise import PointwiseMethods
from .random import RandomMethods
from .rearrange import RearrangeMethods
from .reduce import ReduceMethods
from .rounding import RoundingMethods
from .scatter import ScatterMethods
from .shape import ShapeMethods
from .softmax import SoftmaxMethods
from .sort import SortMethods
from .special import SpecialMethods
from .spread import SpreadMethods
from .ternary import TernaryMethods
from .transpose import TransposeMethods
from .trigonometry import TrigonometryMethods
from .unary import UnaryMethods

__all__ = ["TensorMethods"]


class TensorMethods(
    ActivationMethods, ArithmeticMethods, ChooseMethods, CompareMethods, CopyMethods,
    CreateMethods, CumulativeMethods, EinsumMethods, ExpandMethods, ExtremaMethods,
    FactorMethods, FromDataMethods, GatherMethods, IndexMethods, IndexSelectMethods,
    LinearMethods, LogicMethods, MaskedMethods, MatmulMethods, NumericMethods, PartsMethods,
    PointwiseMethods, RandomMethods, RearrangeMethods, ReduceMethods, RoundingMethods,
    ScatterMethods, ShapeMethods, SoftmaxMethods, SortMethods, SpecialMethods, SpreadMethods,
    TernaryMethods, TransposeMethods, TrigonometryMethods, UnaryMethods,
):  # fmt: skip
    """All operations that are methods of `Tensor`."""
