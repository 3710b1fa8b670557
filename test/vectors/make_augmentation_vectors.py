"""Golden vectors of resampled images, by PyTorch's grid_sample (bilinear, border, align_corners=False) in float64.

Run: python3 make_augmentation_vectors.py   (needs torch; writes augmentation.json beside this file)
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F

FOLDER = pathlib.Path(__file__).parent
CHANNELS, HEIGHT, WIDTH = 2, 5, 7


def image():
    values = torch.arange(CHANNELS * HEIGHT * WIDTH, dtype=torch.float64)
    return ((values * 37) % 101).reshape(1, CHANNELS, HEIGHT, WIDTH)


def resample(size, left, top, mirrored, radians):
    grid = torch.zeros(1, HEIGHT, WIDTH, 2, dtype=torch.float64)
    for y in range(HEIGHT):
        for x in range(WIDTH):
            across = (WIDTH - 1 - x if mirrored else x) + 0.5 - WIDTH / 2
            down = y + 0.5 - HEIGHT / 2
            turned_x = math.cos(radians) * across + math.sin(radians) * down + WIDTH / 2
            turned_y = math.cos(radians) * down - math.sin(radians) * across + HEIGHT / 2
            # Places in [0, 1] of the whole image, then in [-1, 1] as grid_sample wants them.
            grid[0, y, x, 0] = 2 * (left + size * turned_x / WIDTH) - 1
            grid[0, y, x, 1] = 2 * (top + size * turned_y / HEIGHT) - 1
    out = F.grid_sample(image(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return {
        "affine": {"size": size, "left": left, "top": top, "mirrored": mirrored, "radians": radians},
        "data": out.flatten().tolist(),
    }


def main():
    cases = [
        resample(1, 0, 0, True, 0),
        resample(0.6, 0.1, 0.3, False, 0),
        resample(0.6, 0.4, 0.0, True, 0),
        resample(1, 0, 0, False, 0.3),
        resample(0.75, 0.2, 0.05, True, -0.7),
    ]
    (FOLDER / "augmentation.json").write_text(
        json.dumps({"shape": [CHANNELS, HEIGHT, WIDTH], "data": image().flatten().tolist(), "cases": cases}) + "\n"
    )


main()
