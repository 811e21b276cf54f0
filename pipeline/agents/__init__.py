"""The Faust agents: thin, one step each."""
