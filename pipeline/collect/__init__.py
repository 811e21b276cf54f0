"""Live feeds: what the exchanges publish, as the pipeline's messages on Kafka."""
