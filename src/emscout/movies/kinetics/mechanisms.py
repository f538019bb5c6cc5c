"""Why sizes changed: distinguishes ripening from coalescence, particle by particle."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from emscout.errors import UsageError
from emscout.movies.tracking.observations import SETTLE, outline_noise_px

__all__ = ["MECHANISMS", "PREVAILS", "Losses", "assign_mechanisms", "count_losses", "ripening_prevails"]

MECHANISMS = ("ripening", "coalescence", "both", "none", "unclear")

_MERGERS = ("coalescence", "split")
PREVAILS = 2.0
"""A mechanism prevails from so many times the losses of the other on."""

# A change is significant from so many standard deviations on.
_SIGNIFICANT = 3.0
# Frames over which neighbours of a particle that vanished are compared.
_COMPARED = 12
# Neighbours are those within so many mean distances: near enough to have taken up what was lost, and enough of them.
_REACH = 4.0


class Losses(NamedTuple):
    """How many particles were lost, by mechanism."""

    ripening: int
    coalescence: int
    unexplained: int
    left: int


def assign_mechanisms(tracks: pd.DataFrame, events: pd.DataFrame, field_area_px2: float) -> pd.DataFrame:
    """Find out by which mechanism the size of each particle changed.

    Parameters
    ----------
    tracks : DataFrame
        From `link_particles`.
    events : DataFrame
        From `find_events` for these tracks.
    field_area_px2 : float
        Area of the field of view, for the mean distance between particles.

    Returns
    -------
    DataFrame
        One row per particle:

        - ``particle``, ``first_frame``, ``last_frame``, ``frames`` (in which it is seen);
        - ``beginning``, ``end``: kind of the event with which it came and went; empty where the movie begins or ends;
        - ``area_first_px2``, ``area_last_px2``: medians of up to five frames;
        - ``by_mergers_px2``: sum of the jumps of area at mergers and splits; ``by_exchange_px2``: the steady change,
          and ``exchange_z``: over its standard deviation (jumps at errors of segmentation are in neither);
        - ``neighbours_px3``: of one that vanished, the volume (as spheres) that the larger half of the particles
          within four mean distances gained over twelve frames, its last ones if it was seen that long;
        - ``mechanism``: one of `MECHANISMS`.

    Raises
    ------
    UsageError
        When a column is missing.

    Notes
    -----
    The area between jumps is fitted by a line; its slope is significant from three standard deviations on, which come
    from the noise of the outlines. ``coalescence``: the particle merged into another, or it changed by jumps alone.
    ``ripening``: it grew or shrank steadily, and if it vanished, it shrank while larger neighbours gained,
    significantly, at least half of what it lost. ``both``: jumps and a steady change. ``none``: no significant change.
    ``unclear``: it vanished or appeared without a steady change, or vanished while nothing around it grew (as by
    evaporation, or because the segmentation missed it).
    """
    missing = [name for name in ("frame", "particle", "row_px", "col_px", "area_px2") if name not in tracks]
    if missing:
        raise UsageError(f"The table of tracks has no column {missing[0]}, without which no mechanism can be found.")
    noise = outline_noise_px(tracks)
    ordered = tracks.sort_values(["particle", "frame"], kind="stable")
    names, starts = np.unique(ordered["particle"].to_numpy(), return_index=True)
    bounds = dict(zip(names.tolist(), zip(starts, np.append(starts, len(ordered))[1:], strict=True), strict=True))
    frame = ordered["frame"].to_numpy(dtype=int)
    area = ordered["area_px2"].to_numpy(dtype=float)
    steady = area.copy()
    happened: dict[int, list[tuple[int, str]]] = {int(name): [] for name in names}
    for at, kind, some in events[["frame", "kind", "particles"]].itertuples(index=False):
        for number in map(int, some.split()):
            if number in happened:
                happened[number].append((int(at), kind))

    rows = []
    for name, (low, high) in bounds.items():
        seen, sizes = frame[low:high], area[low:high]
        ends = [kind for at, kind in happened[name] if at > seen[-1]]
        begins = [kind for at, kind in happened[name] if at <= seen[0]]
        jumps: dict[int, bool] = {}  # frame of each jump, and whether a merger or a split caused it
        for at, kind in sorted(happened[name]):
            if seen[0] < at <= seen[-1]:
                jumps[at] = jumps.get(at, False) or kind in _MERGERS
        jumped = _remove_jumps(seen, sizes, jumps, steady[low:high])
        slope, error = _slope(seen, steady[low:high], 2 * np.sqrt(np.pi * sizes) * noise)
        rows.append(
            {
                "particle": name,
                "first_frame": seen[0],
                "last_frame": seen[-1],
                "frames": len(seen),
                "beginning": begins[0] if begins else "",
                "end": ends[0] if ends else "",
                "area_first_px2": np.median(sizes[:SETTLE]),
                "area_last_px2": np.median(sizes[-SETTLE:]),
                "by_mergers_px2": jumped,
                "by_exchange_px2": slope * (seen[-1] - seen[0]),
                "exchange_z": slope / error if error > 0 else 0.0,
            }
        )
    table = pd.DataFrame(rows, columns=_COLUMNS[:-2])
    table["neighbours_px3"], least = _neighbours_gain(ordered, steady, noise, table, field_area_px2)
    fed = table["neighbours_px3"].to_numpy() > least
    table["mechanism"] = [_mechanism(row, one) for row, one in zip(table.to_dict("records"), fed, strict=True)]
    return table


_COLUMNS = [
    "particle",
    "first_frame",
    "last_frame",
    "frames",
    "beginning",
    "end",
    "area_first_px2",
    "area_last_px2",
    "by_mergers_px2",
    "by_exchange_px2",
    "exchange_z",
    "neighbours_px3",
    "mechanism",
]


def _remove_jumps(seen: np.ndarray, sizes: np.ndarray, jumps: dict[int, bool], steady: np.ndarray) -> float:
    """Sum of the jumps by mergers and splits; all jumps are taken out of `steady`, in place."""
    edges = [0, *np.searchsorted(seen, list(jumps)).tolist(), len(seen)]
    total = 0.0
    for left, here, right, counts in zip(edges[:-2], edges[1:-1], edges[2:], jumps.values(), strict=True):
        if left == here or here == right:
            continue
        jump = np.median(sizes[here : min(here + SETTLE, right)]) - np.median(sizes[max(here - SETTLE, left) : here])
        steady[here:] -= jump
        total += float(jump) if counts else 0.0
    return total


def _slope(time: np.ndarray, values: np.ndarray, noise: np.ndarray) -> tuple[float, float]:
    """Slope by least squares and its standard deviation; 0 and 0 for two values or fewer."""
    if len(time) < 3:
        return 0.0, 0.0
    off = time - time.mean()
    square = (off**2).sum()
    return float((off * values).sum() / square), float(np.sqrt(((off * noise) ** 2).sum()) / square)


def _neighbours_gain(
    ordered: pd.DataFrame, steady: np.ndarray, noise: float, table: pd.DataFrame, field_area_px2: float
) -> tuple[np.ndarray, np.ndarray]:
    """Volume gained by the larger half of those around each particle that vanished; NaN for others.

    And what that must exceed to be significant: half of what the particle itself lost, and what noise can do.
    """
    gain, least = np.full((2, len(table)), np.nan)
    radius = pd.DataFrame(
        {"particle": ordered["particle"].to_numpy(), "radius": np.sqrt(np.maximum(steady, 0) / np.pi)}
    )
    rolling = radius.groupby("particle")["radius"].rolling(SETTLE, center=True, min_periods=1)
    smooth = rolling.mean().to_numpy()
    error = noise / np.sqrt(SETTLE // 2 + 1)  # at the beginning and the end of a track, where the fewest are averaged
    columns = np.column_stack([ordered[["frame", "particle", "row_px", "col_px"]].to_numpy(dtype=float), smooth])
    columns = columns[np.argsort(columns[:, 0], kind="stable")]
    numbers, starts = np.unique(columns[:, 0].astype(int), return_index=True)
    by_frame = dict(zip(numbers.tolist(), np.split(columns, starts)[1:], strict=True))
    who, frame = ordered["particle"].to_numpy(), ordered["frame"].to_numpy()
    particle, last = table[["particle", "last_frame"]].to_numpy(dtype=int).T
    for i in np.flatnonzero(table["end"] == "vanished"):
        own = frame[slice(*np.searchsorted(who, (particle[i], particle[i] + 1)))]
        start = int(np.searchsorted(numbers, own[own >= last[i] - _COMPARED][0]))
        then = by_frame[int(numbers[start])]
        now = by_frame[int(numbers[min(start + _COMPARED, len(numbers) - 1)])]
        here = then[then[:, 1] == particle[i]][0]
        near = then[np.hypot(*(then[:, 2:4] - here[2:4]).T) <= _REACH * np.sqrt(field_area_px2 / len(then))]
        _, a, b = np.intersect1d(near[:, 1], now[:, 1], return_indices=True)
        before, after = near[a, 4], now[b, 4]
        if len(before) == 0:
            continue
        larger = before + after >= np.median(before + after)
        gain[i] = 4 / 3 * np.pi * (after**3 - before**3)[larger].sum()
        least[i] = max(
            2 / 3 * np.pi * here[4] ** 3, _SIGNIFICANT * 4 * np.pi * error * np.sqrt(2 * (after[larger] ** 4).sum())
        )
    return gain, least


def _mechanism(row: dict, fed: bool) -> str:
    steadily = abs(row["exchange_z"]) >= _SIGNIFICANT
    if row["end"] == "coalescence":
        return "coalescence"
    if row["end"] == "vanished":
        shrank = steadily and row["by_exchange_px2"] < 0
        return "ripening" if shrank and fed else "unclear"
    if row["beginning"] == "appeared" and not steadily:
        return "unclear"
    if row["by_mergers_px2"] != 0 or {row["beginning"], row["end"]} & {*_MERGERS}:
        return "both" if steadily else "coalescence"
    return "ripening" if steadily else "none"


def count_losses(particles: pd.DataFrame) -> Losses:
    """Count the particles that are no longer there at the end, by mechanism.

    Parameters
    ----------
    particles : DataFrame
        From `assign_mechanisms`.
    """
    vanished = particles["end"] == "vanished"
    ripened = vanished & (particles["mechanism"] == "ripening")
    return Losses(
        int(ripened.sum()),
        int((particles["end"] == "coalescence").sum()),
        int((vanished & ~ripened).sum()),
        int((particles["end"] == "left-field").sum()),
    )


def ripening_prevails(particles: pd.DataFrame) -> bool:
    """Whether the law of ripening may be taken as the reason why sizes changed.

    Parameters
    ----------
    particles : DataFrame
        From `assign_mechanisms`.

    Returns
    -------
    bool
        Whether ripening took at least twice as many particles as coalescence, and explains at least half of the losses.
        Where nothing was lost, whether most of what changed did so steadily.
    """
    losses = count_losses(particles)
    ripened, merged, unexplained = losses.ripening, losses.coalescence, losses.unexplained
    if ripened + merged + unexplained == 0:
        changed = particles["mechanism"].isin(("ripening", "coalescence", "both"))
        return bool((particles["mechanism"] == "ripening").sum() > changed.sum() / 2)
    return ripened >= PREVAILS * merged and unexplained <= ripened + merged
