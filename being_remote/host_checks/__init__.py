"""Checks of a host, one class each, and the report that they make; handed open sessions, never opens one."""
