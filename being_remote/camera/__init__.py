"""The math core: what a crop does to a camera. Pure numpy, no files, raises ValueError only.

One pixel convention everywhere: edges lie on integers, an image of width W spans [0, W], the centre
of its first pixel is 0.5 and a centred principal point is W / 2 (PyTorch3D, COLMAP, nerfstudio, and
the K in `.frame` files). OpenCV counts from pixel centres: names with `_opencv` mean that. Sizes are
(width, height), `size_wh`. Cameras are world-to-camera R, t in OpenCV axes: x right, y down, z forward.

It imports nothing of ours and also runs on the pods: Python 3.8, numpy 1.20.
"""
