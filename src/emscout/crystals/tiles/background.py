"""What in an image is not the specimen: grid bars and apertures, striped edges, uneven illumination."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from emscout.crystals.tiles.grid import Lattice, split_evenly
from emscout.crystals.tiles.windows import window_sums

__all__ = ["black_share", "bright_level", "correct_illumination", "find_grid_bars", "find_stripes"]

# Bars and illumination are found in the image averaged to cells; lengths are fractions of its longer side.
BLACK_CELLS = 400
BLACK = 0.12  # of the bright level; darker areas let no electrons through
SOFT = 0.6  # of the film's level; darker areas beside a bar belong to its soft edge
GLOW = 0.2  # of the bright level; darker areas beside something black are light of the film that falls on a bar
GLOW_REACH = 0.05
BAR_THICKNESS = 0.03
SOFT_EDGE = 0.02
CURVE = 0.25  # smallest radius of the edge of an aperture; a rounder dark area is a crystal cut by the border
OPENING = 0.2  # diameter; a bright area must be wider to be an opening between bars and not a particle
FILM = 0.5  # of the bright level; an image with fewer such cells than MIN_FILM shows only a bar
MIN_FILM = 0.01
SURFACE_CELLS = 64
DEGREE = 2  # of the illumination surface: vignetting and a slope; too stiff to follow a crystal
LAG = 6  # cells; the surface is fitted to grey steps over this distance
FAINTEST = (
    0.2  # of the bright level; the illumination is never taken to be lower, or dark background would be amplified
)
STRIPED = 0.35  # of the usual ratio of the grey step along stripes to the step across them
STRIPE_BOX = (5, 41)  # px, across and along the stripes
STRIPE_WIDTH = 0.5  # of the width of the image; the least width of a band of stripes
EDGE = 0.1  # of the image; a band of stripes lies within this distance of the border


def bright_level(image: np.ndarray) -> float:
    """Grey value of the brightest areas that are larger than single pixels.

    Parameters
    ----------
    image : ndarray of a real dtype, shape (H, W)
        Grey values.

    Returns
    -------
    float
        0 when no pixel is finite.
    """
    cells, _ = _cells(image, BLACK_CELLS)
    known = cells[np.isfinite(cells)]
    return float(np.percentile(known, 99.9)) if known.size else 0.0


def find_grid_bars(image: np.ndarray, bright: float | None = None) -> np.ndarray:
    """Find grid bars and apertures with their soft edges: thick, black, and cut by the border of the image.

    Parameters
    ----------
    image : ndarray of a real dtype, shape (H, W)
        Grey values; dark where few electrons arrive.
    bright : float or None
        Bright level by which black is measured, see `bright_level`. Give the level of the whole set, so that an image
        that shows only a bar is recognised. ``None`` takes the level of the image itself.

    Returns
    -------
    ndarray of bool, shape (H, W)
        True in bars and apertures, and where the image is not finite.
    """
    cells, lattice = _cells(image, BLACK_CELLS)
    known = np.isfinite(cells)
    found = np.zeros(cells.shape, bool)
    if known.any():
        found = _find_bars(np.where(known, cells, np.median(cells[known])), bright)
    mask = np.repeat(np.repeat(found, np.diff(lattice.rows)[:, 0], axis=0), np.diff(lattice.cols)[:, 0], axis=1)
    return mask if image.dtype.kind != "f" else mask | ~np.isfinite(image)


def find_stripes(image: np.ndarray) -> np.ndarray:
    """Find bands near an edge where the camera repeated or blended rows (or columns) instead of recording them.

    Parameters
    ----------
    image : ndarray of a real dtype, shape (H, W)
        Grey values.

    Returns
    -------
    ndarray of bool, shape (H, W)
    """
    return _striped_rows(image) | _striped_rows(image.T).T


def correct_illumination(image: np.ndarray, black: np.ndarray | None = None) -> np.ndarray:
    """Correct uneven illumination and bring the brightness of film to one scale.

    Parameters
    ----------
    image : ndarray of a real dtype, shape (H, W)
        Grey values.
    black : ndarray of bool, shape (H, W), or None
        Bars and apertures; ``None`` finds them.

    Returns
    -------
    ndarray of float32, shape (H, W)
        About 1 in empty film and 0 in black areas, at any bit depth; NaN where the image is not finite.
    """
    black = find_grid_bars(image) if black is None else black
    finite = np.isfinite(image)
    usable, barred = finite & ~black, finite & black
    grey = np.where(finite, image, 0).astype(np.float32)
    floor = float(np.median(grey[barred])) if barred.any() else 0.0
    grey -= np.float32(floor)
    lattice = split_evenly(image.shape, *(min(SURFACE_CELLS, n) for n in image.shape))
    n_usable = window_sums(usable, lattice)
    cells = window_sums(grey * usable, lattice) / np.maximum(n_usable, 1)
    trusted = n_usable > lattice.areas / 2
    if trusted.any():
        surface = _fit_surface(cells, trusted)
    else:
        surface = np.full(cells.shape, bright_level(image) - floor)
        surface[surface <= 0] = 1
    light = ndimage.zoom(surface, np.array(image.shape) / surface.shape, order=1, grid_mode=True, mode="nearest")
    grey /= light.astype(np.float32)
    grey[~finite] = np.nan
    return grey


def black_share(black: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Fraction of each window that is black, 0 to 1.

    Parameters
    ----------
    black : ndarray of bool, shape (H, W)
        True where the image is black.
    lattice : Lattice
        The windows.

    Returns
    -------
    ndarray of float64, shape (n_rows, n_cols)
    """
    return window_sums(black, lattice) / lattice.areas


