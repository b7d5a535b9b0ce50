"""Where the supervisors of a host's jobs run: the seam between `jobs/` and a host's way to start them."""
