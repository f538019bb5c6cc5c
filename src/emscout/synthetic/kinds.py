"""Micrographs of every kind of particles that microscopists meet, with known answers, drawn anew for each seed."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import ndimage

from emscout.synthetic.imaging import add_annotations, cut_noise, degrade, fractal_field, smooth_field
from emscout.synthetic.scenes import Contrast, Drawn, Profile, Scene
from emscout.synthetic.shapes import (
    Outline,
    bumpy,
    disc,
    ellipse,
    polygon,
    rod,
    rounded_box,
    scatter,
    spread_sizes,
)
from emscout.synthetic.supports import fractal_support, holey_film, lacey_film, pile

__all__ = ["KINDS", "Maker", "draw_kind"]

Maker = Callable[[tuple[int, int], np.random.Generator], Drawn]

_SIDE_PX = 256.0
"""Of the images whose numbers of particles are given below; larger images hold more in proportion to their area."""


def draw_kind(kind: str, shape: tuple[int, int] = (512, 512), *, seed: int = 0) -> Drawn:
    """Draw a micrograph of one kind.

    Parameters
    ----------
    kind : str
        A key of `KINDS`.
    shape : (int, int)
        Height and width in px, each at least 64.
    seed : int
        The same arguments give the same bytes.

    Returns
    -------
    Drawn

    Raises
    ------
    ValueError
        When there is no such kind.

    Examples
    --------
    >>> drawn = draw_kind("raft", (128, 128), seed=1)
    >>> drawn.image.shape, drawn.labels.max() == len(drawn.particles)
    ((128, 128), True)
    """
    if kind not in KINDS:
        raise ValueError(f"'{kind}' is not a kind: there are {', '.join(KINDS)}.")
    return KINDS[kind](shape, np.random.default_rng(seed))


def _contrast(rng: np.random.Generator, bf: float = 0.5, df: float = 0.2) -> Contrast:
    drawn = rng.random()
    return "bf" if drawn < bf else "df" if drawn < bf + df else "se"


def _area(shape: tuple[int, int]) -> float:
    return shape[0] * shape[1] / _SIDE_PX**2


def _size(rng: np.random.Generator, low: float, high: float) -> float:
    """A length, every factor as likely."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _begin(shape: tuple[int, int], contrast: Contrast, rng: np.random.Generator) -> Scene:
    scene = Scene(shape, contrast, rng)
    if contrast == "se":
        scene.signal += rng.uniform(0.1, 0.45) + rng.uniform(0, 0.06) * smooth_field(shape, rng, 6)
        if rng.random() < 0.5:
            scene.signal += rng.uniform(0, 0.05) * cut_noise(shape, 2.5, rng)
        scene.edge = rng.uniform(0, 0.7)
    scene.texture = rng.uniform(0, 0.3) if rng.random() < 0.6 else 0.0
    scene.texture_px = float(rng.choice([1.0, 2.5, 6.0]))
    return scene


def _expose(scene: Scene, support: np.ndarray | float = 0.0, *, faint: float = 0.08) -> Drawn:
    """The picture of a scene: thickness of the ``support`` in parts of the particles' signal; least contrast."""
    rng, shape = scene.rng, scene.shape
    image: np.ndarray
    if scene.contrast == "se":
        hidden = ndimage.gaussian_filter((scene.labels > 0).astype(np.float32), rng.uniform(1.5, 5))
        image = scene.signal - np.where(scene.labels == 0, rng.uniform(0, 0.2) * hidden, 0)
        image = image / max(1.0, float(np.quantile(image[::3, ::3], 0.995)))
    elif scene.contrast == "bf":
        image = np.exp(-rng.uniform(0.35 + faint, 1.8) * (scene.signal + support))
        if rng.random() < 0.5:
            grain = cut_noise(shape, 1.0, rng) - 0.7 * cut_noise(shape, 2.5, rng)
            image = image + rng.uniform(0, 0.06) * grain
        if rng.random() < 0.4:
            fringe = rng.uniform(1.0, 2.5)
            image = image + rng.uniform(-0.4, 0.9) * (image - ndimage.gaussian_filter(image, fringe))
    else:
        image = rng.uniform(0.0, 0.15) + scene.signal + support
        image = image / max(0.5, float(np.quantile(image[::3, ::3], 0.998)))
    image = degrade(np.asarray(image, np.float32), rng)
    if rng.random() < 0.3:
        image, covered, opaque = add_annotations(image, rng)
        scene.labels[opaque] = 0
        scene.cores[covered] = 0
    return scene.finish(image)


def _backdrop(scene: Scene) -> np.ndarray | float:
    """Sometimes a thin support film of uneven thickness, with edges or wrinkles, below the particles."""
    rng = scene.rng
    if scene.contrast == "se" or rng.random() < 0.5:
        return 0.0
    film = 0.12 * smooth_field(scene.shape, rng, 3)
    if rng.random() < 0.3:
        border = fractal_field(scene.shape, rng, exponent=3.5, longest_px=300)
        film = film + rng.uniform(0.05, 0.3) * np.clip((border - 0.3) * rng.uniform(5, 40), 0, 1)
    if rng.random() < 0.4:
        film = film + rng.uniform(0.02, 0.08) * fractal_field(scene.shape, rng, exponent=1.4, longest_px=60)
    return film


