"""One module for each verb that a person says: it decides, joins the rest, and prints nothing.

A verb that is too long for one module keeps its parts in a folder beside it: `boxes/` for
find_bbox, `checkups/` for hosts and doctor, `recovery/` for recover, `homecoming/` for sync, `tending/`
for whatever looks after jobs.
"""
