"""Content features: alignment, interpolation, loading of encoders, and ContentVec's projection."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from models.conversion.content import (
    CONTENT_RATE,
    content,
    content_size,
    debug_config,
    frame_geometry,
    init_encoder,
    interpolate_content,
    load_encoder,
)
from models.core.errors import BadInput


def test_content_is_aligned_with_the_audio() -> None:
    """A burst changes the frames that it lies in, and what lies around them alike on both sides."""
    encoder = init_encoder(debug_config(), 0).eval()
    _, step = frame_geometry(encoder.config)
    audio = 0.01 * torch.randn(1, CONTENT_RATE, generator=torch.Generator().manual_seed(0))
    burst = audio.clone()
    burst[0, 25 * step - 40 : 25 * step + 40] += 0.5
    with torch.inference_mode():
        features = [encoder.feature_extractor(torch.nn.functional.pad(a, (118, 118)))[0].T for a in (audio, burst)]
        assert content(encoder, audio).shape == (1, CONTENT_RATE // step, 16)
    change = (features[0] - features[1]).abs().sum(dim=1).numpy()
    centre = (np.arange(len(change)) * change).sum() / change.sum()
    assert abs(centre + 0.5 - 25) < 0.3


def test_content_between_frames_is_interpolated() -> None:
    states = torch.tensor([[0.0], [1.0], [4.0]])
    times = torch.tensor([0.0, 0.01, 0.02, 0.03, 0.05, 9.0])
    assert interpolate_content(states, times, 320)[:, 0].tolist() == pytest.approx([0, 0, 0.5, 1, 4, 4])


def test_an_encoder_is_read_from_its_folder(tmp_path: Path) -> None:
    encoder = init_encoder(debug_config(), 3).eval()
    save_file({k: v.half() for k, v in encoder.state_dict().items()}, tmp_path / "model.safetensors")
    encoder.config.to_json_file(tmp_path / "config.json", use_diff=False)
    audio = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(
            content(load_encoder(tmp_path, "cpu"), audio), content(encoder, audio), atol=0.02, rtol=0.02
        )
    with pytest.raises(BadInput, match="no content encoder"):
        load_encoder(tmp_path / "elsewhere", "cpu")


def test_an_encoder_with_contentvecs_names_and_projection_is_read_alike(tmp_path: Path) -> None:
    encoder = init_encoder(debug_config(), 3).eval()
    encoder.config.to_json_file(tmp_path / "config.json", use_diff=False)
    names = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    state = {"final_proj.weight": torch.zeros(4, 16)}
    for name, tensor in encoder.state_dict().items():
        for new, old in names.items():
            name = name.replace(new, old)
        state[name] = tensor.contiguous()
    assert any(name.endswith("weight_g") for name in state)
    save_file(state, tmp_path / "model.safetensors")
    audio = torch.randn(1, CONTENT_RATE // 2, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(content(load_encoder(tmp_path, "cpu"), audio), content(encoder, audio))
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(BadInput, match="cannot be loaded"):
        load_encoder(tmp_path, "cpu")


def test_content_through_the_projection_is_what_the_fork_computes(tmp_path: Path) -> None:
    from so_vits_svc_fork.utils import HubertModelWithFinalProj, get_content

    config = debug_config()
    config.num_hidden_layers, config.classifier_proj_size = 11, 4
    torch.manual_seed(0)
    theirs = HubertModelWithFinalProj(config).eval()
    save_file(
        {name: tensor.contiguous() for name, tensor in theirs.state_dict().items()}, tmp_path / "model.safetensors"
    )
    config.to_json_file(tmp_path / "config.json", use_diff=False)
    ours = load_encoder(tmp_path, "cpu")
    audio = torch.randn(1, CONTENT_RATE // 2, generator=torch.Generator().manual_seed(0))
    span, step = frame_geometry(config)
    margin = (span - step) // 2
    padded = torch.nn.functional.pad(audio, (margin, span - step - margin))
    with torch.inference_mode(), pytest.warns(UserWarning, match="legacy_final_proj"):
        wanted = get_content(theirs, padded, "cpu", CONTENT_RATE, legacy_final_proj=True).transpose(1, 2)
    with torch.inference_mode():
        found = content(ours, audio, projected=True)
        assert found.shape == (1, len(audio[0]) // step, 4)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
        last = get_content(theirs, padded, "cpu", CONTENT_RATE).transpose(1, 2)
        torch.testing.assert_close(content(ours, audio), last, atol=1e-5, rtol=1e-4)
    assert (content_size(ours), content_size(ours, projected=True)) == (16, 4)
    with pytest.raises(BadInput, match="no final_proj"):
        content_size(init_encoder(debug_config(), 0), projected=True)
