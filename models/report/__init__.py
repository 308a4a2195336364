"""One page that shows a remix and measures it."""

from models.report.numbers import measure
from models.report.page import page
from models.report.pictures import summary_pictures
from models.report.records import Curve, Figure, Numbers, ReportInput, StageRun

__all__ = ["Curve", "Figure", "Numbers", "ReportInput", "StageRun", "measure", "page", "summary_pictures"]
