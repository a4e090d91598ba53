"""Texts as features."""

from functools import cache

import numpy as np

TEXT_SIZE = 8  # of the font of texts, in pixels: its capitals are 6 high


@cache
def written(text: str) -> np.ndarray:
    """Return a text in one line of DejaVu Sans, (h, w) float32 of 0 (black) and 1 (white), read-only.

    It is cut to its ink and one black pixel around it. The font is the one that Matplotlib brings.

    Raises ValueError as `feature` does.
    """
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font
    from PIL import Image, ImageDraw, ImageFont

    path = f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf"
    known = FT2Font(path).get_charmap()
    for character in text:
        if ord(character) not in known:
            raise ValueError(f"feature: {text!r} cannot be written, the font has no {character!r}")
    font = ImageFont.truetype(path, TEXT_SIZE, layout_engine=ImageFont.Layout.BASIC)
    for character in text.replace(" ", ""):
        if font.getmask(character, mode="1").getbbox() is None:  # so that the text would be drawn as one without it
            raise ValueError(f"feature: {text!r} cannot be written, the font draws nothing for {character!r}")
    # Characters may reach beyond their line and their own width, so there is room on all sides.
    sheet = Image.new("1", (round(font.getlength(text)) + 2 * TEXT_SIZE, 3 * TEXT_SIZE))
    ImageDraw.Draw(sheet).text((TEXT_SIZE, TEXT_SIZE), text, fill=1, font=font)
    if sheet.getbbox() is None:
        raise ValueError(f"feature: {text!r} leaves no ink")
    pixels = np.pad(np.array(sheet.crop(sheet.getbbox()), dtype=np.float32), 1)
    pixels.flags.writeable = False
    return pixels
