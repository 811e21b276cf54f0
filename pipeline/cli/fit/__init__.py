"""Profiles fitted to recorded data."""
