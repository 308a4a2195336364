"""Source separation: a song to its stems, and vocals to lead and backing.

settings       settings of inference, without torch
separate       streaming inference: `split` yields the sources block by block
overlap_add    segments through the network, weighted, overlap-added, averaged over passes
batching       segments of concurrent songs stacked into one forward pass
precision      "auto" resolved to float32 or bfloat16 on a device
checkpoints    loading and saving separators, from a fixed list of classes
stems          any network's sources mapped to drums, bass, other and vocals
lead_backing   backing vocals suppressed where a single voice sings
networks/      BandMask, its multichannel Wiener filter, and the MaskCnn baseline
training/      multitracks, augmentation, mixes, losses, the training loop
evaluation/    SDR, SI-SDR, BSS Eval, baselines, songs with known stems
"""
