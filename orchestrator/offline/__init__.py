"""Looking at pictures on a host without the database: a work list out, parts with answers back in.

`worklist`, `parts`, `arrays`, `models` and `infer` are for that host and know neither database nor queue;
`export` and `ingest` are for the board's.
"""
