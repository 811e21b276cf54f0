"""Files of recorded data: their rows, and what these say."""
