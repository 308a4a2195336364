"""NumPy arrays by element type; shapes are stated where they are used. `Samples` (audio) is in `models.core.types`."""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
DoubleArray = NDArray[np.float64]
HalfArray = NDArray[np.float16]
ComplexArray = NDArray[np.complex64]
BoolArray = NDArray[np.bool_]
ByteArray = NDArray[np.uint8]
Int16Array = NDArray[np.int16]
IntArray = NDArray[np.int64]
IndexArray = NDArray[np.intp]
