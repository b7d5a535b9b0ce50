"""Parts of safe-to-stop: what lies on a host, what of it is at home, who is at work there."""
