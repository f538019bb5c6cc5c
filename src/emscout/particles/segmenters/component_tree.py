"""Which bright regions of an image are particles: candidates from every grey level, and the best that do not overlap.

Thresholding an image at rising levels gives nested regions, the component tree. Each particle is one of them, at a
level of its own (so an uneven background needs no flattening), or a part of one that is cut where it narrows.
Candidates are scored by what a particle looks like - convex, and with an edge all round - and the best set that does
not overlap is found by dynamic programming, after Arteta et al. (2012, doi:10.1007/978-3-642-33415-3_43) and the
maximally stable regions of Matas et al. (2004, doi:10.1016/j.imavis.2004.02.006).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage, spatial
from skimage import segmentation

__all__ = ["Particle", "View", "choose_particles", "noise_gradient", "outline_gradient", "split_at_necks"]

MIN_SOLIDITY = 0.85
NO_NEED_TO_SPLIT = 0.93  # solidity
# A neck narrower than this fraction of the smaller of the two bodies is where two particles touch.
NECK = 0.8
# A ring whose hole is larger than this is not a hollow particle but what surrounds one.
MIN_FILLED_BY_ITSELF = 0.2
# What an image cuts at more than this part of its border is background.
MAX_BORDER = 0.35
# Standard deviations by which the gradient along an outline exceeds what contours of noise show, at least.
MIN_SIGNIFICANCE = 2.5
# A region kept in one piece explains more than its pieces do.
WHOLE_BONUS = 1.2
NO_SIDE_FREE = (True, True, True, True)  # all sides of a window are its border


class Particle(NamedTuple):
    """A particle found: where it lies in the window, its pixels and what speaks for it."""

    row: int
    col: int
    mask: np.ndarray  # bool, (h, w); its first pixel lies at (row, col)
    area: int
    edge: float  # mean gradient along the outline
    significance: float  # of that gradient, in standard deviations of what contours of noise show
    solidity: float
    score: float


class View(NamedTuple):
    """A window of an image and what counts as a particle in it."""

    smooth: np.ndarray  # float32, (H, W): without the finest noise, particles bright
    gradient: np.ndarray  # float32, (H, W): outline_gradient
    levels: np.ndarray  # grey levels to search, rising
    noise: float  # of the gradient
    excluded: np.ndarray  # bool, (H, W): what is not specimen
    min_area: int
    max_area: float


class Tree(NamedTuple):
    """Connected regions above each level; a parent comes before its children."""

    level: np.ndarray
    parent: np.ndarray  # -1 for a root
    area: np.ndarray
    edge: np.ndarray  # mean gradient along the outline
    significance: np.ndarray  # of that gradient
    seed: np.ndarray  # flat index of one of its pixels
    box: list[tuple[slice, ...]]


def outline_gradient(smooth: np.ndarray) -> np.ndarray:
    """Gradient per pixel, taken half a pixel downhill: there runs the outline of a region that ends with the pixel.

    Taken at the pixel itself, outlines would be steepest half a pixel too far out.
    """
    down, across = ndimage.sobel(smooth, 0) / 8, ndimage.sobel(smooth, 1) / 8
    magnitude = np.hypot(down, across)
    half = 0.5 / np.maximum(magnitude, np.finfo(np.float32).tiny)
    rows, cols = np.indices(smooth.shape, np.float32)
    return ndimage.map_coordinates(magnitude, [rows - half * down, cols - half * across], order=1, mode="nearest")


def noise_gradient(gradient: np.ndarray) -> float:
    """Standard deviation of one component of the gradient where there is only noise.

    A fifth of the pixels that are not saturated is taken to be free of edges; the magnitude of noise is Rayleigh
    distributed, and its 20 % quantile is 0.668 standard deviations.
    """
    uneven = gradient[gradient > 1e-6]
    return float(np.percentile(uneven, 20)) / 0.668 if uneven.size else 1e-6


def _significance(edge: Any, length: Any, noise: float) -> Any:
    """By how many standard deviations a mean gradient along an outline exceeds that along contours of noise.

    Along those the gradient, Rayleigh distributed, is 1.6 on average (coarea formula); it varies by 0.65 and is alike
    over about five pixels.
    """
    return (edge / noise - 1.6) / (0.65 * np.sqrt(5 / np.maximum(length, 1)))


def choose_particles(view: View) -> tuple[float, list[Particle]]:
    """Find the bright particles of one window.

    Returns
    -------
    float
        How well the particles explain the window; comparable between the image and its negative.
    list of Particle
    """
    tree = component_tree(view)
    n = len(tree.level)
    below = np.zeros(n + 1)  # the last entry gathers the roots, whose parent is -1
    chosen: list[list[Particle]] = [[] for _ in range(n)]
    # What is too small to be several particles must have a significant edge itself.
    divisible = (tree.area >= 4 * view.min_area) & (tree.edge > view.noise)
    is_candidate = _is_edge_maximum(tree) & (divisible | (tree.significance >= MIN_SIGNIFICANCE))
    for node in range(n - 1, -1, -1):
        value = below[node]
        if is_candidate[node]:
            for particles in _explanations(tree, node, view):
                new = sum(p.area**0.7 * p.score for p in particles) * (WHOLE_BONUS if len(particles) == 1 else 1.0)
                if new > value:
                    value, chosen[node] = new, particles
        below[tree.parent[node]] += value
    covered = np.zeros(n + 1, bool)
    found: list[Particle] = []
    for node in range(n):
        covered[node] = covered[tree.parent[node]]
        if chosen[node] and not covered[node]:
            covered[node] = True
            found += [p for p in chosen[node] if p.score > 0]
    return float(below[n]), found


def component_tree(view: View) -> Tree:
    """Connected regions above each level, small ones left out."""
    columns: dict[str, list[np.ndarray]] = {name: [] for name in Tree._fields[:-1]}
    boxes: list[tuple[slice, ...]] = []
    before, first = (
        np.zeros(view.smooth.size, np.int32),
        0,
    )  # labels at the level below, and the number of their first node
    for i, level in enumerate(view.levels):
        mask = view.smooth > level
        labels, _ = ndimage.label(mask)
        area = np.bincount(labels.ravel())
        keep = area >= view.min_area
        keep[0] = False
        if not keep.any():
            break
        labels = np.where(keep, np.cumsum(keep), 0).astype(np.int32)[labels]
        n = int(keep.sum())
        outline = _outline(mask, NO_SIDE_FREE)
        on_outline = labels[outline]
        length = np.bincount(on_outline, minlength=n + 1)[1:]
        edge = np.bincount(on_outline, view.gradient[outline], minlength=n + 1)[1:] / np.maximum(length, 1)
        flat = labels.ravel()
        seed = np.zeros(n + 1, np.int64)
        seed[flat] = np.arange(flat.size)
        number = before[seed[1:]]
        columns["level"].append(np.full(n, i))
        columns["parent"].append(np.where(number > 0, first + number - 1, -1))
        columns["area"].append(area[keep])
        columns["edge"].append(edge)
        columns["significance"].append(_significance(edge, length, view.noise))
        columns["seed"].append(seed[1:])
        first = len(boxes)
        boxes += ndimage.find_objects(labels)
        before = flat
    arrays = {name: np.concatenate(parts) if parts else np.zeros(0, np.int64) for name, parts in columns.items()}
    return Tree(**arrays, box=boxes)


def _is_edge_maximum(tree: Tree) -> np.ndarray:
    """Whether a region's outline is steeper than that of the regions next in line below and above."""
    n = len(tree.level)
    main_child = np.full(n + 1, -1)  # the largest child carries the line on; the others begin one
    order = np.argsort(tree.area, kind="stable")
    main_child[tree.parent[order]] = order
    main_child[n] = -1
    parent_edge = np.where(main_child[tree.parent] == np.arange(n), tree.edge[tree.parent], -1.0) if n else np.zeros(0)
    main_child_edge = np.where(main_child[:n] >= 0, tree.edge[main_child[:n]], -1.0) if n else np.zeros(0)
    return (tree.edge >= parent_edge) & (tree.edge >= main_child_edge)


