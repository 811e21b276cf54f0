"""Live feeds into the topics."""
