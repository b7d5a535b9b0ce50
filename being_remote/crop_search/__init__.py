"""The crop without bbox.pt: found by comparing what the tracker stored with the original frames.

`from_images` needs the stored crops and answers with whole numbers that were checked by making the
crop again; `check_crop` checks a known crop the same way. Every answer carries a grade and its
evidence; a source that does not fit ends in `unknown`. Which files the pictures are, and which frame
belongs to which, is for the caller.
"""
