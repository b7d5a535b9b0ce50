"""One module for each verb that a person says: it decides, joins the rest, and prints nothing.

A verb that is too long for one module keeps its parts in a folder beside it: `boxes/` for
find_bbox, `checkups/` for hosts and doctor, `recovery/` for recover, `comparison/` for compare,
`homecoming/` for sync, `pushing/` for push, `stopping/` for safe_to_stop; and for jobs `tending/` (rows,
looks, sending), `results/` (followed and pulled) and `moving/` (to another pod).
"""
