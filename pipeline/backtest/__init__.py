"""Does the signal mean anything: events found in recorded data, and how well signals foretell them.

Pure arrays and numbers: no files, no clock, nothing random that has no seed.
"""
