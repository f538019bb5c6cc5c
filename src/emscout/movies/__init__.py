"""How does the specimen change? Drift, particles frame by frame, tracks, coarsening."""

from emscout.movies.follow import follow
from emscout.movies.follow_particles import MovieResult, follow_particles
from emscout.movies.frames import open_movie
from emscout.movies.options import MovieOptions
from emscout.movies.registration.drift import common_field, estimate_drift, shift_frame

__all__ = [
    "MovieOptions",
    "MovieResult",
    "common_field",
    "estimate_drift",
    "follow",
    "follow_particles",
    "open_movie",
    "shift_frame",
]
