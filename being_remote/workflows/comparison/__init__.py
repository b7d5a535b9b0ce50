"""What `compare` is made of: the two sides, and what their differences mean."""
