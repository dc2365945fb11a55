"""Pictures and pages for people. Frames in, text out: nothing here reads tables, writes files or knows Dagster."""

from pipeline.report.page import fleet_page
from pipeline.report.picture import month_picture, month_png
from pipeline.transform.sun.time_basis import time_basis_verdict

__all__ = ["fleet_page", "month_picture", "month_png", "time_basis_verdict"]
