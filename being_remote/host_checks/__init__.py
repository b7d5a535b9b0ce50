"""Checks of a host, one class each: used by doctor, before a dispatch and before a failover."""
