"""What of a pod is not local yet, and what is still at work on it."""
