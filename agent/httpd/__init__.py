"""A bounded HTTP/1.1 server for a handful of scrapers: plain or TLS, with or without authentication.

The standard library's ``http.server`` cannot be used here: it imports ``ssl`` and ``email`` whatever it serves,
8 MiB in a process whose budget is 20. So requests are parsed by httptools (llhttp, the parser of Node.js), and this
package adds what surrounds a parser: sockets, threads, bounds, TLS, credentials.
"""
