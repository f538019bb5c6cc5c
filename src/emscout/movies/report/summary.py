"""What happened in a movie, in sentences that claim no more than the numbers do."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from emscout.movies.report.curves import Clock
from emscout.movies.report.footage import Footage, names_of_files
from emscout.units import spell_length

__all__ = ["Losses", "count_losses", "short", "tell_story"]

# First and last values of a curve are medians of so many frames.
_ENDS = 5
# What is missing for fewer frames than this at the end may only be out of sight.
_UNTOLD = 3
# With fewer losses, nothing is said about which mechanism prevails; one does from twice the other's number on.
_FEW, _PREVAILS = 5, 2.0
# An interval wider than this does not tell one law from the next.
_WIDE = 1.5
# Differences of Akaike's criterion from which on one shape is said to fit better.
_TELLING_AIC = 10.0
_LAWS = ((2, "growth limited by the interface"), (3, "growth limited by diffusion"), (4, "exchange along a surface"))


class Losses(NamedTuple):
    """How many particles went, and by what."""

    ripening: int
    coalescence: int
    unexplained: int
    left: int


def count_losses(particles: pd.DataFrame) -> Losses:
    """Count what became of the particles that are no longer there at the end."""
    vanished = particles["end"] == "vanished"
    ripened = vanished & (particles["mechanism"] == "ripening")
    return Losses(
        int(ripened.sum()),
        int((particles["end"] == "coalescence").sum()),
        int((vanished & ~ripened).sum()),
        int((particles["end"] == "left-field").sum()),
    )


def tell_story(
    footage: Footage, tables: Mapping[str, pd.DataFrame], clock: Clock, n_sized_frames: int
) -> list[tuple[str, str]]:
    """Say what happened, and how sure that is.

    Parameters
    ----------
    footage : Footage
    tables : mapping of str to DataFrame
        ``curves``, ``particles``, ``growth``, ``shapes``.
    clock : Clock
    n_sized_frames : int
        How many frames the sizes in ``shapes`` come from: the same particles over again tell no more.

    Returns
    -------
    list of (str, str)
        What a paragraph is about, and the paragraph.
    """
    particles, events = tables["particles"], footage.events
    story = [("The specimen", _tell_drift(footage, clock))]
    if len(footage.tracks) == 0:
        return [*story, ("Particles", "No particle was found in any frame.")]
    if len(footage.measured) == 1:
        return [*story, ("Particles", _tell_one_frame(tables["curves"], footage))]
    losses = count_losses(particles)
    story += [
        ("Sizes", _tell_curves(tables["curves"], footage.nm_per_px)),
        ("Why", _tell_mechanism(particles, events, losses, footage.measured[-_UNTOLD:][0])),
        ("The law", _tell_growth(tables["growth"])),
        ("The distribution", _tell_shapes(tables["shapes"], n_sized_frames)),
    ]
    flagged, wrong, told = _count_errors(events)
    if wrong:
        text = (
            f"{_count(flagged, 'event is flagged as an error', 'events are flagged as errors')} of the segmentation: "
            "mergers that conserve neither area nor volume, those undone a few frames later, and particles seen for a "
            "frame or two."
        )
        if wrong < flagged:
            text += f" They concern {'one particle or pair' if wrong == 1 else f'{wrong} particles or pairs'} only."
        if wrong > told:
            text += " That is more than there are real events: look at the clip before you believe the counts above."
        story.append(("Errors", text))
    return story


def _count_errors(events: pd.DataFrame) -> tuple[int, int, int]:
    """Events that are errors of the segmentation, those with the same particles as one, and real ones in the field."""
    kinds = events["kind"]
    wrong = events.loc[kinds == "segmentation-error", "particles"]
    return (
        len(wrong),
        wrong.nunique(),
        int(kinds.isin(("coalescence", "split", "vanished", "appeared")).sum()),
    )


def short(value: float) -> str:
    """A number of three digits, or all of those before the point."""
    return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}") if abs(value) >= 100 else f"{value:.3g}"


def _count(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"


def _tell_drift(footage: Footage, clock: Clock) -> str:
    n, measured = len(footage.drift), len(footage.origins)
    span = "" if clock.unit == "frame" else f" over {short(float(clock.when[-1] - clock.when[0]))} {clock.unit}"
    path = footage.drift[["row_px", "col_px"]].to_numpy(dtype=float)
    reach = float(np.hypot(*np.ptp(path, axis=0)))
    length = f"{short(reach)} px"
    if footage.nm_per_px:
        length += f" ({spell_length(reach * footage.nm_per_px)})"
    share = "all of them were" if measured == n else f"{measured} of them {'was' if measured == 1 else 'were'}"
    text = f"{_count(n, 'frame', 'frames')}{span}; {share} measured."
    bad = footage.drift["status"] != "ok"
    if bad.any():
        has, was = ("frame has", "was") if bad.sum() == 1 else ("frames have", "were")
        text += f" {bad.sum()} {has} something wrong and {was} bridged."
    if measured == 1:
        return text
    return f"{text} The specimen moved over a range of {length}, which was taken out."


def _tell_curves(curves: pd.DataFrame, nm_per_px: float | None) -> str:
    """What changed by more than the doubt about it, and what may not have."""
    unit, length = ("nm", nm_per_px) if nm_per_px else ("px", 1.0)
    parts, unsure, ends = [], [], 1
    for name, words, scale, suffix in (
        ("n", "the number of particles in view", 1.0, ""),
        ("mean_radius_px", "the mean radius", length, f" {unit}"),
        ("coverage", "the area covered", 100.0, " %"),
        ("volume_px3", "the volume as of spheres", length**3, f" {unit}³"),
    ):
        values = curves[[name, f"{name}_low", f"{name}_high"]].dropna().to_numpy(dtype=float) * scale
        if len(values) < 2:
            continue
        ends = min(_ENDS, len(values) // 2)
        (before, _, high_before), (after, _, _) = np.median(values[:ends], axis=0), np.median(values[-ends:], axis=0)
        (_, low_after, high_after), low_before = np.median(values[-ends:], axis=0), np.median(values[:ends, 1])
        # Twice the scatter from frame to frame, of which differences have the square root of two more.
        scatter = 2 * 1.4826 * float(np.median(np.abs(np.diff(values[:, 0])))) / math.sqrt(2)
        apart = low_after > high_before or high_after < low_before
        change = after - before
        if apart and abs(change) > scatter:
            percent = f" ({100 * change / before:+.0f} %)".replace("-", "−") if before else ""
            verb = "rose" if change > 0 else "fell"
            parts.append(f"{words} {verb} from {short(before)} to {short(after)}{suffix}{percent}")
        else:
            unsure.append(f"{words} ({short(before)} and {short(after)}{suffix})")
    if not parts and not unsure:
        return "There are too few measured frames to compare."
    text = (
        f"Between the first {ends} frames and the last {ends} (medians), " if ends > 1 else "From first to last frame, "
    )
    text += ", ".join(parts) + "." if parts else "no figure changed by more than the doubt about it."
    if unsure:
        text += f" Within its band, so perhaps unchanged: {', '.join(unsure)}."
    return text


def _tell_one_frame(curves: pd.DataFrame, footage: Footage) -> str:
    frame = footage.measured[0]
    file = names_of_files(footage.drift).get(frame)
    unit, length = ("nm", footage.nm_per_px) if footage.nm_per_px else ("px", 1.0)
    text = (
        f"Only frame {frame}{f' ({file})' if file else ''} could be measured, so nothing can be said about change; it "
        f"shows {_count(int(curves['n'].iloc[0]), 'particle', 'particles')}"
    )
    radius, low, high = curves[[f"mean_radius_px{end}" for end in ("", "_low", "_high")]].iloc[0].astype(float) * length
    if not math.isfinite(radius):
        return f"{text}."
    return f"{text} with a mean radius of {short(radius)} {unit} ({short(low)} to {short(high)} {unit})."


def _tell_mechanism(particles: pd.DataFrame, events: pd.DataFrame, losses: Losses, last: int) -> str:
    """Why particles are no more; those seen in frame `last` or later are still there."""
    gone = losses.ripening + losses.coalescence + losses.unexplained
    _, wrong, told = _count_errors(events)
    if wrong > max(told, _FEW):
        verdict = "Errors of the segmentation outnumber the events, so no mechanism is claimed."
    elif gone < _FEW:
        verdict = "Too few particles were lost inside the field to say by which mechanism it coarsened."
    elif losses.unexplained > gone / 2:
        verdict = "Most losses are unexplained, so neither ripening nor coalescence is claimed."
    elif losses.ripening >= _PREVAILS * losses.coalescence:
        verdict = "Particles were lost mainly by Ostwald ripening."
    elif losses.coalescence >= _PREVAILS * losses.ripening:
        verdict = "Particles were lost mainly by coalescence."
    else:
        verdict = "Particles were lost both by Ostwald ripening and by coalescence."
    merged = events[events["kind"] == "coalescence"]
    kept = "" if merged.empty else f" (which conserve {_tell_conserved(merged)})"
    joined = f" in {_count(len(merged), 'coalescence', 'coalescences')}{kept}" if len(merged) else ""
    text = (
        f"{verdict} Of {_count(len(particles), 'particle', 'particles')} followed, {losses.ripening or 'none'} shrank "
        f"to nothing while larger neighbours grew, {losses.coalescence or 'none'} merged into another{joined}, "
        f"{losses.unexplained or 'none'} vanished without that being explained, and {losses.left or 'none'} left the "
        "field."
    )
    there = particles[(particles["end"] == "") & (particles["frames"] > 2) & (particles["last_frame"] >= last)]
    rest = len(particles) - len(there) - gone - losses.left
    others = (
        f" The other {rest} were outlined wrongly, seen for a frame or two, or hidden by the edge of the field."
        if rest
        else ""
    )
    steady = there["mechanism"].isin(("ripening", "both"))
    grew, shrank = ((steady & (sign * there["by_exchange_px2"] > 0)).sum() for sign in (1, -1))
    return (
        f"{text} Of the {len(there)} still there at the end, {grew} grew and {shrank} shrank steadily by more than the "
        f"noise of their outlines; {len(there) - grew - shrank} did not.{others}"
    )


def _tell_conserved(merged: pd.DataFrame) -> str:
    counts = merged["conserved"].value_counts()
    parts = [f"{name} in {counts[name]}" for name in ("volume", "area") if name in counts]
    return " and ".join(parts) + f", within {100 * float(merged['tolerance'].median()):.0f} % as a rule"


def _tell_growth(growth: pd.DataFrame) -> str:
    figures = {str(row["method"]): row for row in growth.to_dict("records")}
    single, mean = (figures.get(name) for name in ("single-particles", "mean-radius"))
    best = next(
        (row for row in (single, mean) if row is not None and math.isfinite(row["n_low"] + row["n_high"])), None
    )
    if best is None:
        return (
            "No exponent n of rⁿ − r₀ⁿ = kt is claimed: there are too few particles or frames, or they do not grow "
            "by enough."
        )
    low, high = best["n_low"], best["n_high"]
    source = "the growth of single particles" if best is single else "the mean radius"
    text = f"From {source}, n in rⁿ − r₀ⁿ = kt is {best['n']:.1f} (95 % interval {low:.1f} to {high:.1f}). "
    fits = [f"{n} ({name})" for n, name in _LAWS if low <= n <= high]
    if high - low > _WIDE:
        text += "So wide an interval does not tell which law holds."
    elif fits:
        text += f"That agrees with {' and with '.join(fits)}."
    else:
        text += "No simple law has an exponent in that interval."
    if best is single and mean is not None and math.isfinite(mean["n_low"]):
        text += f" The mean radius alone gives {mean['n']:.1f} ({mean['n_low']:.1f} to {mean['n_high']:.1f})."
    if high - low <= _WIDE and not best["explains"]:
        text += (
            " The law is that of ripening, which does not prevail here: it describes the curve and explains nothing."
        )
    return text


def _tell_shapes(shapes: pd.DataFrame, n_frames: int) -> str:
    table = shapes.set_index("shape")[["aic", "kolmogorov", "n"]].astype(float)
    (lsw, lsw_apart, n), (bell, bell_apart, _) = table.loc[["lsw", "log-normal"]].to_numpy().tolist()
    if not math.isfinite(lsw + bell):
        return f"Too few sizes ({n:.0f}) to hold against the shapes that ripening and coalescence leave."
    better, other = ("LSW shape of ripening", "log-normal") if lsw < bell else ("log-normal shape", "LSW")
    difference = abs(lsw - bell) / max(n_frames, 1)
    if difference < _TELLING_AIC:
        text = "The last sizes fit the LSW shape of ripening and the log-normal one about equally well"
    else:
        text = f"The last sizes fit the {better} better than the {other} one (AIC lower by {short(difference)})"
    # The 5 % limit of Kolmogorov's distance, for sizes that are counted once.
    limit = 1.36 / math.sqrt(max(n / max(n_frames, 1), 1))
    if min(lsw_apart, bell_apart) > limit:
        text += ", but neither fits well"
    return (
        f"{text}. The greatest distances between the cumulative curves are {lsw_apart:.2f} (LSW) and "
        f"{bell_apart:.2f} (log-normal)."
    )
