"""Candidates for a crop box from hosts and this laptop: whose they are, and which one counts."""
