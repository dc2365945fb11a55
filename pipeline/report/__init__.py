"""Pictures and pages for people. Frames in, text out: nothing here reads tables, writes files or knows Dagster."""

from pipeline.report.page import render_fleet_page
from pipeline.report.picture import draw_month_picture, draw_month_png
from pipeline.transform.sun.time_basis import judge_time_basis

__all__ = ["draw_month_picture", "draw_month_png", "judge_time_basis", "render_fleet_page"]
