"""Parts of sync: which of a host's files are an actor's, whether it holds another run, what to report."""
