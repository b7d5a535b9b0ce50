"""Backups: a live tree, and the history that it is made from.

Knows of hosts and bytes. The caller says whether a file is whole, and whether two files are of one run.
"""
