import ctypes
import sys

import pytest
import torch

from flows import devices
from flows.devices import resolved
from models.errors import BadInput


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
