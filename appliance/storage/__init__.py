"""How things are kept: the only room of peewee and, with domain, of pydicom."""
