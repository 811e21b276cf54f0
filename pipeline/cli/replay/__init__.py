"""Recorded files through the pipeline."""
