"""How does the specimen change? Drift, particles frame by frame, tracks, coarsening."""

from emscout.movies.follow import MovieOptions, follow
from emscout.movies.frames import open_movie
from emscout.movies.registration.drift import common_field, estimate_drift, shift_frame

__all__ = ["MovieOptions", "common_field", "estimate_drift", "follow", "open_movie", "shift_frame"]