def _cells(image: np.ndarray, n_cells: int) -> tuple[np.ndarray, Lattice]:
    """Means of roughly square cells; NaN where no pixel is finite."""
    side = max(1.0, max(image.shape) / n_cells)
    n_rows, n_cols = (max(1, round(n / side)) for n in image.shape)
    lattice = split_evenly(image.shape, n_rows, n_cols)
    if image.dtype.kind != "f":
        return window_sums(image, lattice) / lattice.areas, lattice
    finite = np.isfinite(image)
    n_finite = window_sums(finite, lattice)
    sums = window_sums(np.where(finite, image, 0), lattice)
    return np.where(n_finite > 0, sums / np.maximum(n_finite, 1), np.nan), lattice


def _find_bars(cells: np.ndarray, bright: float | None) -> np.ndarray:
    side = max(cells.shape)
    low = min(0.0, float(cells.min()))
    bright = float(np.percentile(cells, 99.9)) if bright is None else bright
    # A bar continues beyond the border, so a thin sliver of it at the border counts as a bar too.
    radius = max(1, round(BAR_THICKNESS / 2 * side))
    black, dim = (_open(cells < low + share * (bright - low), radius) for share in (BLACK, GLOW))
    core = _beyond_border(black, CURVE * side)
    without_film = (cells > low + FILM * (bright - low)).mean() < MIN_FILM
    if not core.any() or not (without_film or _open(~core, max(1, round(OPENING / 2 * side)))[~core].mean() > 0.5):
        return np.zeros(cells.shape, bool)
    core |= _as_dark(cells, black, core)
    core = _grow(core, dim, GLOW_REACH * side)
    film = bright if without_film else np.median(cells[~core])
    grown = _grow(core, cells < low + SOFT * (film - low), SOFT_EDGE * side)
    return ndimage.binary_dilation(grown, np.ones((3, 3), bool))


def _as_dark(cells: np.ndarray, black: np.ndarray, core: np.ndarray) -> np.ndarray:
    """Areas of a mask in a corner that are as dark as the bars: too small there to show that they are straight."""
    labels, n = ndimage.label(black, np.ones((3, 3), bool))
    in_corner = labels[[0, 0, -1, -1], [0, -1, 0, -1]]
    level = np.median(cells[core]) + 3 * (np.quantile(cells[core], 0.84) - np.median(cells[core]))
    grey = ndimage.median(cells, labels, np.arange(n + 1))
    kept = np.isin(np.arange(n + 1), in_corner) & (grey <= level)
    kept[0] = False
    return kept[labels]


def _grow(core: np.ndarray, mask: np.ndarray, reach: float) -> np.ndarray:
    """The core, and the pixels of the mask that are connected to it within reach."""
    near = ndimage.distance_transform_edt(~core) <= max(1.0, reach)
    return ndimage.binary_propagation(core, mask=core | (mask & near))


def _open(mask: np.ndarray, radius: int) -> np.ndarray:
    """Opening of a mask by a disc; the mask is taken to continue beyond the border."""
    padded = np.pad(mask, 2 * radius, mode="edge")
    eroded = ndimage.distance_transform_edt(np.pad(padded, 1, constant_values=True))[1:-1, 1:-1] > radius
    if not eroded.any():
        return np.zeros(mask.shape, bool)
    opened = ndimage.distance_transform_edt(~eroded) <= radius
    return opened[2 * radius : -2 * radius, 2 * radius : -2 * radius]


