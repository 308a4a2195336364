"""One page that shows a remix and measures it."""

from models.report.numbers import measure
from models.report.page import page
from models.report.pictures import draw, summary_pictures
from models.report.records import Curve, Drawings, Figure, Numbers, Outline, ReportInput, Spectrogram, StageRun

__all__ = [
    "Curve",
    "Drawings",
    "Figure",
    "Numbers",
    "Outline",
    "ReportInput",
    "Spectrogram",
    "StageRun",
    "draw",
    "measure",
    "page",
    "summary_pictures",
]
