"""A certificate that browsers trust, from an authority that speaks ACME (RFC 8555), proven by DNS (RFC 2136).

    settings.py      which authority, which name, which name server
    name_server.py   the record by which the name is proven: put, waited for, removed (dnspython)
    authority.py     account, order and certificate (acme, the library of certbot)
    files.py         the certificate and its key, as the server reads them
    renewal.py       whether it is time, and all of it in order

The appliance watches the files and shows new connections a new one; nobody is dropped.
"""
