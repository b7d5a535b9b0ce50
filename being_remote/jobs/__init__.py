"""Jobs on a plain container: their specs, how they are submitted, seen, judged and cancelled.

Everything here is handed a `Session`; nothing here opens one or knows what a camera is. What runs
on the host is `pod/`. The guarantee: of each (job, attempt) the payload starts at most once.
"""
