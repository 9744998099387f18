"""The admin address: what whoever runs the server reaches over HTTP.

`server.AdminServer` is its connections, `app` what is answered there; `routes` is the table of what
may be asked, from which the OpenAPI document is made.
"""
