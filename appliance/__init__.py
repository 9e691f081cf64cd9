"""The appliance: stores a clinic's DICOM, draws it on the server and shows it in any browser."""

__version__ = "0.1.0"
