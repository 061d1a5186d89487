"""Where she looks, as evidence: an eye tracker's samples, fixations, dwell per slice. Off unless turned on.

tracker -> sound (what is no gaze is left out) -> fixations (I-DT) -> dwell per displayed slice (over OsiriX)
                                                                   -> point and noise on a page (calibrated)
"""
