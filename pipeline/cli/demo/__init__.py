"""Everything on one machine, with a simulated market."""
