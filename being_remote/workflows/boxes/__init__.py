"""Parts of find-bbox: what is asked of a host, whose a box is, whether it can be used, which one to take."""
