"""Frames of a video or a folder, and single pictures, read exactly and with bounds."""
