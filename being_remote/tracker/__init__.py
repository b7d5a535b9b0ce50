"""Everything that knows metrical-tracker: no other room spells its keys, orders or file names.

Reading goes down one way: `torch_zip` (the archive), `plain_pickle` and `pickle_skeleton` (the data in
it), `torch_file` (torch's formats), `frame_entries` (the tracker's keys), `camera_blocks` (is the camera
sound), then `frame_file` for one file, `sequence` for a run, and `box_file`. Those run on the pods, too,
with `layout`, `begin` and `finish`: Python 3.8, numpy 1.20, no torch.
"""
