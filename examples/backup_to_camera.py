"""From a backup and the video to cameras in numpy and to a trainer's files. No pod, no inventory."""

# %% The crop is found by bbox.pt where there is one, else by the tracker's own pictures
import numpy as np

import being_remote as br

recovery = br.recover("backups/roman", video="roman.mp4")
print(recovery)  # look at the grade before you trust it: docs/recover.md says what each one means
print(recovery.crop)

# %% One camera, a pose for each frame: arrays, float64, metres and pixels
cameras = recovery.cameras
print("K, corner convention:\n", cameras.K)
print("K for OpenCV:\n", cameras.K_opencv)

# %% Where is a point of the head in the original frames?
between_the_eyes = np.array([0.0, 0.03, 0.06])  # metres, FLAME's axes: y up, z towards the camera
pixels = cameras.project(between_the_eyes)[:, 0]
for frame, (x, y) in zip(cameras.ids[:3], pixels, strict=False):
    print(f"frame {frame:05d}: x {x:.1f} px, y {y:.1f} px")

# %% Files for trainers, with a page to look at first
report = recovery.export(["nerfstudio", "colmap"], out="for-trainers")
print("open", "for-trainers/report.html")
for export in report.exports:
    print(export.name, "->", export.folder)
