"""Which stage takes what which other gives: the graph of a remix, from which its drawings are made."""

AFTER: dict[str, tuple[str, ...]] = {
    "ingest": (),
    "separate": ("ingest",),
    "split_vocals": ("separate",),
    "track_f0": ("split_vocals", "ingest"),
    "convert": ("split_vocals", "track_f0"),
    "analyse": ("separate",),
    "transcribe": ("separate", "split_vocals", "track_f0"),
    "transpose": ("separate", "split_vocals"),
    "accompany": ("transcribe", "analyse"),
    "extend": ("accompany", "transcribe", "analyse"),
    "render": ("accompany", "extend"),
    "mix": ("convert", "split_vocals", "separate", "transpose", "render", "extend"),
    "measure": ("mix",),
    "publish": ("measure",),
}
"""For each stage, the stages whose results it takes. The tests hold it against what the stages of a remix are given."""
