"""Makes `import torchaudio` work beside a CPU build of torch; import this before so_vits_svc_fork or transformers.

torchaudio is published for CUDA alone: against a CPU build of torch its compiled extension cannot be loaded, since it
links to libc10_cuda.so, and its import fails with it. so-vits-svc-fork and transformers import torchaudio for
resampling and spectrograms, which are plain torch. So where the extension does not load, an empty module stands in for
it, and torchaudio takes itself for a build without one.
"""

import sys
from types import ModuleType

try:
    import torchaudio
except OSError:
    for _name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
        del sys.modules[_name]
    _without = ModuleType("torchaudio._extension")
    for _flag in ("_IS_TORCHAUDIO_EXT_AVAILABLE", "_IS_RIR_AVAILABLE", "_IS_ALIGN_AVAILABLE"):
        setattr(_without, _flag, False)
    _without.fail_if_no_align = lambda function: function  # type: ignore[attr-defined]
    sys.modules["torchaudio._extension"] = _without
    import torchaudio

torchaudio_version: str = torchaudio.__version__
