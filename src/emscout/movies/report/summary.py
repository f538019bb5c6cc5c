"""A summary of what happened in a movie, in sentences that claim no more than the numbers show."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from emscout.movies.kinetics.growth import LAWS, WIDEST_INTERVAL
from emscout.movies.kinetics.mechanisms import PREVAILS, Losses, count_losses
from emscout.movies.notices import files_by_frame
from emscout.movies.report.time_axis import TimeAxis
from emscout.units import spell_length

__all__ = ["format_number", "summarise"]

# First and last values of a curve are medians of so many frames.
_ENDS = 5
# A particle that is missing only in the last frames may just have been missed; so many are not counted.
_LAST = 3
# With fewer losses, nothing is said about which mechanism prevails.
_FEW = 5
# Difference of Akaike's criterion from which on one distribution is said to fit better.
_CLEAR_AIC = 10.0
# The 5 % limit of Kolmogorov's distance is this over the square root of the number of sizes.
_KOLMOGOROV = 1.36


def summarise(tables: Mapping[str, pd.DataFrame], time_axis: TimeAxis, nm_per_px: float | None) -> dict[str, str]:
    """Summarise what happened, and how certain that is.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        From `emscout.movies.analyse_tracks.analyse_tracks`.
    time_axis : TimeAxis
    nm_per_px : float or None

    Returns
    -------
    dict of str to str
        Paragraphs by their headings.
    """
    particles, events, curves = tables["particles"], tables["events"], tables["curves"]
    story = {"The specimen": _describe_drift(tables["drift"], len(curves), time_axis, nm_per_px)}
    if len(tables["tracks"]) == 0:
        return story | {"Particles": "No particle was found in any frame."}
    if len(curves) == 1:
        return story | {"Particles": _describe_one_frame(curves, tables["drift"], nm_per_px)}
    losses, last = count_losses(particles), int(curves["frame"].iloc[-_LAST:].iloc[0])
    story |= {
        "Sizes": _describe_curves(curves, nm_per_px),
        "Why": _describe_mechanism(particles, events, losses, last),
        "The law": _describe_growth(tables["growth"]),
        "The distribution": _describe_distribution(tables["shapes"]),
    }
    flagged, wrong, real = _count_errors(events)
    if wrong:
        text = (
            f"{_count(flagged, 'event is', 'events are')} flagged as "
            f"{'a segmentation error' if flagged == 1 else 'segmentation errors'}: "
            "mergers that conserve neither area nor volume, mergers undone a few frames later, and particles seen for "
            "only a frame or two."
        )
        if wrong < flagged:
            text += f" They concern {'one particle or pair' if wrong == 1 else f'{wrong} particles or pairs'} only."
        if wrong > real:
            text += " That is more than there are real events: look at the clip before you believe the counts above."
        story["Errors"] = text
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


def format_number(value: float) -> str:
    """A number to three digits, or all of those before the decimal point."""
    return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}") if abs(value) >= 100 else f"{value:.3g}"


def _count(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"


def _describe_drift(drift: pd.DataFrame, measured: int, time_axis: TimeAxis, nm_per_px: float | None) -> str:
    n = len(drift)
    span = (
        ""
        if time_axis.unit == "frame"
        else f" over {format_number(float(time_axis.when[-1] - time_axis.when[0]))} {time_axis.unit}"
    )
    path = drift[["row_px", "col_px"]].to_numpy(dtype=float)
    reach = float(np.hypot(*np.ptp(path, axis=0)))
    length = f"{format_number(reach)} px"
    if nm_per_px:
        length += f" ({spell_length(reach * nm_per_px)})"
    share = "all of them were" if measured == n else f"{measured} of them {'was' if measured == 1 else 'were'}"
    text = f"{_count(n, 'frame', 'frames')}{span}; {share} measured."
    bad = drift["status"] != "ok"
    if bad.any():
        faulty = "frame is faulty and was" if bad.sum() == 1 else "frames are faulty and were"
        text += f" {bad.sum()} {faulty} skipped."
    if measured == 1:
        return text
    return f"{text} The specimen moved over a range of {length}, which was corrected."


def _describe_curves(curves: pd.DataFrame, nm_per_px: float | None) -> str:
    """What changed by more than its uncertainty, and what may not have changed."""
    unit, length = ("nm", nm_per_px) if nm_per_px else ("px", 1.0)
    parts, unsure, ends = [], [], 1
    for name, words, scale, suffix in (
        ("n", "the number of particles in view", 1.0, ""),
        ("mean_radius_px", "the mean radius", length, f" {unit}"),
        ("coverage", "the area covered", 100.0, " %"),
        ("volume_px3", "the volume (as spheres)", length**3, f" {unit}³"),
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
            parts.append(f"{words} {verb} from {format_number(before)} to {format_number(after)}{suffix}{percent}")
        else:
            unsure.append(f"{words} ({format_number(before)} and {format_number(after)}{suffix})")
    if not parts and not unsure:
        return "There are too few measured frames to compare."
    text = (
        f"Between the first {ends} frames and the last {ends} (medians), " if ends > 1 else "From first to last frame, "
    )
    text += ", ".join(parts) + "." if parts else "nothing changed by more than its uncertainty."
    if unsure:
        text += f" Within the uncertainty, so perhaps unchanged: {', '.join(unsure)}."
    return text


def _describe_one_frame(curves: pd.DataFrame, drift: pd.DataFrame, nm_per_px: float | None) -> str:
    frame = int(curves["frame"].iloc[0])
    file = files_by_frame(drift).get(frame)
    unit, length = ("nm", nm_per_px) if nm_per_px else ("px", 1.0)
    text = (
        f"Only frame {frame}{f' ({file})' if file else ''} could be measured, so nothing can be said about change; it "
        f"shows {_count(int(curves['n'].iloc[0]), 'particle', 'particles')}"
    )
    figures = curves[[f"mean_radius_px{end}" for end in ("", "_low", "_high")]].iloc[0].astype(float) * length
    if not math.isfinite(figures.iloc[0]):
        return f"{text}."
    radius, low, high = (format_number(value) for value in figures)
    return f"{text} with a mean radius of {radius} {unit} ({low} to {high} {unit})."


def _describe_mechanism(particles: pd.DataFrame, events: pd.DataFrame, losses: Losses, last: int) -> str:
    """How particles were lost; those seen in frame `last` or later are still there."""
    gone = losses.ripening + losses.coalescence + losses.unexplained
    _, wrong, real = _count_errors(events)
    if wrong > max(real, _FEW):
        verdict = "Segmentation errors outnumber the events, so no mechanism is claimed."
    elif gone < _FEW:
        verdict = "Too few particles were lost inside the field to say by which mechanism the particles coarsened."
    elif losses.unexplained > gone / 2:
        verdict = "Most losses are unexplained, so neither ripening nor coalescence is claimed."
    elif losses.ripening >= PREVAILS * losses.coalescence:
        verdict = "Particles were lost mainly by Ostwald ripening."
    elif losses.coalescence >= PREVAILS * losses.ripening:
        verdict = "Particles were lost mainly by coalescence."
    else:
        verdict = "Particles were lost both by Ostwald ripening and by coalescence."
    merged = events[events["kind"] == "coalescence"]
    kept = "" if merged.empty else f" (which conserve {_describe_conserved(merged)})"
    joined = f" in {_count(len(merged), 'coalescence', 'coalescences')}{kept}" if len(merged) else ""
    text = (
        f"{verdict} Of {_count(len(particles), 'particle', 'particles')} followed, {losses.ripening or 'none'} shrank "
        f"to nothing while larger neighbours grew, {losses.coalescence or 'none'} merged into another{joined}, "
        f"{losses.unexplained or 'none'} vanished without explanation, and {losses.left or 'none'} left the "
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


def _describe_conserved(merged: pd.DataFrame) -> str:
    counts = merged["conserved"].value_counts()
    parts = [f"{name} in {counts[name]}" for name in ("volume", "area") if name in counts]
    return " and ".join(parts) + f", within {100 * float(merged['tolerance'].median()):.0f} % as a rule"


def _describe_growth(growth: pd.DataFrame) -> str:
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
    fits = [f"{n} ({name})" for n, name, _ in LAWS if low <= n <= high]
    if high - low > WIDEST_INTERVAL:
        text += "The interval is too wide to tell which law holds."
    elif fits:
        text += f"That agrees with {' and with '.join(fits)}."
    else:
        text += "No simple law has an exponent in that interval."
    if best is single and mean is not None and math.isfinite(mean["n_low"]):
        text += f" The mean radius alone gives {mean['n']:.1f} ({mean['n_low']:.1f} to {mean['n_high']:.1f})."
    if high - low <= WIDEST_INTERVAL and not best["explains"]:
        text += (
            " This is the law of ripening, which does not prevail here: it describes the curve but does not explain it."
        )
    return text


def _describe_distribution(shapes: pd.DataFrame) -> str:
    table = shapes.set_index("shape")[["aic", "kolmogorov", "n"]].astype(float)
    (lsw, lsw_apart, n), (bell, bell_apart, _) = table.loc[["lsw", "log-normal"]].to_numpy().tolist()
    if not math.isfinite(lsw + bell):
        return (
            f"There are too few sizes ({n:.0f}) to compare with the distributions that ripening and coalescence leave."
        )
    better, other = ("LSW distribution of ripening", "log-normal") if lsw < bell else ("log-normal distribution", "LSW")
    difference = abs(lsw - bell)
    if difference < _CLEAR_AIC:
        text = "The last sizes fit the LSW distribution of ripening and the log-normal one about equally well"
    else:
        text = f"The last sizes fit the {better} better than the {other} one (AIC lower by {format_number(difference)})"
    if min(lsw_apart, bell_apart) > _KOLMOGOROV / math.sqrt(max(n, 1)):
        text += ", but neither fits well"
    return (
        f"{text}. The largest distances between the cumulative distributions are {lsw_apart:.2f} (LSW) and "
        f"{bell_apart:.2f} (log-normal)."
    )
