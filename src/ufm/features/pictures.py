"""PNG files as features."""

import numpy as np

from ufm.features.named import KINDS, Kind


def picture(path: str) -> np.ndarray:
    """Return a PNG file in grey, (h, w) float32 in [0, 1], NaN where its alpha is below one half.

    Raises ValueError as `feature` does.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
                image = Image.fromarray(np.rint(np.array(image) / 257).astype(np.uint8))
            pixels = np.array(image.convert("RGBA").convert("LA"))
    except FileNotFoundError:
        raise ValueError(f"feature: there is no file {path}") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"feature: {path} is no PNG image that can be read") from error
    grey, alpha = pixels[..., 0].astype(np.float32) / np.float32(255), pixels[..., 1]
    if not (alpha >= 127.5).any():
        raise ValueError(f"feature: {path} is transparent everywhere")
    return np.where(alpha >= 127.5, grey, np.float32(np.nan))


KINDS["picture"] = Kind(lambda name: name.lower().endswith(".png"), picture)
