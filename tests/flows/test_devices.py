import ctypes
import sys

import pytest
import torch

from flows import devices
from flows.devices import in_precision, resolved
from flows.stage_settings import StageSettings, with_settings
from models.core.errors import BadInput
from models.separation import precision
from tasks.stages.separate import separate


def refused(name):
    raise OSError(name)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere torch is asked")
def test_where_no_driver_is_torch_is_not_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(ctypes, "CDLL", refused)
    monkeypatch.setattr(devices, "ROCM", tmp_path / "none")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: pytest.fail("asked"))
    assert resolved("auto") == "cpu"
    with pytest.raises(BadInput, match="no CUDA device"):
        resolved("cuda")


@pytest.mark.parametrize("there", [True, False])
def test_with_a_driver_torch_says_whether_there_is_a_device(monkeypatch, there, tmp_path):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_90"])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    assert resolved("auto") == ("cuda" if there else "cpu")
    assert resolved("cpu") == "cpu"
    monkeypatch.setattr(ctypes, "CDLL", refused)
    monkeypatch.setattr(devices, "ROCM", tmp_path)
    assert resolved("auto") == ("cuda" if there else "cpu"), "AMD's driver is another"


def test_a_card_that_this_torch_has_no_code_for_is_not_used(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_90"])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (6, 1))
    assert resolved("auto") == "cpu"
    with pytest.raises(BadInput, match="no CUDA device"):
        resolved("cuda")


def cpu(folder, line):
    (folder / "cpuinfo").write_text(f"processor\t: 0\n{line}\nbogomips\t: 1\n")
    return folder / "cpuinfo"


@pytest.mark.parametrize(
    ("line", "means"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 amx_tile", "bfloat16"),
        ("flags\t\t: fpu avx2 avx512f", "float32"),
        ("Features\t: fp asimd bf16", "bfloat16"),
        ("model name\t: flags : bf16", "float32"),
    ],
)
def test_auto_is_bfloat16_where_the_processor_has_it(monkeypatch, tmp_path, line, means):
    monkeypatch.setattr(precision, "_CPU", cpu(tmp_path, line))
    assert precision.resolved("auto", "cpu") == means
    monkeypatch.setattr(precision, "_CPU", tmp_path / "none")
    assert precision.resolved("auto", "cpu") == "float32"


@pytest.mark.parametrize(("has", "means"), [(True, "bfloat16"), (False, "float32")])
def test_auto_on_a_gpu_is_what_the_gpu_has(monkeypatch, has, means):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has)
    assert precision.resolved("auto", "cuda") == means
    assert precision.resolved("float16", "cuda") == "float16"


def test_a_result_is_kept_under_the_precision_that_auto_stands_for(monkeypatch, tmp_path):
    asked = [f"{stage}.precision=auto" for stage in ("separate", "split_vocals")]
    asked = with_settings(asked)
    keys = []
    for line in ("flags : avx512_bf16", "flags : sse2"):
        monkeypatch.setattr(precision, "_CPU", cpu(tmp_path, line))
        found = in_precision(asked, "cpu")
        assert found.separate.precision == found.split_vocals.precision != "auto"
        inputs = {"separator": "band-mask", "settings": found.separate, "seed": 0, "device": "cpu"}
        keys.append(separate.key(inputs))
    exact = {"separator": "band-mask", "settings": StageSettings().separate, "seed": 0, "device": "cpu"}
    assert keys[0] != keys[1] == separate.key(exact)


def test_float16_is_refused_before_anything_is_computed():
    with pytest.raises(BadInput, match="float16 is for a GPU only"):
        in_precision(with_settings(["split_vocals.precision=float16"]), "cpu")
