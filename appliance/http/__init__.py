"""The doors: Quart resources and the listeners. Status codes live only here."""
