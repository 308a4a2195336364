"""The Music Transformer: continues a song on its beat grid and generates a band for its melody.

settings            GenerateSettings and the parameters of one draw
generate            extend and accompany: scores in, scores out
quantize            a score on the tick grid of its beats, and back to seconds
tokenizer           quantized notes as tokens; the grammar of valid sequences
chords              chord labels and keys as numbers; estimating them from notes
network             the Transformer decoder
requests            what to generate
sampling            drawing events bar by bar, with a key-value cache
ngram_cache         n-gram model of the song itself, interpolated with the network
key_chord_bias      pitch-class bias from key and chords
repetition_penalty  penalties for repeated pitches, full bars, silent tracks
drum_resumption     forces drums that have stopped to play again
training/, evaluation/
"""

from models.generation.generate import Sampler, accompany, extend, sparse_input_warnings
from models.generation.settings import GenerateSettings

__all__ = ["GenerateSettings", "Sampler", "accompany", "extend", "sparse_input_warnings"]
