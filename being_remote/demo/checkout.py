"""A checkout of the tracker on a throw-away pod: the stand-in under the tracker's name."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from being_remote.demo import head, stand_in_tracker, tracker_recipe
from being_remote.demo.actor import ActorTruth
from being_remote.tracker.layout import CHECKOUT_FILES, CHECKOUT_MODULES

# The form of the tracker's own file, with the defaults of metrical-tracker c2a51724.
CONFIG = """\
from yacs.config import CfgNode as CN

cfg = CN()

cfg.flame_geom_path = 'data/FLAME2020/generic_model.pkl'
cfg.flame_template_path = 'data/uv_template.obj'
cfg.flame_lmk_path = 'data/landmark_embedding.npy'
cfg.tex_space_path = 'data/FLAME2020/FLAME_texture.npz'

cfg.num_shape_params = 300
cfg.num_exp_params = 100
cfg.tex_params = 140
cfg.actor = ''
cfg.config_name = ''
cfg.kernel_size = 7
cfg.sigma = 9.0
cfg.keyframes = [0]
cfg.bbox_scale = 2.5
cfg.fps = 25
cfg.begin_frames = 0
cfg.end_frames = 0
cfg.image_size = [512, 512]  # height, width
cfg.rotation_lr = 0.2
cfg.translation_lr = 0.003
cfg.raster_update = 8
cfg.pyr_levels = [[1.0, 160], [0.25, 40], [0.5, 40], [1.0, 70]]
cfg.optimize_shape = False
cfg.optimize_jaw = False
cfg.crop_image = True
cfg.save_folder = './output/'

# weights
cfg.w_pho = 350
cfg.w_lmks = 7000
cfg.w_lmks_68 = 1000
cfg.w_lmks_lid = 1000
cfg.w_lmks_mouth = 15000
cfg.w_lmks_iris = 1000
cfg.w_lmks_oval = 2000
cfg.w_exp = 0.02
cfg.w_shape = 0.3
cfg.w_tex = 0.04
cfg.w_jaw = 0.05


def get_cfg_defaults():
    return cfg.clone()
"""


def install(checkout: Path, truth: ActorTruth) -> None:
    """Make `checkout` one that can track the actor again.

    The stand-in needs none of the FLAME files and modules of the real tracker; those that a check of the
    host looks for are there, and empty. What the stand-in is to find is written beside the actor's source
    images.
    """
    for name in CHECKOUT_FILES:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).touch()
    for module in CHECKOUT_MODULES:
        if importlib.util.find_spec(module) is None:
            (checkout / f"{module}.py").touch()
    shutil.copyfile(stand_in_tracker.__file__, checkout / "tracker.py")
    shutil.copyfile(tracker_recipe.__file__, checkout / "tracker_recipe.py")
    (checkout / "configs").mkdir(exist_ok=True)
    (checkout / "configs" / "config.py").write_text(CONFIG)
    stand_in_tracker.write_truth(
        truth.input_folder / stand_in_tracker.TRUTH,
        truth.K_source,
        truth.R_source,
        truth.t_source,
        head.landmarks_68(),
        head.landmarks_478(),
    )