def _profile(rng: np.random.Generator, *names: Profile) -> Profile:
    choices: tuple[Profile, ...] = names or ("round", "flat")
    return choices[int(rng.integers(len(choices)))]


def _draw_scattered(
    scene: Scene,
    outlines: list[Outline],
    kind: str,
    profile: Profile,
    *,
    clustered: float,
    overlap: float,
    density: tuple[float, float] = (0.6, 1.2),
    gap_px: float = 1.5,
    cores: list[tuple[Outline, float] | None] | None = None,
    wall: float = 0.0,
    aligned: float | None = None,
) -> None:
    rng = scene.rng
    places = scatter(
        scene.shape, np.array([o.reach_px for o in outlines]), rng, gap_px=gap_px, clustered=clustered, overlap=overlap
    )
    softness = rng.uniform(0.3, 1.2)
    for index, (outline, centre) in enumerate(zip(outlines, places, strict=True)):
        if np.isnan(centre[0]):
            continue
        angle = rng.uniform(0, math.pi) if aligned is None else aligned + 0.1 * rng.standard_normal()
        scene.add(
            outline,
            centre,
            angle,
            kind=kind,
            density=rng.uniform(*density),
            profile=profile,
            core=cores[index] if cores else None,
            softness_px=softness,
            wall_px=wall * outline.inradius_px,
            above=bool(rng.random() < 0.7),
        )


def _round(shape: tuple[int, int], rng: np.random.Generator) -> Drawn:
    scene = _begin(shape, _contrast(rng), rng)
    radius = _size(rng, 4, 45)
    count = int(
        np.clip(
            rng.uniform(0.05, 0.5) * _SIDE_PX**2 / (math.pi * radius**2) * _area(shape), 1, 200 * max(1, _area(shape))
        )
    )
    style = rng.choice(["disc", "ellipse", "bumpy", "polygon"], p=[0.35, 0.25, 0.2, 0.2])
    outlines = []
    for size in spread_sizes(radius, rng.uniform(0.02, 0.45), count, rng):
        if style == "disc":
            outlines.append(disc(size))
        elif style == "ellipse":
            outlines.append(ellipse(size * rng.uniform(1, 1.35), size))
        elif style == "bumpy":
            outlines.append(bumpy(size, rng, rng.uniform(0.05, 0.35)))
        else:
            outlines.append(polygon(size, int(rng.integers(5, 9)), rng, uneven=rng.uniform(0, 0.4), corner=0.25))
    touching = rng.random() < 0.5
    _draw_scattered(
        scene,
        outlines,
        "round",
        _profile(rng, "round", "round", "flat"),
        clustered=rng.uniform(0.3, 0.95) if touching else 0.0,
        overlap=rng.uniform(0, 0.25) if touching else 0.0,
        density=(rng.uniform(0.35, 0.9), rng.uniform(0.95, 1.3)),
    )
    return _expose(scene, _backdrop(scene))


