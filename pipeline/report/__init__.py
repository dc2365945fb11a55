"""Pictures and pages for people. Frames in, text out: nothing here reads tables, writes files or knows Dagster."""
