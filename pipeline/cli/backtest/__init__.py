"""What recorded signals are worth."""