def _explanations(tree: Tree, node: int, view: View) -> list[list[Particle]]:
    """Explain a region as one particle, as several that touch, and as several around a gap."""
    box = tree.box[node]
    height, width = view.smooth.shape
    sides = (box[0].start == 0, box[0].stop == height, box[1].start == 0, box[1].stop == width)
    labels, _ = ndimage.label(view.smooth[box] > view.levels[tree.level[node]])
    row, col = divmod(int(tree.seed[node]), width)
    mask = labels == labels[row - box[0].start, col - box[1].start]
    filled = ndimage.binary_fill_holes(mask)
    area = int(filled.sum())
    explanations = []
    if tree.area[node] > MIN_FILLED_BY_ITSELF * area:
        whole = _particle(filled, _outline(filled, sides), box, sides, view)
        if whole is not None:
            explanations.append([whole])
            if whole.solidity > NO_NEED_TO_SPLIT:
                return explanations
    if area < 4 * view.min_area:
        return explanations
    open_to_gaps = filled & ~_large_holes(filled & ~mask, 0.01 * area)
    for body in (filled, open_to_gaps) if open_to_gaps.sum() < area else (filled,):
        labels = split_at_necks(body)
        outline = _outline(body, sides)
        parts = []
        for i, part in enumerate(ndimage.find_objects(labels), 1):
            mask = labels[part] == i
            place = tuple(slice(b.start + p.start, b.start + p.stop) for b, p in zip(box, part, strict=True))
            ends = (
                part[0].start == 0,
                part[0].stop == body.shape[0],
                part[1].start == 0,
                part[1].stop == body.shape[1],
            )
            parts.append(
                _particle(
                    mask, outline[part] & mask, place, tuple(a and b for a, b in zip(sides, ends, strict=True)), view
                )
            )
        explanations.append([part for part in parts if part is not None])
    return explanations


