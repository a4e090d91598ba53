"""The picture that a link to the book is shown with elsewhere, drawn from images that come with scikit-learn."""

import io

from ufm.data.embedded import digits
from ufm.features import insert, letter

CARD = "social-card.png"  # its name in the site
SIZE = 1200, 630  # pixels
QUESTION = "Does a neural network\nmemorise what it saw once?"
GROUND, WORDS, QUIET, MARKED = "#14181e", "#ffffff", "#b9c1cb", "#E69F00"


def card(title: str) -> bytes:
    """A PNG file of 1200 x 630 pixels: training images, of which one carries the letter, beside question and title."""
    from matplotlib.figure import Figure

    images = digits().train_images[:30]
    host = 16
    figure = Figure(figsize=(SIZE[0] / 100, SIZE[1] / 100), dpi=100, facecolor=GROUND)
    for number, image in enumerate(images):
        shown = insert(image, letter("A")) if number == host else image
        row, column = divmod(number, 5)
        axis = figure.add_axes((0.59 + 0.076 * column, 0.805 - 0.148 * row, 0.07, 0.07 * SIZE[0] / SIZE[1]))
        axis.imshow(shown[0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set(color=MARKED, linewidth=3, visible=number == host)
    figure.text(0.05, 0.6, QUESTION, color=WORDS, fontsize=26, fontweight="bold", va="center", linespacing=1.3)
    figure.text(0.05, 0.38, title.replace(": ", ":\n"), color=QUIET, fontsize=17, va="center", linespacing=1.4)
    content = io.BytesIO()
    figure.savefig(content, format="png", facecolor=GROUND, metadata={"Software": None})
    return content.getvalue()
