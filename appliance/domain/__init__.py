"""What things are: pure and synchronous, importing nothing else of the appliance."""
