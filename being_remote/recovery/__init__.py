"""From a local run to its crop, to the cameras of the original video, to the files written."""
