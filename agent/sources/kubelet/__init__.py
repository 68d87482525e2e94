"""The kubelet of this node: what it says on ``/pods``, ``/stats/summary`` and ``/configz``.

``slot`` is what collectors see, and all that an agent without a kubelet loads. ``pods``, ``summary`` and ``configz``
are pure parsers, on ``document``, ``listing``, ``quantity`` and ``timestamp``. ``endpoint`` is where it listens,
``trust`` how its certificate is verified, ``client`` and ``response`` one bounded request, ``failure`` what may become
of it, ``diagnosis`` what to do about that. ``poller`` asks in the background and fills the slot.

What can be known without asking is in the process's arguments (``command_line``) and its file (``config_file``, on
``yaml_document``); its flags are also what ``flagz`` parses.
"""
