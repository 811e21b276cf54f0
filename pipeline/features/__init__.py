"""Measurement, pure: what the market does. Nothing here knows Faust, Redis or a clock."""
