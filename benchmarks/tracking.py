"""Links, events and growth exponents on synthetic movies, from tables.

    python benchmarks/tracking.py [--seeds 100 101 102 103] [--frames 50] [--particles 300] [--noise 0.2]
    python benchmarks/tracking.py --speed

The result of a segmentation is made from the truth, with errors, so that only tracking is scored: every radius and
coordinate has a normal error of NOISE pixels, some particles are missing in a frame, and some close pairs are one in a
frame. The movies show mixed ripening and coalescence (volume conserved for even seeds, area for odd ones), except those
for the exponent, which only ripen.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from emscout.evaluate.movies import score_events, score_links
from emscout.movies.kinetics.growth import growth_exponent
from emscout.movies.tracking.events import find_events
from emscout.movies.tracking.link import link_particles
from emscout.synthetic.movie import SyntheticMovie, make_movie

SMALLEST_PX = 1.5
# A field of this side for each particle, so that a fifth of it is covered.
SPACING_PX = 34


def segmented(movie: SyntheticMovie, args: argparse.Namespace, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The particles of each frame as a segmentation gives them, and where it merged two into one."""
    rng = np.random.default_rng([seed, 1])
    parts, errors = [], []
    for frame, true in movie.tracks.groupby("frame"):
        n = len(true)
        place = true[["row_px", "col_px"]].to_numpy() + rng.normal(0, args.noise, (n, 2))
        radius = true["radius_px"].to_numpy() + rng.normal(0, args.noise, n)
        keep = (radius > SMALLEST_PX) & (rng.random(n) >= args.missing)
        pairs = cKDTree(place).query_pairs(4 * radius.max(), output_type="ndarray")
        gap = np.hypot(*(place[pairs[:, 0]] - place[pairs[:, 1]]).T) - radius[pairs].sum(axis=1)
        for i, j in pairs[gap < 4][rng.random(int((gap < 4).sum())) < args.merged]:
            if keep[i] and keep[j]:
                weight = radius[[i, j]] ** 2
                place[i], radius[i] = weight @ place[[i, j]] / weight.sum(), np.sqrt(weight.sum())
                keep[j] = False
                errors.append((frame, "segmentation-error", tuple(true["particle"].to_numpy()[[i, j]])))
        table = true.loc[keep, ["frame"]].assign(row_px=place[keep, 0], col_px=place[keep, 1])
        parts.append(table.assign(area_px2=np.pi * radius[keep] ** 2))
    return pd.concat(parts, ignore_index=True), pd.DataFrame(errors, columns=["frame", "kind", "particles"])


def follow(
    movie: SyntheticMovie, table: pd.DataFrame, side: int
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, float]]:
    """Tracks, events, and the processor time of each."""
    drift = pd.DataFrame(movie.shift_px, columns=["row_px", "col_px"]).assign(frame=range(len(movie.frames)))
    start = time.process_time()
    tracks = link_particles(table)
    linked = time.process_time()
    events = find_events(tracks, (side, side), drift=drift)
    return tracks, events, {"link_s": linked - start, "events_s": time.process_time() - linked}


def score(seed: int, args: argparse.Namespace) -> tuple[dict[str, Any], pd.DataFrame, dict[str, Any]]:
    side = int(np.sqrt(args.particles) * SPACING_PX)
    common = {"n_particles": args.particles, "seed": seed}
    conserve = ("volume", "area")[seed % 2]
    movie = make_movie(
        args.frames,
        (side, side),
        process="mixed",
        growth=1.25,
        merges=args.particles // 3,
        conserve=conserve,
        **common,
    )
    table, errors = segmented(movie, args, seed)
    tracks, events, seconds = follow(movie, table, side)
    happened = movie.events["kind"].isin(["coalescence", "vanished"]).sum() / len(movie.tracks)
    links = {"seed": seed, **score_links(movie.tracks, tracks), "events_a_pair": happened, **seconds}
    of_events = score_events(pd.concat([movie.events, errors]), events, movie.tracks, tracks)

    ripening = make_movie(args.frames, (side, side), process="ripening", growth=1.3, **common)
    tracks, events, _ = follow(ripening, segmented(ripening, args, seed)[0], side)
    exponents = growth_exponent(tracks, np.arange(args.frames), events)
    by_method = {
        f"{row['method']} {figure}": row[figure]
        for row in exponents.to_dict("records")
        for figure in ("n", "n_low", "n_high")
    }
    return links, of_events, {"seed": seed, **by_method}


def measure_speed(args: argparse.Namespace) -> pd.DataFrame:
    """Processor time against the number of frames."""
    side = int(np.sqrt(args.particles) * SPACING_PX)
    rows = []
    for n_frames in (250, 500, 1000):
        movie = make_movie(n_frames, (side, side), n_particles=args.particles, drift_px=0.01, seed=1)
        table, _ = segmented(movie, args, 1)
        rows.append({"frames": n_frames, "rows": len(table), **follow(movie, table, side)[2]})
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102, 103])
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--particles", type=int, default=300)
    parser.add_argument("--noise", type=float, default=0.2, help="px")
    parser.add_argument("--missing", type=float, default=0.002, help="share of particles missing in a frame")
    parser.add_argument("--merged", type=float, default=0.01, help="share of close pairs that are one in a frame")
    parser.add_argument("--speed", action="store_true", help="time linking and events for 250, 500 and 1000 frames")
    args = parser.parse_args()
    if args.speed:
        print(measure_speed(args).to_string(index=False, float_format="{:.2f}".format))
        return
    links, of_events, exponents = zip(*(score(seed, args) for seed in args.seeds), strict=True)
    print(pd.DataFrame(links).to_string(index=False, float_format="{:.4f}".format))
    counts = pd.concat(of_events).groupby("kind")[["n_true", "n_found", "matched"]].sum()
    counts["precision"] = counts["matched"] / counts["n_found"]
    counts["recall"] = counts["matched"] / counts["n_true"]
    print(counts.to_string(float_format="{:.3f}".format))
    print(pd.DataFrame(exponents).to_string(index=False, float_format="{:.2f}".format))


if __name__ == "__main__":
    main()
