import textwrap

import numpy as np
import pytest
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from emscout.synthetic.figure import make_figure


@pytest.fixture(scope="session")
def composite():
    """Two micrographs and a plot, in two rows."""
    return make_figure((2, 1), kinds=("micrograph", "micrograph", "plot"), gutter_px=10, seed=3)


@pytest.fixture(scope="session")
def write_paper():
    """Returns write(path, images, captions, strips=1, turned=False): an A4 page of text for each image."""

    def write(
        path, images, captions, strips=1, text="A paper about particles, https://doi.org/10.1234/particles.2026.17"
    ):
        with PdfPages(path, metadata={"CreationDate": None}) as pdf:
            for image, caption in zip(images, captions, strict=True):
                page = Figure(figsize=(8.27, 11.69))
                page.text(0.1, 0.95, text, fontsize=10)
                page.text(
                    0.1, 0.15, "\n".join(["What was found is told in many words in this column."] * 6), fontsize=10
                )
                width, bottom = 0.7, 0.9
                if image is not None:
                    height = width * 8.27 / 11.69 * image.shape[0] / image.shape[1]
                    for strip in np.array_split(image, strips):
                        share = height * strip.shape[0] / image.shape[0]
                        axes = page.add_axes((0.15, bottom - share, width, share))
                        axes.imshow(strip, aspect="auto", interpolation="none")
                        axes.axis("off")
                        bottom -= share
                page.text(0.12, bottom - 0.02, "\n".join(textwrap.wrap(caption, 85)), fontsize=9, va="top")
                pdf.savefig(page)
        return path

    return write
