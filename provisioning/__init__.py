"""Setting up a machine for the appliance: the environment, the demonstration, and what it shows.

``progress``, ``debian``, ``environment``, ``page`` and ``installation`` run before anything is installed: the standard
library is all that they may import.
"""
