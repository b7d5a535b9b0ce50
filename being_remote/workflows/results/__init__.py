"""A job's results here: brought file by file while it is followed, or as a whole by `pull`."""
