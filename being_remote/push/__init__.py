"""Uploads for a tracking: an actor's input, or a checkout of the tracker."""
