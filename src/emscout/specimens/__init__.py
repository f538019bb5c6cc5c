"""What kind of specimen is this? Categories of micrographs, and micrographs that look alike."""