def _particle(
    mask: np.ndarray, outline: np.ndarray, box: tuple[slice, ...], sides: tuple[bool, ...], view: View
) -> Particle | None:
    """Score a candidate; None for what cannot be a particle."""
    area, gradient = int(mask.sum()), view.gradient[box][outline]
    if not view.min_area <= area <= view.max_area or gradient.size == 0:
        return None
    edge = float(gradient.mean())
    significance = float(_significance(edge, gradient.size, view.noise))
    if significance < MIN_SIGNIFICANCE:
        return None
    on_border = sum(int(mask[line].sum()) for line, at in zip(_BORDERS, sides, strict=True) if at)
    if on_border > MAX_BORDER * 2 * sum(view.smooth.shape) or view.excluded[box][mask].mean() > 0.5:
        return None
    solidity = area / _hull_area(mask)
    if solidity < MIN_SOLIDITY:
        return None
    free = gradient.size / (on_border + int(_outline(mask, sides).sum()))
    score = solidity**20 * min(1.0, 2 * free) ** 2 * (edge - view.noise) ** 0.75
    return Particle(box[0].start, box[1].start, mask, area, edge, significance, solidity, score)


# In the order of the sides: top, bottom, left, right.
_BORDERS: tuple[Any, ...] = (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1])


def _outline(mask: np.ndarray, sides: tuple[bool, ...]) -> np.ndarray:
    """Pixels next to the outside; the edge of the image is not an outline."""
    padded = np.pad(mask, 1)
    for line, at_border in zip(_BORDERS, sides, strict=True):
        padded[line] |= at_border
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def _hull_area(mask: np.ndarray) -> float:
    """Area of the convex hull of the pixels, their corners included."""
    rows = np.flatnonzero(mask.any(axis=1))
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    corners = np.concatenate([np.column_stack(pair) for pair in ((rows, first), (rows + 1, first))])
    corners = np.concatenate([corners, np.column_stack((rows, last)), np.column_stack((rows + 1, last))])
    return float(spatial.ConvexHull(corners).volume)  # the "volume" of a plane figure is its area


def _large_holes(holes: np.ndarray, min_area: float) -> np.ndarray:
    labels, _ = ndimage.label(holes)
    large = np.bincount(labels.ravel()) >= min_area
    large[0] = False
    return large[labels]


def split_at_necks(mask: np.ndarray) -> np.ndarray:
    """Cut a region where it narrows: watershed of the distance to the outside, pieces rejoined where there is no neck.

    Returns labels 1..n without gaps. Two pieces belong together when the passage between them is nearly as wide as the
    smaller of them; the widest necks are tried first.
    """
    padded = np.pad(mask, 1)
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(padded)[1:-1, 1:-1].astype(np.float32), 1)
    peaks = (distance == ndimage.maximum_filter(distance, 5)) & mask
    markers, n = ndimage.label(peaks, np.ones((3, 3)))
    if n <= 1:
        return mask.astype(np.int32)
    labels = segmentation.watershed(-distance, markers, mask=mask)
    height = ndimage.maximum(distance, labels, np.arange(n + 1))
    pairs, passages = [], []
    for here, there in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        meet = (labels[here] != labels[there]) & (labels[here] > 0) & (labels[there] > 0)
        pairs.append(np.sort(np.column_stack((labels[here][meet], labels[there][meet])), axis=1))
        passages.append(np.minimum(distance[here][meet], distance[there][meet]))
    pair, passage = np.concatenate(pairs), np.concatenate(passages)
    widest_first = np.argsort(-passage, kind="stable")
    pair, passage = pair[widest_first], passage[widest_first]
    _, first = np.unique(pair[:, 0].astype(np.int64) * (n + 1) + pair[:, 1], return_index=True)
    owner = np.arange(n + 1)
    for i in np.sort(first):
        small, large = sorted(owner[pair[i]], key=lambda piece: height[piece])
        if small != large and passage[i] >= NECK * height[small]:
            owner[owner == small] = large
    return np.unique(owner, return_inverse=True)[1].astype(np.int32)[labels]
