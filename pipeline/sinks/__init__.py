"""Where the pipeline's output is put for others to read: Redis, as a projection of the output topics."""
