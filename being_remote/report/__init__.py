"""Pictures for people to check by. Knows frames and cameras, never hosts; writes no files itself."""
