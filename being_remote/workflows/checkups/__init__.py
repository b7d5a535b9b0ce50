"""Parts of hosts and doctor: one probe for each host, and what its answer means."""
