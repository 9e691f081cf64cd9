"""The DICOM network: DIMSE over the upper layer (PS3.7, PS3.8), in processes of its own."""
