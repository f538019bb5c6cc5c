"""How does the specimen change? Drift, particles frame by frame, tracks, coarsening."""

from emscout.movies.drift import common_field, estimate_drift, shift_frame

__all__ = ["common_field", "estimate_drift", "shift_frame"]
