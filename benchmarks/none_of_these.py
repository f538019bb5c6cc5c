"""Which pictures that are not micrographs are called none of these: those in scikit-image, and plots of matplotlib.

python benchmarks/none_of_these.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import skimage
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from emscout.io.colour import read_colours
from emscout.specimens.classify import classify_picture

PICTURES = (
    *("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "coins.png"),
    *("horse.png", "page.png", "clock_motion.png", "hubble_deep_field.jpg", "color.png", "text.png", "moon.png"),
)


def draw_plots(n: int) -> list[np.ndarray]:
    """Curves, bars, scattered points and coloured maps as matplotlib draws them."""
    plots = []
    for number in range(n):
        generator = np.random.default_rng(number)
        figure = Figure(figsize=(4, 3))
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        kind = number % 4
        if kind == 0:
            axes.plot(generator.normal(size=(50, 3)).cumsum(axis=0))
        elif kind == 1:
            axes.bar(range(6), generator.random(6))
        elif kind == 2:
            axes.scatter(*generator.normal(size=(2, 80)))
        else:
            axes.imshow(generator.random((9, 9)))
        canvas.draw()
        plots.append(np.asarray(canvas.buffer_rgba())[..., :3])
    return plots


def main() -> None:
    folder = Path(skimage.__file__).parent / "data"
    verdicts = {name: classify_picture(read_colours(folder / name)) for name in PICTURES}
    for name, verdict in verdicts.items():
        print(f"{name:24} novelty {verdict.novelty:.2f} {verdict.category or 'none of these'}")
    print(f"scikit-image: {sum(not one.known for one in verdicts.values())} of {len(verdicts)} are none of these")
    plots = [classify_picture(plot) for plot in draw_plots(40)]
    print(f"matplotlib: {sum(not one.known for one in plots)} of {len(plots)} plots are none of these")


if __name__ == "__main__":
    main()
