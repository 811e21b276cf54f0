"""Judgement, pure: what a measurement means. Nothing here knows Faust, Redis or a clock."""
