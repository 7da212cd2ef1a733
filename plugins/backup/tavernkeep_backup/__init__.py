"""Backups: a folder or an archive with everything that a server keeps, made while it runs, and put back.

`making` and `restoring` are the two ways. `manifest` says what is in a backup, `areas` where it is at home; `folder` and `archive` are the
two forms, each with its writer and its reader.
"""
