"""The one engine that moves files: local paths, plan, fetch, hash comparison, quarantine, staged upload."""
