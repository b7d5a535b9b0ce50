"""One pass of a sync over an actor's files, the watch that repeats it, and what a change of run means."""
