"""What Faust lacks: batches, an order over topics, checkpoints, a lease, a store that knows how far it is."""
