"""What a pod program is asked, and its answer checked strictly: one client for each program, one runner."""
