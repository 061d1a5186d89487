"""What the clinic reads: RTSTRUCT, DICOM SEG and NIfTI of accepted structures, and the way to a DICOM node."""
