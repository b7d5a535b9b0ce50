"""Everything that knows metrical-tracker: nobody else spells its keys, orders or file names.

Reading goes down one way: `torch_zip` (the archive), `plain_pickle` and `skeleton` (the data in it),
`torch_file` (which of torch's formats), `stored` (the tracker's keys), `camera_blocks` (is the camera
sound), then `frame_file` for one file and `sequence` for a run. Those eight also run on the pods, for
`begin` and `finish`, which stand before and after the tracker in a job, with `layout`: Python 3.8,
numpy 1.20, no torch.
"""