def _rods(shape: tuple[int, int], rng: np.random.Generator) -> Drawn:
    scene = _begin(shape, _contrast(rng), rng)
    radius = _size(rng, 2, 14)
    aspect = rng.uniform(1.8, 8)
    area = 4 * radius**2 * aspect
    count = int(np.clip(rng.uniform(0.05, 0.5) * _SIDE_PX**2 / area * _area(shape), 1, 200 * max(1, _area(shape))))
    waist = rng.uniform(-0.3, 0.6) if rng.random() < 0.3 else 0.0
    square = rng.random() < 0.25
    outlines = []
    for size, ratio in zip(
        spread_sizes(radius, rng.uniform(0.03, 0.2), count, rng),
        spread_sizes(aspect, rng.uniform(0.05, 0.4), count, rng),
        strict=True,
    ):
        half = max(size * ratio, size * 1.2)
        outlines.append(rounded_box(half, size, rng.uniform(0.1, 0.6) * size) if square else rod(half, size, waist))
    softness = rng.uniform(0.3, 1.0)
    crowded = rng.random() < 0.6
    aligned = rng.uniform(0, math.pi) if rng.random() < 0.3 else None
    places = _place_elongated(scene, outlines, aligned, overlap=rng.uniform(0.0, 0.5) if rng.random() < 0.35 else 0.0)
    if not crowded:
        places = places[: max(1, len(places) // 3)]
    profile = _profile(rng)
    for outline, centre, angle in places:
        scene.add(
            outline,
            centre,
            angle,
            kind="rod",
            density=rng.uniform(0.55, 1.2),
            profile=profile,
            softness_px=softness,
        )
    return _expose(scene, _backdrop(scene))


def _place_elongated(
    scene: Scene, outlines: list[Outline], aligned: float | None, *, overlap: float
) -> list[tuple[Outline, np.ndarray, float]]:
    """Places of long particles that do not meet, or meet by chance in a share ``overlap`` of cases."""
    rng = scene.rng
    taken = np.zeros((scene.shape[0] // 2 + 1, scene.shape[1] // 2 + 1), bool)
    chosen = []
    for outline in outlines:
        for _ in range(6):
            centre = rng.uniform(0, 1, 2) * scene.shape
            angle = rng.uniform(0, math.pi) if aligned is None else aligned + 0.12 * rng.standard_normal()
            steps = max(2, int(outline.half_length_px / max(outline.half_width_px, 1.5)) + 1)
            along = np.linspace(-1, 1, 2 * steps) * outline.half_length_px
            across = np.linspace(-1, 1, max(2, int(outline.half_width_px) + 1)) * (outline.half_width_px + 1)
            u, v = (part.ravel() for part in np.meshgrid(along, across))
            row = ((centre[0] + v * math.cos(angle) - u * math.sin(angle)) / 2).astype(int)
            col = ((centre[1] + u * math.cos(angle) + v * math.sin(angle)) / 2).astype(int)
            inside = (row >= 0) & (col >= 0) & (row < taken.shape[0]) & (col < taken.shape[1])
            if not inside.any() or (taken[row[inside], col[inside]].any() and rng.random() >= overlap):
                continue
            taken[row[inside], col[inside]] = True
            chosen.append((outline, centre, angle))
            break
    return chosen


def _wires(shape: tuple[int, int], rng: np.random.Generator) -> Drawn:
    scene = _begin(shape, _contrast(rng, 0.45, 0.15), rng)
    width = _size(rng, 1.3, 14)
    count = int(np.clip(rng.uniform(0.03, 0.3) * _SIDE_PX / width * math.sqrt(_area(shape)), 1, 22))
    longest = 1.2 * max(shape)
    bent = rng.uniform(0, 0.5) if rng.random() < 0.75 else 0.0
    main = rng.uniform(0, math.pi)
    spread = rng.uniform(0.05, 3)
    density = rng.uniform(0.5, 1.0)
    profile = _profile(rng, "round", "round", "flat")
    for _ in range(count):
        half = longest * (1.0 if rng.random() < 0.5 else rng.uniform(0.1, 0.4))
        radius = width * math.exp(0.25 * rng.standard_normal())
        if bent:
            field = [smooth_field(shape, rng, 5) * bent * 30 for _ in range(2)]
            scene.warp = (field[0], field[1])
        scene.add(
            rod(max(half, 4 * radius), max(radius, 1.0)),
            rng.uniform(0, 1, 2) * shape,
            main + spread * rng.standard_normal(),
            kind="wire",
            density=density * rng.uniform(0.7, 1.2),
            profile=profile,
            softness_px=0.6,
        )
    scene.warp = None
    return _expose(scene, _backdrop(scene))


def _cubes(shape: tuple[int, int], rng: np.random.Generator) -> Drawn:
    scene = _begin(shape, _contrast(rng, 0.45, 0.15), rng)
    half = _size(rng, 4, 40)
    count = int(
        np.clip(rng.uniform(0.05, 0.5) * _SIDE_PX**2 / (4 * half**2) * _area(shape), 1, 160 * max(1, _area(shape)))
    )
    corner, stretch = rng.uniform(0.02, 0.5), rng.uniform(1, 1.5)
    solid = scene.contrast == "se" and rng.random() < 0.6
    style = rng.choice(["box", "triangle", "any"], p=[0.65, 0.2, 0.15])
    outlines = []
    for size in spread_sizes(half, rng.uniform(0.02, 0.25), count, rng):
        if style == "box":
            outlines.append(rounded_box(size * rng.uniform(1, stretch), size, corner * size))
        else:
            sides = 3 if style == "triangle" else int(rng.integers(3, 7))
            outlines.append(polygon(size * 0.8, sides, rng, uneven=rng.uniform(0, 0.3), corner=max(0.08, corner)))
    clustered = rng.uniform(0.2, 0.9) if rng.random() < 0.5 else 0.0
    places = _place_elongated(scene, outlines, None, overlap=0.3 if clustered else 0.0)
    profile = _profile(rng, "flat", "flat", "pyramid")
    for outline, centre, angle in places:
        density = rng.uniform(0.45, 1.1)
        number = scene.add(outline, centre, angle, kind="cube", density=density, profile=profile)
        if solid and number:
            _shade_faces(scene, number, centre, angle)
    return _expose(scene, _backdrop(scene))


def _shade_faces(scene: Scene, number: int, centre: np.ndarray, angle: float) -> None:
    """Give the visible pixels of a particle the greys of two or three faces that meet near its middle."""
    rng = scene.rng
    row, col = np.nonzero(scene.labels == number)
    if not len(row):
        return
    turn = np.arctan2(row - centre[0], col - centre[1]) + angle + rng.uniform(0, math.pi)
    faces = int(rng.integers(2, 5))
    tone = rng.uniform(0.75, 1.25, faces)
    which = np.floor((turn % (2 * math.pi)) / (2 * math.pi) * faces).astype(int) % faces
    scene.signal[row, col] *= tone[which]


def _rafts(shape: tuple[int, int], rng: np.random.Generator) -> Drawn:
    scene = _begin(shape, _contrast(rng, 0.55, 0.15), rng)
    style = rng.choice(["box", "hexagon", "disc", "rods", "plates"])
    size = _size(rng, 3.5, 22)
    gap = rng.uniform(0.3, 3.0)
    sizes_spread = rng.uniform(0.0, 0.12)
    rafts = int(rng.integers(1, 5)) if rng.random() < 0.6 else int(rng.integers(5, 16))
    corner = rng.uniform(0.05, 0.5)
    aspect = rng.uniform(2, 6)
    whole = rafts <= 2 and rng.random() < 0.6
    stacked = rng.random() < 0.12
    belongs = [0]
    profile = "flat" if style in ("box", "hexagon", "plates") else _profile(rng)
    scene.edge = rng.uniform(0.3, 0.9)
    kind = {"box": "cube", "rods": "rod", "plates": "platelet"}.get(style, "raft")
    for aggregate in range(1, rafts + 1):
        turn = rng.uniform(0, math.pi)
        ahead, aside = np.array([[-math.sin(turn), math.cos(turn)], [math.cos(turn), math.sin(turn)]])
        middle = rng.uniform(0.15, 0.85, 2) * shape
        pitch_v = 2 * size + gap
        pitch_u = pitch_v * (aspect if style in ("rods", "plates") else 1.0)
        extent = max(shape) if whole else size * rng.uniform(3, 16)
        across, along = max(1, int(extent / pitch_v)), max(1, int(extent / pitch_u))
        if style in ("rods", "plates") and not whole:
            along = int(rng.integers(1, 3))
            across = int(rng.integers(2, 9))
        missing = rng.uniform(0, 0.2)
        limit = extent * rng.uniform(0.6, 1.0)
        for i in range(-across // 2, across // 2 + 1):
            for j in range(-along // 2, along // 2 + 1):
                if rng.random() < missing:
                    continue
                shift = 0.5 * (i % 2) if style in ("hexagon", "disc") else 0.0
                v = i * pitch_v * (math.sqrt(3) / 2 if style in ("hexagon", "disc") else 1.0)
                u = (j + shift) * pitch_u
                if math.hypot(u, v) > limit:
                    continue
                v, u = (value + 0.15 * gap * rng.standard_normal() for value in (v, u))
                if style in ("rods", "plates"):
                    u += 0.1 * pitch_u * rng.standard_normal()
                centre = middle + u * ahead + v * aside
                row, col = np.clip(centre.astype(int), 0, np.array(shape) - 1)
                if not stacked and belongs[scene.labels[row, col]] not in (0, aggregate):
                    continue
                here = size * math.exp(sizes_spread * rng.standard_normal())
                if style == "box":
                    outline = rounded_box(here, here, corner * here)
                elif style == "hexagon":
                    outline = polygon(here, 6, rng, corner=corner)
                elif style == "disc":
                    outline = disc(here)
                elif style == "rods":
                    outline = rod(here * aspect * 0.95, here)
                else:
                    outline = rounded_box(here * aspect * 0.95, here, 0.2 * here)
                angle = turn + (math.pi / 6 if style == "hexagon" else 0) + 0.03 * rng.standard_normal()
                number = scene.add(
                    outline,
                    centre,
                    angle,
                    kind=kind,
                    density=rng.uniform(0.8, 1.15),
                    profile=profile,
                    aggregate=aggregate,
                    softness_px=rng.uniform(0.3, 0.8),
                    above=False,
                )
                if number:
                    belongs.append(aggregate)
    return _expose(scene, _backdrop(scene))


def _platelets(shape: tuple[int, int], rng: np.random.Generator) -> Drawn:
    """Platelets lying flat, faint, and standing on edge, dark and thin, alone and in stacks."""
    scene = _begin(shape, _contrast(rng, 0.7, 0.15), rng)
    radius = _size(rng, 8, 36)
    thin = max(1.2, radius * rng.uniform(0.06, 0.2))
    count = int(
        np.clip(rng.uniform(0.15, 0.7) * _SIDE_PX**2 / (3 * radius**2) * _area(shape), 3, 90 * max(1, _area(shape)))
    )
    edge_on = rng.uniform(0.2, 1.0)
    sides = int(rng.choice([3, 6, 6, 12]))
    outlines = []
    for size in spread_sizes(radius, rng.uniform(0.05, 0.35), count, rng):
        if rng.random() < edge_on:
            outlines.append(rounded_box(size, thin, 0.8 * thin))
        else:
            outlines.append(polygon(size * 0.85, sides, rng, uneven=rng.uniform(0, 0.25), corner=0.15))
    places = _place_elongated(scene, outlines, None, overlap=rng.uniform(0, 0.4))
    faint = rng.uniform(0.25, 0.6)
    places.sort(key=lambda place: -place[0].half_width_px)
    for number, (outline, centre, angle) in enumerate(places, 1):
        flat = outline.half_width_px > 2 * thin
        stacked = 1 if flat or rng.random() < 0.7 else int(rng.integers(2, 6))
        for layer in range(stacked):
            away = layer * (2 * thin + rng.uniform(0.5, 2.5))
            shift = np.array([away * math.cos(angle), away * math.sin(angle)])
            scene.add(
                outline,
                centre + shift,
                angle + 0.03 * rng.standard_normal(),
                kind="platelet",
                density=faint * rng.uniform(0.8, 1.2) if flat else rng.uniform(0.8, 1.2),
                profile="flat",
                aggregate=number if stacked > 1 else 0,
            )
    return _expose(scene, _backdrop(scene))


def _agglomerates(shape: tuple[int, int], rng: np.random.Generator) -> Drawn:
    """Primary particles fused or piled up: chains of soot in transmission, heaps with bright edges in an SEM."""
    contrast = _contrast(rng, 0.35, 0.05)
    scene = _begin(shape, contrast, rng)
    radius = _size(rng, 4, 22)
    chain = contrast != "se" or rng.random() < 0.2
    faceted = contrast == "se" and rng.random() < 0.45
    scene.edge = rng.uniform(0.3, 1.0)
    groups = int(rng.integers(1, 4)) if rng.random() < 0.7 else int(rng.integers(4, 9))
    budget = int(np.clip(0.7 * _SIDE_PX**2 / (math.pi * radius**2) * _area(shape), 6, 160 * max(1, _area(shape))))
    softness = rng.uniform(0.4, 1.0)
    tone = rng.uniform(0.45, 0.8)
    for aggregate in range(1, groups + 1):
        number = max(2, int(budget / groups * rng.uniform(0.15, 1.0)))
        sizes = spread_sizes(radius, rng.uniform(0.05, 0.3), number, rng)
        places = _grow(sizes, rng.uniform(0, 1, 2) * shape, rng, chain=chain, overlap=rng.uniform(0.1, 0.4))
        # In an SEM later ones lie above: from the rim of the heap to its middle and top.
        order = (
            np.arange(number)
            if chain
            else np.argsort(-np.hypot(*(places - places.mean(0)).T) * rng.uniform(0.3, 1, number))
        )
        for index in order:
            size = sizes[index]
            if faceted:
                outline = polygon(size, int(rng.integers(4, 8)), rng, uneven=0.5, corner=0.15)
            else:
                outline = bumpy(size, rng, 0.12) if rng.random() < 0.4 else ellipse(size * rng.uniform(1, 1.2), size)
            scene.add(
                outline,
                places[index],
                rng.uniform(0, math.pi),
                kind="agglomerate",
                density=tone * rng.uniform(0.85, 1.15) if contrast == "se" else rng.uniform(0.4, 0.8),
                profile="flat" if faceted else "round",
                aggregate=aggregate,
                softness_px=softness,
            )
    return _expose(scene, _backdrop(scene))


def _grow(sizes: np.ndarray, start: np.ndarray, rng: np.random.Generator, *, chain: bool, overlap: float) -> np.ndarray:
    """Centres (n, 2) of particles that stick to one another: branched chains, or heaps."""
    places = np.empty((len(sizes), 2))
    places[0] = start
    heading = rng.uniform(0, 2 * math.pi)
    for index in range(1, len(sizes)):
        if chain:
            anchor = index - 1 if rng.random() < 0.85 else int(rng.integers(index))
            heading = heading + rng.normal(0, 0.8) if anchor == index - 1 else rng.uniform(0, 2 * math.pi)
            turn = heading
        else:
            anchor = int(rng.integers(index))
            turn = rng.uniform(0, 2 * math.pi)
        apart = (sizes[anchor] + sizes[index]) * (1 - overlap)
        places[index] = places[anchor] + apart * np.array([math.sin(turn), math.cos(turn)])
    return places


def _supported(shape: tuple[int, int], rng: np.random.Generator) -> Drawn:
    """Small particles on, in and beside an uneven support: HAADF, bright field or secondary electrons."""
    contrast = _contrast(rng, 0.3, 0.6)
    scene = Scene(shape, contrast, rng)
    support = fractal_support(shape, rng) if rng.random() < 0.5 else pile(shape, rng)
    if rng.random() < 0.3:
        support = support + 0.5 * pile(shape, rng)
    support = support * (rng.uniform(0.15, 0.6) if contrast == "bf" else rng.uniform(0.4, 1.6))
    if rng.random() < 0.5:
        support = support + rng.uniform(0.02, 0.1) * np.sqrt(np.maximum(support, 0)) * cut_noise(shape, 1.0, rng)
    radius = _size(rng, 1.2, 11)
    count = int(np.clip(_size(rng, 6, 160) * _area(shape), 3, 1200))
    count = int(min(count, 0.25 * shape[0] * shape[1] / (math.pi * radius**2) + 3))
    sizes = spread_sizes(radius, rng.uniform(0.05, 0.45), count, rng)
    weight = np.maximum(support, 0) if rng.random() < 0.8 else np.ones(shape)
    flat = (weight + 0.02).ravel().cumsum()
    where = np.searchsorted(flat, rng.uniform(0, flat[-1], 3 * count))
    places = np.stack(np.unravel_index(np.minimum(where, weight.size - 1), shape), 1) + rng.uniform(
        -0.5, 0.5, (3 * count, 2)
    )
    if rng.random() < 0.3:
        centres = places[rng.integers(0, max(1, count // 6), 3 * count)]
        places = np.where(
            rng.random((3 * count, 1)) < 0.6, centres + rng.standard_normal((3 * count, 2)) * 4 * radius, places
        )
    softness = rng.uniform(0.4, 0.9 + 0.12 * radius)
    strength = rng.uniform(0.25, 1.3)
    by_size = rng.random() < 0.6
    profile = _profile(rng, "round", "round", "flat")
    facets = rng.random() < 0.3
    if contrast == "se":
        scene.signal += 0.1 + 0.45 * support / max(float(support.max()), 0.3)
    taken = np.empty((count, 3))
    done = 0
    for place in places:
        if done == count:
            break
        size = sizes[done]
        there = taken[:done]
        if (np.hypot(*(there[:, :2] - place).T) < 0.85 * (there[:, 2] + size)).any():
            continue
        taken[done] = (*place, size)
        done += 1
        density = strength * rng.uniform(0.6, 1.3) * ((size / radius) ** 0.7 if by_size else 1.0)
        outline = (
            polygon(size * 0.95, 6, rng, uneven=0.3, corner=0.3)
            if facets and size > 3
            else ellipse(size * rng.uniform(1, 1.25), size)
        )
        base = (
            0.0 if contrast != "se" else float(scene.signal[tuple(np.clip(place.astype(int), 0, np.array(shape) - 1))])
        )
        scene.add(
            outline,
            place,
            rng.uniform(0, math.pi),
            kind="on support",
            density=base + 0.3 * density if contrast == "se" else density,
            profile=profile,
            softness_px=softness,
        )
    return _expose(scene, support)


def _films(shape: tuple[int, int], rng: np.random.Generator) -> Drawn:
    """Particles on a lacey or holey film, whose holes are not particles."""
    contrast: Contrast = "bf" if rng.random() < 0.75 else "df"
    scene = _begin(shape, contrast, rng)
    film = lacey_film(shape, rng) if rng.random() < 0.5 else holey_film(shape, rng)
    film = film * (1 + 0.1 * smooth_field(shape, rng)) * rng.uniform(0.15, 0.7)
    film = film * (1 + rng.uniform(0, 0.15) * cut_noise(shape, 2.5, rng))
    radius = _size(rng, 2, 20)
    count = int(np.clip(rng.uniform(0.0, 0.15) * _SIDE_PX**2 / (math.pi * radius**2) * _area(shape), 0, 300))
    sizes = spread_sizes(radius, rng.uniform(0.03, 0.4), count, rng)
    style = rng.choice(["disc", "ellipse", "rod", "cube"], p=[0.5, 0.2, 0.15, 0.15])
    make: dict[str, Callable[[float], Outline]] = {
        "disc": disc,
        "ellipse": lambda size: ellipse(size * rng.uniform(1, 1.4), size),
        "rod": lambda size: rod(size * rng.uniform(1.5, 4), size * 0.7),
        "cube": lambda size: rounded_box(size, size, 0.2 * size),
    }
    solid = ndimage.binary_dilation(film > 0.08, iterations=2) if rng.random() < 0.85 else np.ones(shape, bool)
    places = scatter(shape, sizes, rng, gap_px=1.0, clustered=rng.uniform(0, 0.5), overlap=0.1)
    profile = _profile(rng, "round", "flat")
    for size, centre in zip(sizes, places, strict=True):
        if np.isnan(centre[0]):
            continue
        row, col = np.clip(centre.astype(int), 0, np.array(shape) - 1)
        if solid[row, col]:
            scene.add(
                make[str(style)](float(size)),
                centre,
                rng.uniform(0, math.pi),
                kind="on film",
                density=rng.uniform(0.6, 1.2),
                profile=profile,
                softness_px=0.6,
            )
    return _expose(scene, film)


def _core_shells(shape: tuple[int, int], rng: np.random.Generator) -> Drawn:
    """Core and shell, yolk and shell, rings and hollow particles: the whole is one particle."""
    contrast = _contrast(rng, 0.75, 0.2)
    scene = _begin(shape, contrast, rng)
    radius = _size(rng, 8, 60)
    packed = rng.random() < 0.3
    hollow = rng.random() < 0.4
    count = int(np.clip(rng.uniform(0.1, 0.6) * _SIDE_PX**2 / (math.pi * radius**2) * _area(shape), 1, 200))
    ratio = rng.uniform(0.25, 0.85)
    shell, heart = rng.uniform(0.25, 0.7), rng.uniform(0.5, 1.3)
    facets = rng.random() < 0.25
    outlines, cores = [], []
    for size in spread_sizes(radius, rng.uniform(0.02, 0.2), count, rng):
        inner = size * min(0.92, ratio * math.exp(0.08 * rng.standard_normal()))
        if facets:
            outlines.append(polygon(size, 6, rng, uneven=0.1, corner=0.2))
            cores.append(None if hollow else (polygon(inner, 6, rng, corner=0.2), heart * rng.uniform(0.8, 1.1)))
        else:
            outlines.append(bumpy(size, rng, rng.uniform(0, 0.12)))
            bare = hollow or rng.random() < 0.05
            cores.append(None if bare else (ellipse(inner * rng.uniform(1, 1.2), inner), heart * rng.uniform(0.7, 1.2)))
    _draw_scattered(
        scene,
        outlines,
        "core-shell",
        "hollow" if hollow else _profile(rng, "round", "flat"),
        clustered=0.95 if packed else rng.uniform(0, 0.6),
        overlap=rng.uniform(0, 0.06),
        density=(shell, shell * 1.25) if not hollow else (0.8, 1.2),
        gap_px=1.0,
        cores=None if hollow else cores,
        wall=1 - ratio,
    )
    return _expose(scene, _backdrop(scene))


def _filling(shape: tuple[int, int], rng: np.random.Generator) -> Drawn:
    """One particle, or a few, as large as the image, with a rough surface, and others beside and behind it."""
    contrast = _contrast(rng, 0.4, 0.1)
    scene = _begin(shape, contrast, rng)
    scene.texture = rng.uniform(0.05, 0.5)
    scene.texture_px = float(rng.choice([2.5, 6.0, 12.0]))
    radius = min(shape) * rng.uniform(0.2, 0.8)
    style = rng.choice(["bumpy", "polygon", "disc", "rod"], p=[0.4, 0.25, 0.2, 0.15])

    def make(size: float) -> Outline:
        if style == "bumpy":
            return bumpy(size, rng, rng.uniform(0.02, 0.25), 12)
        if style == "polygon":
            return polygon(
                size, int(rng.integers(4, 8)), rng, uneven=rng.uniform(0, 0.4), corner=rng.uniform(0.05, 0.3)
            )
        return disc(size) if style == "disc" else rod(size * rng.uniform(1.5, 4), size * 0.6)

    behind = int(rng.integers(0, 6)) if contrast == "se" else int(rng.integers(0, 2))
    profile = _profile(rng, "round", "round", "pyramid")
    for _ in range(behind):
        size = radius * rng.uniform(0.3, 0.9)
        place = rng.uniform(-0.1, 1.1, 2) * shape
        scene.add(make(size), place, rng.uniform(0, 3), kind="large", density=rng.uniform(0.35, 0.6), profile=profile)
    place = rng.uniform(0.25, 0.75, 2) * shape
    tone = rng.uniform(0.6, 1.0)
    scene.add(make(radius), place, rng.uniform(0, 3), kind="large", density=tone, profile=profile, softness_px=0.8)
    if contrast == "se" and rng.random() < 0.3:
        for size in spread_sizes(radius * 0.12, 0.4, int(rng.integers(1, 6)), rng):
            scene.add(disc(float(size)), place + rng.uniform(-1, 1, 2) * radius, 0.0, kind="large", density=tone * 1.1)
    return _expose(scene, _backdrop(scene))


def _stamp_tiny(
    scene: Scene, count: int, diameter: float, kind: str, strength: float, blocked: np.ndarray | None
) -> None:
    """Many particles of a few pixels each, at least their diameter apart."""
    rng, shape = scene.rng, scene.shape
    sizes = spread_sizes(diameter / 2, rng.uniform(0.03, 0.25), count, rng)
    cell = max(2, round(diameter * 1.15))
    taken = np.zeros((shape[0] // cell + 2, shape[1] // cell + 2), bool)
    softness = rng.uniform(0.35, 0.8)
    for size in sizes:
        centre = rng.uniform(0, 1, 2) * shape
        row, col = (int(c // cell) for c in centre)
        if taken[max(0, row - 1) : row + 2, max(0, col - 1) : col + 2].any():
            continue
        if blocked is not None and blocked[int(centre[0]), int(centre[1])]:
            continue
        taken[row, col] = True
        scene.add(
            disc(float(max(size, 0.8))),
            centre,
            0.0,
            kind=kind,
            density=strength * rng.uniform(0.7, 1.2),
            softness_px=softness,
        )


def _tiny(shape: tuple[int, int], rng: np.random.Generator) -> Drawn:
    """Hundreds to thousands of particles of 2 to 6 px, sometimes beside one large object or film."""
    scene = _begin(shape, _contrast(rng, 0.5, 0.25), rng)
    scene.texture = 0.0
    diameter = rng.uniform(2.2, 6.5)
    room = 0.35 * shape[0] * shape[1] / (diameter * 1.5) ** 2
    count = int(room * _size(rng, 0.08, 1.0))
    count = min(count, int(330 * _area(shape)))
    blocked = None
    if rng.random() < 0.35:
        _add_large_object(scene)
        blocked = scene.labels > 0
    _stamp_tiny(scene, count, diameter, "tiny", 1.0 if scene.contrast != "se" else rng.uniform(0.6, 0.9), blocked)
    return _expose(scene, _backdrop(scene), faint=0.3)


def _add_large_object(scene: Scene) -> None:
    """One aggregate or particle many times as large as the others."""
    rng, shape = scene.rng, scene.shape
    size = min(shape) * rng.uniform(0.06, 0.25)
    place = rng.uniform(0.1, 0.9, 2) * shape
    density = rng.uniform(0.6, 1.2)
    if rng.random() < 0.5:
        scene.add(bumpy(size, rng, 0.3), place, 0.0, kind="large", density=density, softness_px=0.8)
        return
    sizes = spread_sizes(size * 0.3, 0.2, int(rng.integers(5, 14)), rng)
    for one, centre in zip(sizes, _grow(sizes, place, rng, chain=False, overlap=0.3), strict=True):
        scene.add(ellipse(one * 1.15, one), centre, rng.uniform(0, 3), kind="agglomerate", density=density, aggregate=1)


def _mixed(shape: tuple[int, int], rng: np.random.Generator) -> Drawn:
    """Two populations side by side: a few large particles among many small ones."""
    scene = _begin(shape, _contrast(rng), rng)
    small = _size(rng, 1.5, 8)
    large = small * rng.uniform(3, 9)
    few = int(np.clip(rng.uniform(0.03, 0.25) * _SIDE_PX**2 / (math.pi * large**2) * _area(shape), 1, 30))
    profile = _profile(rng, "round", "flat")
    outlines = [bumpy(float(s), rng, 0.1) for s in spread_sizes(large, 0.2, few, rng)]
    _draw_scattered(scene, outlines, "round", profile, clustered=0.2, overlap=0.05, density=(0.7, 1.2))
    many = int(np.clip(rng.uniform(0.03, 0.2) * _SIDE_PX**2 / (math.pi * small**2) * _area(shape), 5, 250))
    _stamp_tiny(scene, many, 2 * small, "round", rng.uniform(0.6, 1.1), scene.labels > 0)
    return _expose(scene, _backdrop(scene))


def _grains(shape: tuple[int, int], rng: np.random.Generator) -> Drawn:
    """Precipitates of any shape in a matrix, seen on a polished surface, darker or brighter than it."""
    scene = Scene(shape, "df", rng)
    longest = _size(rng, 14, 70)
    field = fractal_field(shape, rng, exponent=3.0, longest_px=longest)
    field = ndimage.gaussian_filter(field, longest / 12)
    field /= max(float(field.std()), 1e-6)
    depth = field - rng.uniform(-0.2, 0.9)
    labels, _ = ndimage.label(depth > 0)
    areas = np.bincount(labels.ravel())
    labels[(areas < 9)[labels]] = 0
    soft = np.clip(depth * rng.uniform(4, 15) + 0.5, 0, 1)
    rim = np.exp(-np.abs(depth) * rng.uniform(6, 15))
    tone = rng.uniform(0.15, 0.5) * (1 if rng.random() < 0.5 else -1)
    scene.signal += 0.5 + tone * soft + rng.uniform(0, 0.35) * rim + rng.uniform(0, 0.05) * cut_noise(shape, 6.0, rng)
    values = np.unique(labels)[1:]
    scene.labels = np.searchsorted(np.append(0, values), labels).astype(np.int32)
    scene.rows = [
        {"label": n, "kind": "grain", "aggregate": 0, "core_diameter_px": math.nan, "hollow": False}
        for n in range(1, len(values) + 1)
    ]
    return _expose(scene)


def _empty(shape: tuple[int, int], rng: np.random.Generator) -> Drawn:
    """No particle: background, support, film or texture alone."""
    contrast = _contrast(rng, 0.5, 0.25)
    scene = _begin(shape, contrast, rng)
    style = rng.choice(["plain", "fractal", "lacey"] if contrast == "bf" else ["plain", "fractal", "pile"])
    support: np.ndarray | float = 0.0
    if style == "fractal":
        support = fractal_support(shape, rng)
    elif style == "pile":
        support = pile(shape, rng)
    elif style == "lacey":
        support = 0.5 * lacey_film(shape, rng)
    if contrast == "se":
        scene.signal += 0.3 * support + rng.uniform(0, 0.1) * fractal_field(shape, rng, exponent=1.2, longest_px=60)
    return _expose(scene, support if contrast != "se" else 0.0)


KINDS: dict[str, Maker] = {
    "round": _round,
    "rod": _rods,
    "wire": _wires,
    "cube": _cubes,
    "raft": _rafts,
    "platelet": _platelets,
    "agglomerate": _agglomerates,
    "on support": _supported,
    "on film": _films,
    "core-shell": _core_shells,
    "fills the frame": _filling,
    "tiny": _tiny,
    "mixed sizes": _mixed,
    "grains": _grains,
    "empty": _empty,
}
"""Makers by kind of micrograph: each draws an image of a shape (height, width) with a generator of random numbers."""