def _beyond_border(mask: np.ndarray, radius: float) -> np.ndarray:
    """Connected areas that continue beyond the border: they run from side to side, or no tighter curve bounds them."""
    labels, n = ndimage.label(mask, np.ones((3, 3), bool))
    sides = [np.bincount(side, minlength=n + 1) for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1])]
    contact, area = np.sum(sides, axis=0, dtype=float), np.bincount(labels.ravel())
    # A segment of height h cut from a disc of radius r by a chord c has an area near 2/3 c h, and r is near c²/8h.
    through = (np.minimum(sides[0], sides[1]) > 0) | (np.minimum(sides[2], sides[3]) > 0)
    kept = (contact > 0) & (through | (contact**3 >= 12 * radius * area))
    kept[0] = False
    return kept[labels]


def _striped_rows(image: np.ndarray) -> np.ndarray:
    """Bands of rows near the upper or lower edge in which each row resembles the next although columns differ."""
    found = np.zeros(image.shape, bool)
    height, width = image.shape
    deep = round(EDGE * height)
    if deep <= STRIPE_BOX[0] or width <= STRIPE_BOX[1]:
        return found
    middle = image[height // 4 : height // 4 + deep]
    down, across = _steps(middle)
    # Scan lines of unequal brightness make larger steps down than across in the whole image; they are not stripes.
    usual = min(1.0, float(down.mean() / across.mean())) if across.any() else 1.0
    flat = 1e-6 * float(across.mean())  # rounding error of a box's mean in a constant area
    for part, result in ((image[:deep], found[:deep]), (image[::-1][:deep], found[::-1][:deep])):
        down, across = (ndimage.uniform_filter(steps, STRIPE_BOX) for steps in _steps(part))
        striped = down <= STRIPED * usual * across + flat
        # Thresholding the mean of a box shrinks the band a little.
        striped = ndimage.binary_dilation(striped, np.ones((STRIPE_BOX[0], 1), bool))
        labels, n = ndimage.label(striped)
        for label, (rows, cols) in enumerate(ndimage.find_objects(labels, n), start=1):
            # A band that reaches deeper is smooth specimen.
            if cols.stop - cols.start >= STRIPE_WIDTH * width and rows.stop < deep:
                result[rows, cols] |= labels[rows, cols] == label
    return found


def _steps(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Absolute grey step to the next row and to the next column, each in the shape of the image."""
    grey = image.astype(np.float32)
    grey[~np.isfinite(grey)] = 0
    down, across = (np.abs(np.diff(grey, axis=axis)) for axis in (0, 1))
    return np.pad(down, ((0, 1), (0, 0)), mode="edge"), np.pad(across, ((0, 0), (0, 1)), mode="edge")


def _fit_surface(cells: np.ndarray, trusted: np.ndarray) -> np.ndarray:
    """Illumination of the film as a smooth surface, never below `FAINTEST` of the brightest cells.

    The surface is fitted to the steps of the logarithm from cell to cell. Illumination multiplies the brightness of the
    specimen, so these steps are the same on film and on a crystal of any size, except for the few across its edge.
    """
    bright = float(np.percentile(cells[trusted], 99))
    if bright <= 0:
        return np.ones(cells.shape)
    lit = trusted & (cells > FAINTEST / 4 * bright)
    logarithm = np.log(np.where(lit, cells, bright))
    row, col = np.meshgrid(*(np.linspace(-1, 1, n) for n in cells.shape), indexing="ij")
    terms = np.stack([row**i * col**j for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i) if i + j], axis=-1)
    steps, basis = [], []
    for axis in (0, 1):
        near, far = (slice(None),) * axis + (slice(None, -LAG),), (slice(None),) * axis + (slice(LAG, None),)
        both = lit[near] & lit[far]
        steps.append((logarithm[far] - logarithm[near])[both])
        basis.append((terms[far] - terms[near])[both])
    y, x = np.concatenate(steps), np.concatenate(basis)
    shape = np.ones(cells.shape)
    if len(y) >= 10 * x.shape[1]:
        coefficients = np.zeros(x.shape[1])
        for _ in range(20):
            residual = y - x @ coefficients
            spread = 1.4826 * np.median(np.abs(residual)) + 1e-6
            root = np.clip(1 - (residual / (4.685 * spread)) ** 2, 0, None)  # of Tukey's weight
            coefficients = np.linalg.lstsq(x * root[:, None], y * root, rcond=None)[0]
        shape = terms @ coefficients
        shape = np.exp(np.clip(shape, shape[lit].min(), shape[lit].max()))
    level = _densest(cells[trusted] / shape[trusted])
    return np.maximum(level * shape, FAINTEST * bright)


def _densest(values: np.ndarray) -> float:
    """Mean of the shortest interval that holds a quarter of the values: film is smoother than what lies on it."""
    ordered = np.sort(values)
    n = max(1, len(ordered) // 4)
    widths = ordered[n:] - ordered[:-n] if len(ordered) > n else np.zeros(1)
    first = int(np.argmin(widths))
    return float(ordered[first : first + n + 1].mean())
